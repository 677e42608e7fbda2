//! Counts sessions by minute until they are sent.

use std::collections::VecDeque;
use std::sync::MutexGuard;
use std::time::{Duration, UNIX_EPOCH};

use crate::fork::Lock;
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
    minutes: Lock<VecDeque<Minute>>,
}

/// The counts of one minute.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Minute {
    /// Minutes since the epoch.
    number: u64,
    exited: u32,
    errored: u32,
    crashed: u32,
}

impl Sessions {
    /// Counts a request that started at `started`, in nanoseconds since the epoch.
    pub(super) fn add(&self, started: u64, end: SessionEnd) {
        let mut minute = Minute { number: started / MINUTE, ..Minute::default() };
        match end {
            SessionEnd::Crashed => minute.crashed = 1,
            SessionEnd::Errored => minute.errored = 1,
            SessionEnd::Exited => minute.exited = 1,
        }
        merge(&mut self.lock(), minute);
    }

    /// Takes the counts since the last call.
    pub(super) fn take(&self) -> Vec<Minute> {
        std::mem::take(&mut *self.lock()).into()
    }

    /// Puts back counts that were not delivered. They are sent with the next ones.
    pub(super) fn put_back(&self, minutes: &[Minute]) {
        let mut waiting = self.lock();
        for minute in minutes {
            merge(&mut waiting, *minute);
        }
        // The limit drops the first, which must be the oldest.
        waiting.make_contiguous().sort_by_key(|minute| minute.number);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Minute>> {
        self.minutes.lock()
    }
}

impl Minute {
    pub(super) fn row(self) -> SessionAggregate {
        let started = UNIX_EPOCH + Duration::from_secs(self.number * 60);
        SessionAggregate::new(humantime::format_rfc3339_seconds(started).to_string(), self.exited, self.errored, self.crashed)
    }
}

fn merge(minutes: &mut VecDeque<Minute>, with: Minute) {
    // Search from the back: the current minute is nearly always the last.
    if let Some(minute) = minutes.iter_mut().rev().find(|minute| minute.number == with.number) {
        minute.exited = minute.exited.saturating_add(with.exited);
        minute.errored = minute.errored.saturating_add(with.errored);
        minute.crashed = minute.crashed.saturating_add(with.crashed);
        return;
    }
    if minutes.len() >= MINUTES_LIMIT {
        minutes.pop_front();
    }
    minutes.push_back(with);
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
        assert_eq!(sessions.take().into_iter().map(Minute::row).collect::<Vec<_>>(), expected);
        assert!(sessions.is_empty());
    }

    #[test]
    fn minutes_that_cannot_be_sent_are_bounded() {
        let sessions = Sessions::default();

        (0..1000).for_each(|minute| sessions.add(minute * MINUTE, SessionEnd::Exited));

        assert_eq!(sessions.take().len(), MINUTES_LIMIT);
    }

    #[test]
    fn what_was_not_delivered_is_merged_and_the_oldest_minutes_go_first() {
        let sessions = Sessions::default();
        (0..MINUTES_LIMIT as u64).for_each(|minute| sessions.add((100 + minute) * MINUTE, SessionEnd::Exited));
        let taken = sessions.take();
        sessions.add(199 * MINUTE, SessionEnd::Errored);

        sessions.put_back(&taken);
        sessions.add(200 * MINUTE, SessionEnd::Exited);

        let minutes = sessions.take();
        assert_eq!((minutes.len(), minutes.first().map(|minute| minute.number)), (MINUTES_LIMIT, Some(101)));
        let merged = minutes.iter().find(|minute| minute.number == 199).map(|minute| (minute.exited, minute.errored));
        assert_eq!(merged, Some((1, 1)));
    }
}
