//! Counts sessions by minute until they are sent.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use crate::protocol::SessionAggregate;

const MINUTE: u64 = 60 * 1_000_000_000;
/// The limit of rows in one item. If more minutes wait, the first of them is dropped.
const MINUTES_LIMIT: usize = 100;

/// How a request ended, for release health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionEnd {
    /// Code of the request panicked, even if the panic was caught.
    Crashed,
    /// The response failed, or an event of level error was captured.
    Errored,
    /// Neither of them; also if the client left early.
    Exited,
}

#[derive(Debug, Default)]
pub(super) struct Sessions {
    minutes: Mutex<VecDeque<Minute>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    /// Minutes since the epoch.
    number: u64,
    exited: u32,
    errored: u32,
    crashed: u32,
}

impl Sessions {
    /// Counts a request that started at `started`, in nanoseconds since the epoch.
    pub(super) fn add(&self, started: u64, end: SessionEnd) {
        let number = started / MINUTE;
        let mut minutes = self.lock();
        // Search from the back: the current minute is nearly always the last.
        let place = minutes.iter().rposition(|minute| minute.number == number);
        if place.is_none() {
            if minutes.len() >= MINUTES_LIMIT {
                minutes.pop_front();
            }
            minutes.push_back(Minute { number, ..Minute::default() });
        }
        let place = place.unwrap_or(minutes.len() - 1);
        if let Some(minute) = minutes.get_mut(place) {
            let count = match end {
                SessionEnd::Crashed => &mut minute.crashed,
                SessionEnd::Errored => &mut minute.errored,
                SessionEnd::Exited => &mut minute.exited,
            };
            *count = count.saturating_add(1);
        }
    }

    /// Takes the counts since the last call.
    pub(super) fn take(&self) -> Vec<SessionAggregate> {
        let minutes = std::mem::take(&mut *self.lock());
        let rows = minutes.into_iter().map(|Minute { number, exited, errored, crashed }| {
            let started = UNIX_EPOCH + Duration::from_secs(number * 60);
            SessionAggregate::new(humantime::format_rfc3339_seconds(started).to_string(), exited, errored, crashed)
        });
        rows.collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Minute>> {
        self.minutes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_in_its_minute() {
        let sessions = Sessions::default();
        let start = 1_795_168_800 * 1_000_000_000;

        sessions.add(start, SessionEnd::Exited);
        sessions.add(start + MINUTE, SessionEnd::Crashed);
        sessions.add(start + MINUTE - 1, SessionEnd::Exited);
        sessions.add(start + 1, SessionEnd::Errored);

        let expected = [SessionAggregate::new("2026-11-20T10:00:00Z", 2, 1, 0), SessionAggregate::new("2026-11-20T10:01:00Z", 0, 0, 1)];
        assert_eq!(sessions.take(), expected);
        assert!(sessions.is_empty());
    }

    #[test]
    fn minutes_that_cannot_be_sent_are_bounded() {
        let sessions = Sessions::default();

        (0..1000).for_each(|minute| sessions.add(minute * MINUTE, SessionEnd::Exited));

        assert_eq!(sessions.take().len(), MINUTES_LIMIT);
    }
}
