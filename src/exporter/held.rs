//! Captured events that wait: for the response head of their request, or for a later report of the
//! same failure.
//!
//! They wait here, and not in their scope, so that a flush sends them too: the handler of a request
//! may hang, and a shutdown must not lose its errors.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use crate::event::{Backtrace, CapturedEvent, EarlierReport, EventRecord, WaitingEvent};
use crate::fork::Lock;
use crate::protocol::EventId;

/// An error of a job, or of a request after its head, waits at most this long.
///
/// An error that was logged is returned soon after, unless the code in between waits for something.
pub(super) const HOLD_LIMIT: Duration = Duration::from_secs(2);

/// The events that wait, each until its request takes it.
///
/// No user code runs under the lock. A scope that is locked may lock this, but not the reverse.
#[derive(Default)]
pub(super) struct HeldEvents {
    events: Lock<Events>,
}

#[derive(Default)]
struct Events {
    by_id: HashMap<EventId, Held, BuildHasherDefault<IdHasher>>,
    /// Those that do not wait for a response head, in the order in which they are due. They may
    /// have been taken.
    due: VecDeque<Due>,
    /// The number of the next event.
    next: u64,
}

struct Due {
    at: Instant,
    event_id: EventId,
    is_briefly: bool,
}

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
    /// With its number, in the order of the captures.
    Waiting(u64, WaitingEvent),
    /// A flush has sent it. Later reports of the same failure still belong to it.
    Sent,
}

/// For how long an event waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HoldTime {
    /// Until its request has a response head.
    UntilHead,
    /// At most [`HOLD_LIMIT`], or until its request or job ends.
    UntilEnd,
    /// At most [`HOLD_LIMIT`]: its request or job has ended.
    Briefly,
}

/// What became of a report that joins an event.
pub(crate) struct Joined {
    absorbed: Vec<WaitingEvent>,
    /// A value of the user's that is not kept.
    _lost: Option<Arc<dyn Backtrace>>,
}

impl Joined {
    /// The events that became part of another one. They are counted.
    pub(super) fn absorbed(&self) -> impl Iterator<Item = &EventRecord> {
        self.absorbed.iter().map(WaitingEvent::event)
    }
}

impl HeldEvents {
    pub(super) fn insert(&self, waiting: WaitingEvent, time: HoldTime) {
        let event_id = waiting.event().captured.event_id;
        let mut held = self.lock();
        let number = held.next;
        held.next += 1;
        held.by_id.insert(event_id, Held::Waiting(number, waiting));
        if time != HoldTime::UntilHead {
            // All wait equally long, so the first one is due first.
            held.due.push_back(Due { at: Instant::now() + HOLD_LIMIT, event_id, is_briefly: time == HoldTime::Briefly });
        }
    }

    /// Merges a later report into an event, together with the logs that it absorbs.
    ///
    /// Returns the report if the event is a log that has gone. Its failure then needs its own event.
    pub(super) fn join(&self, earlier: &EarlierReport, mut later: CapturedEvent) -> Result<Joined, Box<CapturedEvent>> {
        let mut held = self.lock();
        let later_id = later.event_id;
        let is_waiting = matches!(held.by_id.get(&earlier.event_id), Some(Held::Waiting(..)));
        let is_gone = earlier.is_log && !held.by_id.contains_key(&earlier.event_id);
        if is_gone || earlier.takes_id && !is_waiting {
            return Err(Box::new(later));
        }
        let absorbed: Vec<_> = earlier.absorbed.iter().filter_map(|id| held.take(id)).collect();
        let lost = match held.by_id.get_mut(&earlier.event_id) {
            Some(Held::Waiting(_, event)) => {
                if earlier.takes_id {
                    event.set_id(later_id);
                }
                event.merge(later, earlier.is_shorter)
            }
            Some(Held::Sent) | None => later.backtrace.take(),
        };
        if earlier.takes_id
            && let Some(event) = held.by_id.remove(&earlier.event_id)
        {
            held.by_id.insert(later_id, event);
            held.due.iter_mut().filter(|due| due.event_id == earlier.event_id).for_each(|due| due.event_id = later_id);
        }
        Ok(Joined { absorbed, _lost: lost })
    }

    /// Takes the events with these ids that a flush has not sent.
    pub(super) fn take(&self, ids: impl Iterator<Item = EventId>) -> Vec<WaitingEvent> {
        let mut held = self.lock();
        ids.filter_map(|id| held.take(&id)).collect()
    }

    /// Takes the events that have waited for long enough.
    pub(super) fn take_due(&self, now: Instant) -> Vec<WaitingEvent> {
        let mut held = self.lock();
        let mut taken = Vec::new();
        while held.due.front().is_some_and(|due| due.at <= now) {
            let due = held.due.pop_front();
            taken.extend(due.and_then(|due| held.take(&due.event_id)));
        }
        taken
    }

    /// When the next event has waited for long enough.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.lock().due.front().map(|due| due.at)
    }

    /// Takes every event that waits, for a flush.
    pub(super) fn take_all(&self) -> Vec<WaitingEvent> {
        let mut held = self.lock();
        let held = &mut *held;
        let mut taken = Vec::new();
        for event in held.by_id.values_mut() {
            if let Held::Waiting(number, waiting) = std::mem::replace(event, Held::Sent) {
                taken.push((number, waiting));
            }
        }
        for due in held.due.drain(..).filter(|due| due.is_briefly) {
            // Nothing takes it later, so it must not be kept.
            held.by_id.remove(&due.event_id);
        }
        // A map has no order.
        taken.sort_unstable_by_key(|(number, _)| *number);
        taken.into_iter().map(|(_, waiting)| waiting).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Events> {
        self.events.lock()
    }
}

impl Events {
    fn take(&mut self, id: &EventId) -> Option<WaitingEvent> {
        match self.by_id.remove(id) {
            Some(Held::Waiting(_, waiting)) => Some(waiting),
            Some(Held::Sent) | None => None,
        }
    }
}
