//! The profile of one transaction: from its start in a request to what the exporter sends.

use std::sync::atomic::{AtomicU64, Ordering};

use super::samples::{LONGEST, Samples};
use super::signals;
use crate::fork::Lock;
use crate::protocol::EventId;

/// The threads of a transaction beyond this number are not in its profile.
const THREADS_LIMIT: usize = 8;

/// The profile of a transaction.
#[derive(Debug)]
pub(crate) struct TransactionProfile {
    id: EventId,
    /// The threads that polled it, the first one in front. 0 is none.
    threads: [AtomicU64; THREADS_LIMIT],
    /// On the wall clock.
    began_at: u64,
    /// 0 until it ends.
    ended_at: AtomicU64,
    found: Lock<Option<Samples>>,
}

impl TransactionProfile {
    /// The profile of a transaction that begins, for this share of them.
    pub(super) fn chosen(rate: f64) -> Option<Self> {
        let id = EventId::new();
        if rate < 1.0 && !is_chosen(id, rate) {
            return None;
        }
        Some(Self { id, threads: Default::default(), began_at: signals::now(), ended_at: AtomicU64::new(0), found: Lock::default() })
    }

    pub(crate) fn id(&self) -> EventId {
        self.id
    }

    /// Notes that this thread works for the transaction now.
    #[inline]
    pub(crate) fn note_thread(&self) {
        // A task that goes on after its request has nothing in the profile.
        if self.ended_at.load(Ordering::Relaxed) > 0 {
            return;
        }
        let thread = signals::thread();
        for place in &self.threads {
            match place.compare_exchange(0, thread, Ordering::Relaxed, Ordering::Relaxed) {
                Err(other) if other != thread => {}
                _ => return,
            }
        }
    }

    /// The transaction has ended. A second call changes nothing.
    pub(crate) fn end(&self) {
        let _ = self.ended_at.compare_exchange(0, signals::now(), Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(super) fn is_collected(&self) -> bool {
        self.found.lock().is_some()
    }

    /// Takes the samples that were collected. None if there are too few.
    pub(super) fn take_collected(&self) -> Option<Samples> {
        let found = self.found.lock().take();
        found.filter(|found| !found.taken.is_empty())
    }

    /// The bytes that its samples may need, before they are there: what it holds counts against the queue.
    pub(crate) fn size(&self) -> usize {
        /// Of one sample, with a share of its stack.
        const SAMPLE: usize = 64;
        /// Samples in a second of one thread.
        const RATE: u64 = 101;
        let nanos = self.ended_at.load(Ordering::Relaxed).saturating_sub(self.began_at).min(LONGEST);
        let threads = self.threads().len() as u64;
        let samples = usize::try_from(nanos / 1_000_000 * RATE * threads / 1000).unwrap_or(usize::MAX);
        size_of::<Self>() + samples.saturating_mul(SAMPLE)
    }

    pub(super) fn began_at(&self) -> u64 {
        self.began_at
    }

    pub(super) fn ended_at(&self) -> Option<u64> {
        Some(self.ended_at.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    pub(super) fn threads(&self) -> Vec<u64> {
        self.threads.iter().map(|thread| thread.load(Ordering::Relaxed)).take_while(|thread| *thread > 0).collect()
    }

    /// Keeps the samples, if there are none yet.
    pub(super) fn keep(&self, samples: impl FnOnce() -> Samples) {
        self.found.lock().get_or_insert_with(samples);
    }
}

/// Whether chance is for it. The id is random.
#[expect(clippy::cast_precision_loss, reason = "32 bits are exact in a double")]
pub(super) fn is_chosen(id: EventId, rate: f64) -> bool {
    let random = id.to_u128() & u128::from(u32::MAX);
    (random as f64) < rate * f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> TransactionProfile {
        TransactionProfile {
            id: EventId::new(),
            threads: Default::default(),
            began_at: 1_000_000_000,
            ended_at: AtomicU64::new(0),
            found: Lock::default(),
        }
    }

    #[test]
    fn each_thread_is_noted_once_and_not_more_than_eight() {
        let profile = profile();
        let mut numbers = Vec::new();
        for _ in 0..2 {
            profile.note_thread();
        }
        numbers.push(signals::thread());

        // At the same time, because a later thread may have the number of an earlier one.
        let barrier = std::sync::Barrier::new(10);
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    profile.note_thread();
                    barrier.wait();
                });
            }
        });

        let threads = profile.threads();
        assert_eq!((threads.len(), threads[0]), (THREADS_LIMIT, numbers[0]), "the first one stays in front");
        let distinct: std::collections::BTreeSet<_> = threads.iter().collect();
        assert_eq!(distinct.len(), THREADS_LIMIT);
    }

    #[test]
    fn a_thread_that_comes_after_the_end_is_not_noted() {
        let profile = profile();
        profile.end();

        profile.note_thread();

        assert_eq!(profile.threads(), [0; 0]);
    }

    #[test]
    fn an_end_stays_and_a_long_profile_counts_more() {
        let profile = profile();
        profile.note_thread();
        let open = profile.size();
        profile.ended_at.store(2_000_000_000, Ordering::Relaxed);

        profile.end();

        assert_eq!(profile.ended_at(), Some(2_000_000_000));
        assert_eq!(profile.size(), open + 101 * 64);
    }

    #[test]
    fn the_share_is_that_of_the_rate() {
        let chosen = (0..10_000).filter(|_| is_chosen(EventId::new(), 0.25)).count();

        assert!((2000..3000).contains(&chosen), "{chosen}");
        assert!(!(0..1000).any(|_| is_chosen(EventId::new(), 0.0)));
    }
}
