//! How fast what has waited is sent after an outage.

use std::time::{Duration, Instant};

/// Outages with fewer failed attempts in a row are too short for this: less than about 3 s.
const FAILURES: u32 = 3;
/// How much faster than the traffic, which goes on meanwhile.
const FACTOR: f64 = 2.5;
/// At least this many a second.
const LEAST: f64 = 0.5;
/// What was not used within this time is gone, beyond two envelopes.
const BURST: Duration = Duration::from_millis(100);

/// The pace after an outage.
///
/// A server that comes back has all processes of all services in front of it, each with a full queue.
/// So each sends only a few times as fast as its own traffic, until nothing waits any more. Meanwhile the
/// newest go first, so that what happens now is not seen minutes later.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the outage began, and the number of items so far.
    began: Option<(Instant, u64)>,
    allowed: Option<Allowed>,
}

#[derive(Clone, Copy, Debug)]
struct Allowed {
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Pace {
    /// Notes a failed attempt; `items` is the number of items so far.
    pub(super) fn failed(&mut self, items: u64, now: Instant) {
        self.allowed = None;
        self.began.get_or_insert((now, items));
    }

    /// Notes the first answer after `failures` failed attempts.
    pub(super) fn came_back(&mut self, failures: u32, items: u64, now: Instant) {
        let Some((began, before)) = self.began.take() else { return };
        if failures >= FAILURES {
            let seconds = now.saturating_duration_since(began).as_secs_f64().max(1.0);
            #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 items")]
            let traffic = items.saturating_sub(before) as f64 / seconds;
            self.allowed = Some(Allowed { per_second: (traffic * FACTOR).max(LEAST), left: 0.0, at: now });
        }
    }

    /// As after a long outage without traffic.
    #[cfg(test)]
    pub(super) fn begin(&mut self, now: Instant) {
        self.failed(0, now);
        self.came_back(FAILURES, 0, now);
    }

    /// Ends it: nothing waits any more, or a flush waits for the rest.
    pub(super) fn end(&mut self) {
        self.allowed = None;
    }

    /// Whether it holds anything up.
    pub(super) fn is_on(&self) -> bool {
        self.allowed.is_some()
    }

    /// When the next envelope may be sent; `None` means now.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        let allowed = self.allowed?;
        let missing = 1.0 - allowed.at_time(now);
        (missing > 1e-9).then(|| now + Duration::from_secs_f64(missing / allowed.per_second))
    }

    /// Counts an envelope that is sent.
    pub(super) fn spend(&mut self, now: Instant) {
        if let Some(allowed) = &mut self.allowed {
            *allowed = Allowed { left: allowed.at_time(now) - 1.0, at: now, ..*allowed };
        }
    }
}

impl Allowed {
    fn at_time(&self, now: Instant) -> f64 {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        (self.left + earned).min((self.per_second * BURST.as_secs_f64()).max(2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The envelopes that may be sent in each of three times four seconds after an outage of a minute, with this
    /// traffic.
    fn sent(traffic: u64, failures: u32) -> [u32; 3] {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.failed(1000, start);
        let mut now = start + Duration::from_secs(60);
        pace.came_back(failures, 1000 + 60 * traffic, now);
        [0; 3].map(|mut sent| {
            let end = now + Duration::from_secs(4);
            while now < end {
                if pace.until(now).is_none() && sent < 20_000 {
                    pace.spend(now);
                    sent += 1;
                } else {
                    now += Duration::from_millis(1);
                }
            }
            sent
        })
    }

    #[test]
    fn what_has_waited_follows_the_traffic_after_a_long_outage() {
        for (traffic, expected) in [(0, 2), (4, 40), (100, 1000), (1000, 10_000)] {
            for sent in sent(traffic, FAILURES) {
                assert!(sent.abs_diff(expected) <= 1 + expected / 50, "{sent} of {expected}");
            }
        }
        assert_eq!(sent(4, FAILURES - 1), [20_000; 3], "a short one needs no pace");
    }

    #[test]
    fn it_ends_and_begins_anew_with_the_next_outage() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.failed(0, now);
        pace.came_back(9, 0, now);
        let is_slow = pace.until(now).is_some();
        pace.failed(0, now);
        let fails_again = pace.until(now);
        pace.came_back(9, 0, now);
        pace.end();

        assert_eq!((is_slow, fails_again, pace.until(now)), (true, None, None));
    }
}
