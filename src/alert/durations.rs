//! How many requests of a window were slow.

use std::collections::VecDeque;
use std::time::Duration;

/// The window moves in steps of this part of it.
const SLICES: u64 = 300;

/// The counts of a window that ends now.
///
/// Comparing each duration with the limit makes percentiles exact, and costs less than a sketch.
#[derive(Debug)]
pub(super) struct Durations {
    /// Requests above these durations, in nanoseconds, are slow.
    limits: [u64; 2],
    slice: u64,
    slices: VecDeque<(u64, Tally)>,
    sum: Tally,
}

/// How many requests there were, and how many of them were above each limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) above: [u64; 2],
}

impl Durations {
    pub(super) fn new(window: Duration, limits: [Duration; 2]) -> Self {
        Self { limits: limits.map(nanos), slice: (nanos(window) / SLICES).max(1), slices: VecDeque::new(), sum: Tally::default() }
    }

    /// Returns the counts of the window that ends at `now`, in nanoseconds.
    pub(super) fn until(&mut self, now: u64) -> Tally {
        let number = self.slice_of(now);
        while let Some((_, old)) = self.slices.front().copied().filter(|(first, _)| *first + SLICES <= number) {
            self.slices.pop_front();
            self.sum = self.sum.less(old);
        }
        self.sum
    }

    /// Adds a request that ends at `now`, and returns the counts of the window. Times are in nanoseconds.
    pub(super) fn add(&mut self, now: u64, duration: u64) -> Tally {
        let number = self.slice_of(now);
        self.until(now);
        let one = Tally { requests: 1, above: self.limits.map(|limit| u64::from(duration > limit)) };
        match self.slices.back_mut().filter(|(last, _)| *last == number) {
            Some((_, tally)) => *tally = tally.plus(one),
            None => self.slices.push_back((number, one)),
        }
        self.sum = self.sum.plus(one);
        self.sum
    }

    /// The slice of a time. Threads may come with their times in another order.
    fn slice_of(&self, now: u64) -> u64 {
        (now / self.slice).max(self.slices.back().map_or(0, |(number, _)| *number))
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Tally {
    fn plus(self, other: Self) -> Self {
        let [[first, second], [more, most]] = [self.above, other.above];
        Self { requests: self.requests + other.requests, above: [first + more, second + most] }
    }

    fn less(self, other: Self) -> Self {
        let [[first, second], [more, most]] = [self.above, other.above];
        Self { requests: self.requests - other.requests, above: [first - more, second - most] }
    }

    /// Whether a percentile is above the first limit, by the nearest rank.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "counts of requests")]
    pub(super) fn is_above(self, percentile: f64) -> bool {
        let rank = (percentile * self.requests as f64).ceil() as u64;
        let [above, _] = self.above;
        self.requests - above < rank.max(1)
    }

    /// The Apdex. The limits are those of the satisfied and of the tolerating requests.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    pub(super) fn apdex(self) -> f64 {
        let [above, frustrated] = self.above;
        let satisfied = self.requests - above;
        (satisfied as f64 + (above - frustrated) as f64 / 2.0) / (self.requests.max(1)) as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// The value at the nearest rank of a percentile.
    fn percentile_of(times: &[u64], percentile: f64) -> u64 {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "test code")]
        let rank = ((percentile * sorted.len() as f64).ceil() as usize).max(1);
        sorted[rank - 1]
    }

    proptest! {
        #[test]
        fn percentiles_and_apdex_are_those_of_the_sorted_durations(
            requests in prop::collection::vec((0_u64..20, 0_u64..400), 1..200), limit in 1_u64..300, percentile in 0.01_f64..0.999,
        ) {
            let mut durations = Durations::new(Duration::from_secs(300), [Duration::from_nanos(limit), Duration::from_nanos(4 * limit)]);
            let (mut now, mut seen) = (0, Vec::new());
            for (pause, time) in requests {
                now += pause * SECOND;
                seen.push((now / SECOND, time));
                let tally = durations.add(now, time);
                let inside: Vec<_> = seen.iter().filter(|(at, _)| *at + 300 > now / SECOND).map(|(_, time)| *time).collect();
                let share = |least: u64, most: u64| inside.iter().filter(|time| **time > least && **time <= most).count();
                let satisfied = inside.len() - share(limit, u64::MAX);

                prop_assert_eq!(tally.requests, inside.len() as u64);
                prop_assert_eq!(tally.is_above(percentile), percentile_of(&inside, percentile) > limit);
                #[expect(clippy::cast_precision_loss, reason = "test code")]
                let apdex = (satisfied as f64 + share(limit, 4 * limit) as f64 / 2.0) / inside.len() as f64;
                prop_assert!((tally.apdex() - apdex).abs() < 1e-9, "{} {}", tally.apdex(), apdex);
            }
        }
    }

    #[test]
    fn a_time_that_comes_late_counts_for_the_latest_slice() {
        let mut durations = Durations::new(Duration::from_secs(300), [Duration::from_nanos(5); 2]);

        durations.add(400 * SECOND, 9);
        let tally = durations.add(399 * SECOND, 1);

        assert_eq!(tally, Tally { requests: 2, above: [1, 1] });
        assert_eq!(durations.slices.len(), 1);
    }
}
