//! The line that says that monitoring is on.

use std::time::{Duration, Instant};

use crate::diagnostics;

/// It waits at most this long for a `tracing` subscriber.
const WITHIN: Duration = Duration::from_secs(1);
/// How often to look whether there is a subscriber.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A message to log once, as soon as it can be seen.
pub(super) struct StartLine {
    line: Option<String>,
    latest: Instant,
}

impl StartLine {
    pub(super) fn new(line: Option<String>, now: Instant) -> Self {
        Self { line, latest: now + WITHIN }
    }

    /// Logs the line if there is a subscriber, or if it has waited long enough.
    pub(super) fn log_if_due(&mut self) {
        if let Some(line) = self.line.take_if(|_| tracing::dispatcher::has_been_set() || self.latest <= Instant::now()) {
            diagnostics::info(&line);
        }
    }

    /// When to look again.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.line.as_ref().map(|_| self.latest.min(now + LOOK_EVERY))
    }
}
