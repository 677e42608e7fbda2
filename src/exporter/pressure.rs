//! How far the delivery is behind: then fewer transactions are recorded.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// The delivery is judged this often.
const EVERY: Duration = Duration::from_secs(1);
/// A queue that is half full for this long is behind.
const BEHIND: Duration = Duration::from_secs(10);
/// The rate is halved at most this often.
const MOST: u8 = 10;

/// How often the sample rate is halved, for requests.
#[derive(Debug, Default)]
pub(super) struct Pressure(AtomicU8);

impl Pressure {
    pub(super) fn halvings(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the worker knows of the pressure.
#[derive(Debug)]
pub(super) struct Judge {
    judged: Instant,
    /// Since when the queue is at least half full.
    full_since: Option<Instant>,
}

impl Judge {
    pub(super) fn new(now: Instant) -> Self {
        Self { judged: now, full_since: None }
    }

    /// Judges the delivery once a second: each time that it is unwell, the rate is halved once more.
    ///
    /// `troubles` says whether nothing can be delivered, and whether the queue is half full.
    pub(super) fn judge(&mut self, now: Instant, pressure: &Pressure, troubles: impl FnOnce(Instant) -> (bool, bool)) {
        if now.saturating_duration_since(self.judged) < EVERY {
            return;
        }
        self.judged = now;
        let (is_unwell, is_full) = troubles(now);
        self.full_since = if is_full { self.full_since.or(Some(now)) } else { None };
        let is_behind = self.full_since.is_some_and(|since| now.saturating_duration_since(since) >= BEHIND);
        let halvings = if is_behind || is_unwell { (pressure.halvings() + 1).min(MOST) } else { 0 };
        pressure.0.store(halvings, Ordering::Relaxed);
    }

    /// When the delivery must be judged again, if the rate is halved.
    pub(super) fn due(&self, pressure: &Pressure) -> Option<Instant> {
        (pressure.halvings() > 0).then(|| self.judged + EVERY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The halvings after each of these seconds: whether the delivery is unwell, and the queue half full.
    fn after(seconds: &[(bool, bool)]) -> Vec<u8> {
        let (pressure, now) = (Pressure::default(), Instant::now());
        let mut judge = Judge::new(now);
        let halvings = seconds.iter().zip(1..).map(|((is_unwell, is_full), second)| {
            judge.judge(now + EVERY * second, &pressure, |_| (*is_unwell, *is_full));
            judge.judge(now + EVERY * second + EVERY / 2, &pressure, |_| (true, true));
            pressure.halvings()
        });
        halvings.collect()
    }

    #[test]
    fn the_rate_is_halved_each_second_and_at_most_ten_times() {
        assert_eq!(after(&[(true, false); 12]), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10]);
        assert_eq!(after(&[(true, false), (true, false), (false, false), (true, false)]), [1, 2, 0, 1]);
    }

    #[test]
    fn a_queue_is_behind_if_it_is_half_full_for_ten_seconds() {
        assert_eq!(after(&[(false, true); 12]), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        let mut emptied = [(false, true); 12];
        emptied[5] = (false, false);
        assert_eq!(after(&emptied), [0; 12]);
    }

    #[test]
    fn only_a_halved_rate_needs_a_timer() {
        let (pressure, now) = (Pressure::default(), Instant::now());
        let mut judge = Judge::new(now);
        assert_eq!(judge.due(&pressure), None);

        judge.judge(now + EVERY, &pressure, |_| (true, false));

        assert_eq!(judge.due(&pressure), Some(now + 2 * EVERY));
    }
}
