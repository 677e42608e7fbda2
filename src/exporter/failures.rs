//! How often the worker has failed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// After more failures than this within a minute, the worker ends.
const LIMIT: usize = 5;
const WITHIN: Duration = Duration::from_secs(60);

/// The last failures of the worker.
#[derive(Debug, Default)]
pub(super) struct Failures(VecDeque<Instant>);

impl Failures {
    /// Adds a failure. Returns whether the worker may go on.
    pub(super) fn add(&mut self, now: Instant) -> bool {
        self.0.retain(|failure| now.duration_since(*failure) < WITHIN);
        self.0.push_back(now);
        self.0.len() <= LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_failures_within_a_minute_are_too_many() {
        let start = Instant::now();
        let mut failures = Failures::default();

        let goes_on: Vec<_> = (0..6).map(|_| failures.add(start)).collect();
        let after_a_minute = failures.add(start + WITHIN);

        assert_eq!(goes_on, [true, true, true, true, true, false]);
        assert!(after_a_minute);
    }
}
