//! How long to wait before the next attempt if the server cannot be reached.

use std::time::{Duration, Instant};

use crate::transport::TransportError;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// If items are about to be lost.
const LONGEST_IF_FULL: Duration = Duration::from_secs(5);
/// The same if connections are refused, which costs nearly nothing.
const LONGEST_IF_REFUSED: Duration = Duration::from_secs(3);
const LONGEST_MIDWAY: Duration = Duration::from_secs(2);
const HURRIED: Duration = Duration::from_millis(200);

/// The pause before the next attempt.
///
/// The first failure starts a pause of 1 s, and each further failure doubles it. The limit is 60 s
/// while the queue is less than half full. Otherwise it is 5 s, or 3 s if connections are refused.
/// It is 2 s if the server accepts requests but hangs up, and 200 ms during shutdown. Jitter
/// shortens each pause by up to half. A success ends it.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    pause: Option<Pause>,
    is_hurried: bool,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    since: Instant,
    /// Before jitter.
    longest: Duration,
    /// The same while the queue is at least half full.
    longest_if_full: Duration,
    /// From 0.5 to 1.
    jitter: f64,
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server accepted the request and hung up. The envelope may be the cause.
    Midway,
    /// There was no connection.
    Refused,
    /// There was no answer in time.
    Silent,
}

impl Failure {
    /// What an error says about the server.
    pub(super) fn of(error: &TransportError) -> Self {
        if error.is_unreachable() {
            Self::Refused
        } else if error.is_timed_out() {
            Self::Silent
        } else {
            Self::Midway
        }
    }
}

impl Backoff {
    /// When the next attempt may begin; `None` means now. `is_filling` says whether the queue is at
    /// least half full.
    pub(super) fn until(&self, now: Instant, is_filling: impl FnOnce() -> bool) -> Option<Instant> {
        let pause = self.pause?;
        let longest = if pause.longest > pause.longest_if_full && is_filling() { pause.longest_if_full } else { pause.longest };
        Some(pause.since + longest.mul_f64(pause.jitter)).filter(|until| now < *until)
    }

    /// Whether the last attempt failed. If so, only one probe at a time is sent.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// The failures since the last answer.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether the process is about to end.
    pub(super) fn is_hurried(&self) -> bool {
        self.is_hurried
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self { is_hurried: self.is_hurried, ..Self::default() };
    }

    /// Ends the pause and keeps all later ones short, because the process is about to end.
    pub(super) fn hurry(&mut self) {
        self.pause = None;
        self.is_hurried = true;
    }

    /// Starts a pause, unless there is one.
    ///
    /// Several attempts that were in flight when the server went down count as one failure.
    pub(super) fn failed(&mut self, failure: Failure, now: Instant) {
        if self.until(now, || true).is_some() {
            return;
        }
        let (longest, longest_if_full) = match failure {
            Failure::Midway => (LONGEST_MIDWAY, LONGEST_MIDWAY),
            Failure::Refused => (LONGEST, LONGEST_IF_REFUSED),
            Failure::Silent => (LONGEST, LONGEST_IF_FULL),
        };
        let next = if self.is_hurried { HURRIED } else { FIRST.saturating_mul(1 << self.failures.min(6)) };
        self.failures = self.failures.saturating_add(1);
        // Jitter, so that many processes do not retry at the same moment.
        let jitter = 0.5 + fastrand::f64() / 2.0;
        self.pause = Some(Pause { since: now, longest: next.min(longest), longest_if_full: next.min(longest_if_full), jitter });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses of eight failures in a row.
    fn pauses(failure: Failure, is_filling: bool) -> Vec<Duration> {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        let pause = |_| {
            backoff.failed(failure, now);
            backoff.failed(failure, now);
            let pause = backoff.until(now, || is_filling).map(|until| until - now).unwrap_or_default();
            backoff.pause = None;
            pause
        };
        (0..8).map(pause).collect()
    }

    #[test]
    fn pauses_grow_up_to_a_limit_that_depends_on_what_is_at_stake() {
        for (failure, is_filling, longest) in [
            (Failure::Silent, false, [1, 2, 4, 8, 16, 32, 60, 60]),
            (Failure::Refused, false, [1, 2, 4, 8, 16, 32, 60, 60]),
            (Failure::Silent, true, [1, 2, 4, 5, 5, 5, 5, 5]),
            (Failure::Refused, true, [1, 2, 3, 3, 3, 3, 3, 3]),
            (Failure::Midway, false, [1, 2, 2, 2, 2, 2, 2, 2]),
            (Failure::Midway, true, [1, 2, 2, 2, 2, 2, 2, 2]),
        ] {
            let pauses = pauses(failure, is_filling);
            for (pause, longest) in pauses.iter().zip(longest) {
                let longest = Duration::from_secs(longest);
                assert!(*pause <= longest && *pause >= longest / 2, "{failure:?}, {is_filling}: {pauses:?}");
            }
        }
    }

    #[test]
    fn a_queue_that_fills_up_shortens_a_pause_that_has_begun() {
        let start = Instant::now();
        let mut backoff = Backoff::default();
        for _ in 0..7 {
            backoff.pause = None;
            backoff.failed(Failure::Refused, start);
        }

        let later = start + Duration::from_secs(4);

        assert!(backoff.until(later, || false).is_some());
        assert_eq!(backoff.until(later, || true), None);
    }

    #[test]
    fn a_success_ends_the_pause_and_the_growth() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.pause = None;
            backoff.failed(Failure::Silent, now);
        }

        backoff.succeeded();
        let ended = (backoff.until(now, || false), backoff.is_failing());
        backoff.failed(Failure::Silent, now);

        assert_eq!(ended, (None, false), "there is no limit of one attempt at a time");
        assert!(backoff.until(now, || false).is_some_and(|until| until - now <= FIRST));
    }

    #[test]
    fn a_closed_port_sees_at_most_ten_attempts_in_seventy_five_seconds() {
        for _ in 0..100 {
            let start = Instant::now();
            let mut backoff = Backoff::default();
            let (mut now, mut attempts) = (start, 0);
            while now - start < Duration::from_secs(75) {
                attempts += 1;
                backoff.failed(Failure::Refused, now);
                now = backoff.until(now, || false).unwrap_or(now);
            }

            assert!((6..=10).contains(&attempts), "{attempts}");
        }
    }
}
