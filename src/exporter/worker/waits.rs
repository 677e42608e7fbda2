//! How long the worker may wait before its next step.

use std::time::Instant;

use super::super::looks::Look;
use super::super::queue::Sleep;
use super::{RECHECK_EVERY, REPORT_EVERY, Worker};

impl Worker<'_> {
    /// The latest time of the next step; `None` if there is something to do now.
    ///
    /// What may become possible earlier wakes the worker.
    pub(super) fn next_look(&mut self) -> Option<Instant> {
        // A pause that has ended since would be over for the timer, but not for what waits.
        let now = self.looked;
        // A report that is due but blocked needs no timer: the end of what blocks it wakes the
        // worker.
        let report = self.last_report + REPORT_EVERY;
        let mut latest = if report > now { report } else { now + REPORT_EVERY };
        if !self.delivery.has_room(now) {
            // The end of an attempt wakes the worker, or the end of the pause.
            // A queue that fills up meanwhile shortens the pause.
            latest =
                latest.min(self.delivery.pause(now).map_or_else(|| now + self.delivery.recheck(), |until| until.min(now + RECHECK_EVERY)));
        }
        // Else requests need not wake the worker: it could do nothing for them.
        if self.can_go_on(now) {
            let (look, sleep) = match self.looks.next(now) {
                Look::At(look) => (look, Sleep::Awake),
                // A developer looks at the copies.
                Look::DozeUntil(look) if !self.delivery.shows_locally() => (look, Sleep::Light),
                Look::DozeUntil(_) | Look::Sleep => (latest, Sleep::Deep),
            };
            if sleep != Sleep::Awake && !self.shared.queue.fall_asleep(sleep) {
                return None;
            }
            latest = latest.min(look);
        }
        let deadlines = self.flushes.deadlines();
        // Only with room: a timer for due entries that cannot be sent would make the loop spin.
        let entries = [self.logs.due(), self.metrics.due()].into_iter().flatten().filter(|_| self.can_go_on(now));
        let retry = self.delivery.retry_due(now).filter(|_| self.delivery.has_room(now));
        // Read after the worker has announced its sleep: an event that is held later wakes it.
        let held = self.shared.next_due().into_iter().chain(self.judge.due(&self.shared.pressure));
        // What is past needs no timer: it waits for something else.
        let spool = self.delivery.spool_due().filter(|due| *due > now);
        for deadline in deadlines
            .chain(spool)
            .chain(self.start_line.due(now))
            .chain(self.delivery.copies_due(now))
            .chain(entries)
            .chain(retry)
            .chain(held)
        {
            latest = latest.min(deadline);
        }
        Some(latest)
    }
}
