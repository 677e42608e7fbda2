//! The samples of the last 30 seconds, and those of one transaction among them.

use std::collections::VecDeque;
use std::sync::Arc;

/// A profile ends after this time, in nanoseconds: servers refuse a longer one.
pub(super) const LONGEST: u64 = 30_000_000_000;
/// At most this many samples are kept: 30 seconds of sixteen processors.
const KEPT_LIMIT: usize = 50_000;
/// At most this many samples are in one profile.
const PROFILE_LIMIT: usize = 8_000;
/// A thread with fewer samples in a profile says nothing, and servers remove it.
const LEAST_SAMPLES: usize = 2;
/// At most this many samples are in a chunk of a session.
const CHUNK_LIMIT: usize = 20_000;
/// At most this many threads have a name.
const NAMES_LIMIT: usize = 512;

/// Addresses of calls, innermost first.
pub(crate) type Calls = Arc<[usize]>;

/// Where a thread was at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// On the wall clock, in nanoseconds since the epoch.
    pub(crate) at: u64,
    pub(crate) thread: u64,
    pub(crate) calls: Calls,
}

/// Samples of one thread in the same functions.
#[derive(Clone, Debug)]
pub(super) struct Hits {
    pub(super) thread: u64,
    pub(super) thread_name: String,
    pub(super) calls: Calls,
    pub(super) count: u64,
    /// When the first of them was taken, if it is known.
    pub(super) first_at: Option<u64>,
}

/// The samples of one profile, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Samples {
    /// The start of the profile, on the wall clock.
    pub(crate) began_at: u64,
    pub(crate) taken: Vec<Sample>,
    /// The threads, the one that was there first in front.
    pub(crate) threads: Vec<Thread>,
}

impl Samples {
    /// The approximate number of bytes. Equal stacks of a look share their memory.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.taken.len() * 2 * size_of::<Sample>() + self.threads.len() * 64
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thread {
    pub(crate) id: u64,
    /// None if it has no name, or the system does not say it.
    pub(crate) name: Option<Arc<str>>,
}

/// All samples of the process that may be needed.
#[derive(Debug)]
pub(super) struct Recent {
    samples: VecDeque<Sample>,
    /// When they were taken last.
    pub(super) until: u64,
    names: Vec<(u64, Arc<str>)>,
}

impl Recent {
    pub(super) const fn new() -> Self {
        Self { samples: VecDeque::new(), until: 0, names: Vec::new() }
    }

    /// Begins anew: later samples were taken from `now` on.
    pub(super) fn begin(&mut self, now: u64) {
        self.until = now;
    }

    /// Adds the stacks that were found since the last time.
    ///
    /// The time of the first sample in a function is known. Those of the others are not: they are put at equal
    /// distances.
    pub(super) fn add(&mut self, found: Vec<Hits>, now: u64) {
        let mut new = Vec::new();
        for Hits { thread, thread_name, calls, count, first_at } in found {
            self.name(thread, &thread_name);
            let first = first_at.map(|at| at.clamp(self.until.min(now), now));
            let rest = count - u64::from(first.is_some());
            let from = first.unwrap_or(self.until).min(now);
            let of_rest = (1..=rest).map(|place| from + (now - from) / (rest + 1) * place);
            let at = first.into_iter().chain(of_rest);
            new.extend(at.map(|at| Sample { at, thread, calls: Arc::clone(&calls) }));
        }
        new.sort_by_key(|sample| sample.at);
        self.samples.extend(new);
        self.until = now;
        let is_old = |sample: &Sample| sample.at < now.saturating_sub(LONGEST + LONGEST / 10);
        while self.samples.len() > KEPT_LIMIT || self.samples.front().is_some_and(is_old) {
            self.samples.pop_front();
        }
    }

    fn name(&mut self, thread: u64, name: &str) {
        // Where the system does not say the name, it is the number of the thread.
        if name.is_empty() || name.bytes().all(|letter| letter.is_ascii_digit()) {
            return;
        }
        match self.names.iter_mut().find(|(known, _)| *known == thread) {
            Some((_, known)) if **known == *name => {}
            Some((_, known)) => *known = name.into(),
            None => {
                if self.names.len() >= NAMES_LIMIT {
                    self.names.clear();
                }
                self.names.push((thread, name.into()));
            }
        }
    }

    /// The samples of some threads between two times, at most of 30 seconds.
    pub(super) fn of(&self, threads: &[u64], from: u64, to: u64) -> Samples {
        let to = to.min(from.saturating_add(LONGEST));
        let is_in = |sample: &&Sample| (from..=to).contains(&sample.at) && threads.contains(&sample.thread);
        let samples = self.samples.iter().filter(is_in).take(PROFILE_LIMIT).cloned().collect();
        self.worth_sending(from, samples, threads.to_vec())
    }

    /// The samples of all threads between two times.
    pub(super) fn of_all(&self, from: u64, to: u64) -> Samples {
        let is_in = |sample: &&Sample| (from..=to).contains(&sample.at);
        let samples: Vec<_> = self.samples.iter().filter(is_in).take(CHUNK_LIMIT).cloned().collect();
        let mut threads: Vec<u64> = Vec::new();
        for sample in &samples {
            if !threads.contains(&sample.thread) {
                threads.push(sample.thread);
            }
        }
        self.worth_sending(from, samples, threads)
    }

    /// Without the threads that have too few samples: nothing is left if all have.
    fn worth_sending(&self, began_at: u64, mut taken: Vec<Sample>, mut threads: Vec<u64>) -> Samples {
        threads.retain(|id| taken.iter().filter(|sample| sample.thread == *id).take(LEAST_SAMPLES).count() == LEAST_SAMPLES);
        taken.retain(|sample| threads.contains(&sample.thread));
        Samples { began_at, taken, threads: threads.into_iter().map(|id| self.named(id)).collect() }
    }

    fn named(&self, id: u64) -> Thread {
        Thread { id, name: self.names.iter().find(|(known, _)| *known == id).map(|(_, name)| Arc::clone(name)) }
    }

    /// Gives the memory back.
    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn hits(thread: u64, address: usize, count: u64, first_at: Option<u64>) -> Hits {
        Hits { thread, thread_name: format!("worker-{thread}"), calls: [address].into(), count, first_at }
    }

    fn times(samples: &Samples) -> Vec<(u64, usize)> {
        samples.taken.iter().map(|sample| (sample.at / MS, sample.calls[0])).collect()
    }

    #[test]
    fn the_first_sample_of_a_stack_has_its_time_and_the_others_are_spread() {
        let mut recent = Recent::new();
        recent.begin(1000 * MS);

        recent.add(vec![hits(1, 7, 3, Some(1040 * MS)), hits(1, 8, 1, Some(1030 * MS))], 1100 * MS);
        recent.add(vec![hits(1, 7, 4, None)], 1200 * MS);

        let found = times(&recent.of(&[1], 0, u64::MAX));
        assert_eq!(found, [(1030, 8), (1040, 7), (1060, 7), (1080, 7), (1120, 7), (1140, 7), (1160, 7), (1180, 7)]);
    }

    #[test]
    fn a_time_outside_the_slice_is_moved_into_it() {
        let mut recent = Recent::new();
        recent.begin(1000 * MS);

        recent.add(vec![hits(1, 7, 1, Some(900 * MS)), hits(1, 8, 1, Some(1300 * MS))], 1100 * MS);
        // The clock was set back.
        recent.add(vec![hits(1, 9, 2, Some(500 * MS))], 600 * MS);

        assert_eq!(times(&recent.of(&[1], 900 * MS, u64::MAX)), [(1000, 7), (1100, 8)]);
        assert_eq!(recent.samples.len(), 4);
    }

    #[test]
    fn a_profile_has_its_own_threads_and_time_and_ends_after_thirty_seconds() {
        let mut recent = Recent::new();
        recent.begin(0);
        for second in 1..=32 {
            recent.add(vec![hits(1, 7, 1, Some(second * 1000 * MS)), hits(2, 8, 1, Some(second * 1000 * MS))], second * 1000 * MS);
        }

        let one = recent.of(&[2], 5000 * MS, 7000 * MS);
        let long = recent.of(&[2, 1], 500 * MS, u64::MAX);

        assert_eq!(times(&one), [(5000, 8), (6000, 8), (7000, 8)]);
        assert_eq!((one.began_at, one.threads[0].name.as_deref()), (5000 * MS, Some("worker-2")));
        assert_eq!((long.taken.len(), long.taken.last().map(|sample| sample.at)), (60, Some(30_000 * MS)));
        assert_eq!(long.threads.iter().map(|thread| thread.id).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn a_thread_with_one_sample_is_left_out() {
        let mut recent = Recent::new();
        recent.begin(0);
        recent.add(vec![hits(1, 7, 1, None), hits(2, 8, 2, None), hits(3, 9, 1, None)], 1000 * MS);

        let (one, all) = (recent.of(&[1, 2], 0, u64::MAX), recent.of_all(0, u64::MAX));

        for samples in [&one, &all] {
            let threads: Vec<_> = samples.threads.iter().map(|thread| thread.id).collect();
            assert_eq!((samples.taken.iter().map(|sample| sample.thread).collect::<Vec<_>>(), threads), (vec![2, 2], vec![2]));
        }
        assert!(recent.of(&[1, 3], 0, u64::MAX).taken.is_empty(), "two samples, but of two threads");
    }

    #[test]
    fn what_is_kept_is_bounded_in_time_and_number() {
        let mut recent = Recent::new();
        recent.begin(0);
        recent.add(vec![hits(1, 7, 10, None)], 1000 * MS);
        recent.add(vec![hits(1, 8, 10, None)], 60_000 * MS);
        let old = times(&recent.of(&[1], 0, u64::MAX)).into_iter().filter(|(_, address)| *address == 7).count();

        recent.add(vec![hits(1, 9, 3 * KEPT_LIMIT as u64, None)], 61_000 * MS);

        assert_eq!(old, 0, "of a minute ago");
        assert_eq!(recent.samples.len(), KEPT_LIMIT);
        assert_eq!(recent.of(&[1], 60_500 * MS, u64::MAX).taken.len(), PROFILE_LIMIT);
        for thread in 0..3 * NAMES_LIMIT as u64 {
            recent.add(vec![hits(thread, 9, 1, None)], 61_000 * MS);
        }
        assert!(recent.names.len() <= NAMES_LIMIT);
        recent.clear();
        assert_eq!((recent.samples.capacity(), recent.until), (0, 0));
    }

    #[test]
    fn a_number_is_no_name() {
        let mut recent = Recent::new();
        for name in ["140234", "", "web"] {
            recent.add(vec![Hits { thread_name: name.to_owned(), ..hits(1, 7, 1, None) }], 1000 * MS);
        }
        recent.add(vec![Hits { thread_name: "140234".to_owned(), ..hits(2, 7, 2, None) }], 1000 * MS);

        let names: Vec<_> = recent.of(&[1, 2], 0, u64::MAX).threads.into_iter().map(|thread| thread.name).collect();
        assert_eq!(names, [Some("web".into()), None]);
    }
}
