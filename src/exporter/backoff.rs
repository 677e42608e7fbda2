//! How long to wait before the next attempt if the server cannot be reached.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
const LONGEST_MIDWAY: Duration = Duration::from_secs(2);
const HURRIED: Duration = Duration::from_millis(200);

/// The pause before the next attempt.
///
/// The first failure starts a pause of 1 s, and each further failure doubles it, up to 60 s. The
/// limit is 2 s if the server accepts requests but hangs up, and 200 ms during shutdown. Jitter
/// shortens each pause by up to half. A success ends it.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    until: Option<Instant>,
    is_hurried: bool,
}

impl Backoff {
    /// When the next attempt may begin; `None` means now.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| now < *until)
    }

    /// Whether the last attempt failed. If so, only one probe at a time is sent.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self { is_hurried: self.is_hurried, ..Self::default() };
    }

    /// Ends the pause and keeps all later ones short, because the process is about to end.
    pub(super) fn hurry(&mut self) {
        self.until = None;
        self.is_hurried = true;
    }

    /// Records that the server could not be reached.
    pub(super) fn failed(&mut self, now: Instant) {
        self.pause(now, LONGEST);
    }

    /// Records that the server accepted a request but hung up.
    ///
    /// The cause may be that one envelope, so the next must not wait long.
    pub(super) fn failed_midway(&mut self, now: Instant) {
        self.pause(now, LONGEST_MIDWAY);
    }

    fn pause(&mut self, now: Instant, longest: Duration) {
        // Several attempts that were in flight when the server went down count as one failure.
        if self.until(now).is_some() {
            return;
        }
        let longest = if self.is_hurried { HURRIED } else { FIRST.saturating_mul(1 << self.failures.min(6)).min(longest) };
        self.failures = self.failures.saturating_add(1);
        // Between half and all of it, so that many processes do not retry at the same moment.
        self.until = Some(now + longest.mul_f64(0.5 + fastrand::f64() / 2.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_end_with_success() {
        let now = Instant::now();
        let mut backoff = Backoff::default();

        let waits: Vec<_> = (0..8)
            .map(|_| {
                backoff.failed(now);
                backoff.failed(now);
                let wait = backoff.until(now).map(|until| until - now).unwrap_or_default();
                backoff.until = None;
                wait
            })
            .collect();
        backoff.succeeded();
        let is_failing = backoff.is_failing();
        backoff.failed(now);
        let first = backoff.until(now).map(|until| until - now);

        for (wait, longest) in waits.iter().zip([1, 2, 4, 8, 16, 32, 60, 60]) {
            let longest = Duration::from_secs(longest);
            assert!(*wait <= longest && *wait >= longest / 2, "{waits:?}");
        }
        assert!(!is_failing, "after a success there is no limit of one attempt at a time");
        assert!(first.is_some_and(|wait| wait <= FIRST), "{first:?}");
    }

    #[test]
    fn a_success_ends_the_pause() {
        let now = Instant::now();
        let mut backoff = Backoff::default();

        backoff.failed(now);
        backoff.succeeded();

        assert_eq!(backoff.until(now), None);
    }

    #[test]
    fn a_closed_port_sees_at_most_ten_attempts_in_seventy_five_seconds() {
        for _ in 0..100 {
            let start = Instant::now();
            let mut backoff = Backoff::default();
            let (mut now, mut attempts) = (start, 0);
            while now - start < Duration::from_secs(75) {
                attempts += 1;
                backoff.failed(now);
                now = backoff.until(now).unwrap_or(now);
            }

            assert!((6..=10).contains(&attempts), "{attempts}");
        }
    }
}
