//! Captured events that wait for the response head of their request.
//!
//! They wait here, and not in their scope, so that a flush sends them too: the handler of a request
//! may hang, and a shutdown must not lose its errors.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::event::{Backtrace, CapturedEvent, ReportedFailure, WaitingEvent};
use crate::protocol::{EventId, Exception};

/// The events that wait, each until its request takes it.
///
/// No user code runs under the lock. A scope that is locked may lock this, but not the reverse.
#[derive(Default)]
pub(super) struct HeldEvents {
    events: Mutex<HeldById>,
}

type HeldById = HashMap<EventId, Held, BuildHasherDefault<IdHasher>>;

/// Event ids are random already; the standard hasher would take 500 instructions per error.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(part).for_each(|(into, byte)| *into = *byte);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

enum Held {
    Waiting(WaitingEvent),
    /// A flush has sent it. Later reports of the same failure are still recognised.
    Sent(ReportedFailure),
}

impl HeldEvents {
    pub(super) fn insert(&self, waiting: WaitingEvent) {
        let event_id = waiting.event().captured.event_id;
        self.lock().insert(event_id, Held::Waiting(waiting));
    }

    /// Finds the event, of those with these ids, that reports the same failure.
    pub(super) fn same_failure(&self, ids: &[EventId], captured: &CapturedEvent) -> Option<EventId> {
        let held = self.lock();
        let is_same = |id: &&EventId| match held.get(*id) {
            Some(Held::Waiting(known)) => known.event().captured.is_same_failure(captured),
            Some(Held::Sent(known)) => known.is(&captured.exceptions),
            None => false,
        };
        ids.iter().find(is_same).copied()
    }

    /// Finds the event, of those with these ids, whose chain has the same messages.
    pub(super) fn with_chain(&self, ids: &[EventId], chain: &[Exception]) -> Option<EventId> {
        let held = self.lock();
        let has_chain = |id: &&EventId| match held.get(*id) {
            Some(Held::Waiting(known)) => known.event().captured.has_chain(chain),
            Some(Held::Sent(known)) => known.is(chain),
            None => false,
        };
        ids.iter().find(has_chain).copied()
    }

    /// Merges another report into an event, unless the event was sent.
    ///
    /// Returns a value of the user's that is not kept: drop it while no lock is held.
    pub(super) fn merge(&self, id: EventId, mut other: CapturedEvent) -> Option<Arc<dyn Backtrace>> {
        match self.lock().get_mut(&id) {
            Some(Held::Waiting(known)) => known.merge(other),
            Some(Held::Sent(_)) | None => other.backtrace.take(),
        }
    }

    /// Takes the events with these ids that a flush has not sent.
    pub(super) fn take(&self, ids: impl Iterator<Item = EventId>) -> Vec<WaitingEvent> {
        let mut held = self.lock();
        let waiting = |id| match held.remove(&id) {
            Some(Held::Waiting(waiting)) => Some(waiting),
            Some(Held::Sent(_)) | None => None,
        };
        ids.filter_map(waiting).collect()
    }

    /// Takes every event that waits, for a flush.
    pub(super) fn take_all(&self) -> Vec<WaitingEvent> {
        let mut taken = Vec::new();
        for held in self.lock().values_mut() {
            if let Held::Waiting(waiting) = held {
                let sent = Held::Sent(ReportedFailure::new(&waiting.event().captured));
                if let Held::Waiting(waiting) = std::mem::replace(held, sent) {
                    taken.push(waiting);
                }
            }
        }
        // In the order of their captures: a map has none.
        taken.sort_by_key(|waiting| waiting.event().captured.at);
        taken
    }

    fn lock(&self) -> MutexGuard<'_, HeldById> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
