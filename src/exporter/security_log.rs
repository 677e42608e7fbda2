//! Security events on their way to a file: which events these are, and the lines that wait.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Condvar, MutexGuard, PoisonError};

use crate::diagnostics;
use crate::fork::Lock;
use crate::record::LogLine;

/// Limits of the lines that wait for the file, in number and bytes. Lines beyond them are lost; the
/// file says how many.
const LINES_LIMIT: usize = 10_000;
const BYTES_LIMIT: usize = 8 * 1024 * 1024;

/// Where security events are written, and which events these are.
#[derive(Clone, Debug)]
pub(crate) struct SecurityLog {
    pub(crate) path: PathBuf,
    /// Events with this target, or a target below it, are security events.
    pub(crate) target: String,
    /// A file of at least this many bytes is rotated before the next line.
    pub(crate) max_bytes: u64,
}

/// Lines that wait to be written to the file.
#[derive(Debug, Default)]
pub(super) struct SecurityQueue {
    state: Lock<SecurityState>,
    /// A line came, or the queue was closed.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct SecurityState {
    /// No more lines are written.
    is_closed: bool,
    lines: VecDeque<Box<LogLine>>,
    /// Of the lines that wait, and of those that are being written.
    bytes: usize,
    /// The lines that were taken in so far.
    accepted: u64,
    /// How many of them were written or lost.
    settled: u64,
    /// All lines that were lost.
    lost: u64,
    /// Those of them that the file does not mention yet.
    unmentioned: u64,
}

/// Lines to write.
#[derive(Debug)]
pub(super) struct SecurityBatch {
    #[expect(clippy::vec_box, reason = "as they come out of the queue")]
    pub(super) lines: Vec<Box<LogLine>>,
    /// How many lines were lost before them.
    pub(super) lost: u64,
    bytes: usize,
}

impl SecurityQueue {
    /// Adds a line, or counts it as lost. Never waits.
    pub(super) fn push(&self, line: Box<LogLine>) {
        static TROUBLE: diagnostics::Quiet = diagnostics::Quiet::new();
        let mut state = self.lock();
        if state.is_closed || state.lines.len() >= LINES_LIMIT || state.bytes + line.size() > BYTES_LIMIT {
            state.lost += 1;
            state.unmentioned += 1;
            let (lost, is_closed) = (state.lost, state.is_closed);
            drop(state);
            let why = if is_closed { "it is not written any more" } else { "its disk hangs or is too slow" };
            return TROUBLE.warn(&format!("the security log: {why}; {lost} lines are lost so far"));
        }
        state.bytes += line.size();
        state.accepted += 1;
        state.lines.push_back(line);
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for lines. Returns `None` once the queue is closed.
    pub(super) fn take(&self, most: usize) -> Option<SecurityBatch> {
        let mut state = self.lock();
        while state.lines.is_empty() && !state.is_closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_closed {
            return None;
        }
        let count = most.min(state.lines.len());
        let lines: Vec<_> = state.lines.drain(..count).collect();
        let bytes = lines.iter().map(|line| line.size()).sum();
        Some(SecurityBatch { lines, lost: std::mem::take(&mut state.unmentioned), bytes })
    }

    /// Notes that lines were written, except for these many.
    pub(super) fn settle(&self, batch: &SecurityBatch, lost: u64) {
        let mut state = self.lock();
        // A shutdown has counted them before.
        if !state.is_closed {
            state.bytes -= batch.bytes;
            state.settled += batch.lines.len() as u64;
            state.lost += lost;
        }
    }

    /// The number of lines so far.
    pub(super) fn accepted(&self) -> u64 {
        self.lock().accepted
    }

    /// How many of the lines so far were written or lost.
    pub(super) fn settled(&self) -> u64 {
        self.lock().settled
    }

    /// The lines that are neither written nor lost.
    pub(super) fn waiting(&self) -> u64 {
        let state = self.lock();
        state.accepted - state.settled
    }

    /// The lines that were lost.
    pub(super) fn lost(&self) -> u64 {
        self.lock().lost
    }

    /// Accepts no more lines. Those that are not written are lost; returns their number.
    pub(super) fn close(&self) -> u64 {
        let mut state = self.lock();
        let left = state.accepted - state.settled;
        state.is_closed = true;
        state.settled = state.accepted;
        state.lost += left;
        let lines = std::mem::take(&mut state.lines);
        drop(state);
        drop(lines);
        self.changed.notify_all();
        left
    }

    fn lock(&self) -> MutexGuard<'_, SecurityState> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use super::super::tests::log_line;
    use super::*;

    #[test]
    fn each_line_wakes_who_waits_for_it() {
        let queue = Arc::new(SecurityQueue::default());
        let (give, taken) = mpsc::channel();
        let waiting = Arc::clone(&queue);
        let thread = std::thread::spawn(move || {
            while let Some(batch) = waiting.take(10) {
                waiting.settle(&batch, 0);
                give.send(batch.lines.len()).expect("the test takes it");
            }
        });

        // It waits already when most of them come.
        for line in 0..200 {
            queue.push(Box::new(log_line()));
            assert_eq!(taken.recv_timeout(Duration::from_secs(10)), Ok(1), "line {line}");
            std::thread::yield_now();
        }

        queue.close();
        assert!(thread.join().is_ok());
    }
}
