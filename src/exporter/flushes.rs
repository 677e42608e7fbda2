//! The calls of `flush` and `shutdown` that wait for an answer.

use std::sync::mpsc;
use std::time::Instant;

/// A command to the worker: deliver everything that was submitted so far.
pub(super) struct Flush {
    pub(super) deadline: Instant,
    pub(super) close: bool,
    /// All items with smaller numbers must be sent or dropped before the flush is done.
    pub(super) up_to: u64,
    /// So many lines of the security log must be written or lost.
    pub(super) lines_up_to: u64,
    /// The sessions counted so far were taken for sending.
    pub(super) took_sessions: bool,
    /// The drops counted so far were taken for a client report.
    pub(super) took_report: bool,
    /// Receives the number of items that are left.
    pub(super) done: mpsc::SyncSender<u64>,
}

/// The calls that wait.
#[derive(Default)]
pub(super) struct Flushes {
    waiting: Vec<Flush>,
}

impl Flushes {
    /// Adds new calls. Returns the deadline of the first shutdown among them, if there was none before.
    pub(super) fn add(&mut self, new: Vec<Flush>) -> Option<Instant> {
        let is_closing = self.waiting.iter().any(|flush| flush.close);
        self.waiting.extend(new);
        self.waiting.iter().find(|flush| flush.close && !is_closing).map(|flush| flush.deadline)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the calls end at the latest.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = Instant> {
        self.waiting.iter().map(|flush| flush.deadline)
    }

    /// Whether a call asks for the sessions counted so far. Each asks only once, because counting
    /// continues.
    pub(super) fn ask_for_sessions(&self) -> bool {
        self.waiting.iter().any(|flush| !flush.took_sessions)
    }

    pub(super) fn took_sessions(&mut self) {
        self.waiting.iter_mut().for_each(|flush| flush.took_sessions = true);
    }

    /// Whether a call asks for a client report.
    pub(super) fn ask_for_report(&self) -> bool {
        self.waiting.iter().any(|flush| !flush.took_report)
    }

    pub(super) fn took_report(&mut self) {
        self.waiting.iter_mut().for_each(|flush| flush.took_report = true);
    }

    /// Whether the exporter ends now: all is done, or the deadline of a shutdown has passed.
    pub(super) fn close(&self, is_done: bool, now: Instant) -> bool {
        self.waiting.iter().any(|flush| flush.close && (is_done || flush.deadline <= now))
    }

    /// Answers the calls that are done or past their deadline, or all of them.
    ///
    /// `left` is the number of items that are neither delivered nor on disk.
    pub(super) fn answer(&mut self, left: u64, all: bool, now: Instant, is_done: impl Fn(&Flush) -> bool) {
        self.waiting.retain(|flush| {
            let is_done = is_done(flush);
            let is_over = all || is_done || flush.deadline <= now;
            if is_over {
                // The caller of `flush` may have stopped waiting.
                let _ = flush.done.try_send(if is_done { 0 } else { left });
            }
            !is_over
        });
    }
}
