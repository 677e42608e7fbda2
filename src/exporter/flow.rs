//! How many requests may be in flight at once.

use std::time::Duration;

/// The limit at the start, and for a server that answers within a few milliseconds.
pub(super) const FEWEST: usize = 4;
/// The maximum, at any latency.
pub(super) const MOST: usize = 64;
/// The limit for a server that takes longer than `SLOW`: it may be overloaded.
const MOST_IF_SLOW: usize = 16;
const SLOW: Duration = Duration::from_secs(1);
/// The limit allows about this many requests a second, at any latency from 6 to 100 ms.
const PER_SECOND: f64 = 640.0;

/// A request hangs if it takes this long, and four times as long as others.
pub(super) const HANGS: Duration = Duration::from_millis(250);

/// The limit of requests in flight, which follows the answers.
///
/// While requests wait for a place, each success moves the limit by one towards what the latency of
/// the server needs. A refusal halves it.
#[derive(Debug)]
pub(super) struct Flow {
    limit: usize,
    /// A moving average.
    latency: Option<Duration>,
}

impl Default for Flow {
    fn default() -> Self {
        Self { limit: FEWEST, latency: None }
    }
}

impl Flow {
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// After this time, a request takes much longer than the others.
    pub(super) fn long(&self) -> Duration {
        self.latency.map_or(HANGS, |latency| HANGS.max(latency * 4))
    }

    /// Records a success. `is_full` says whether the limit held up other envelopes.
    pub(super) fn accepted(&mut self, took: Duration, is_full: bool) {
        let latency = self.latency.map_or(took, |before| (before * 7 + took) / 8);
        self.latency = Some(latency);
        let needed = needed(latency);
        if self.limit < needed && is_full {
            self.limit += 1;
        } else if self.limit > needed {
            self.limit -= 1;
        } else if self.limit < FEWEST {
            // It was refused before.
            self.limit += 1;
        }
    }

    /// Records an answer that is not a success.
    pub(super) fn refused(&mut self) {
        self.limit = (self.limit / 2).max(1);
    }
}

/// The requests in flight that a latency needs.
fn needed(latency: Duration) -> usize {
    if latency > SLOW {
        return MOST_IF_SLOW;
    }
    // At most 640, and not negative.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
    let needed = (latency.as_secs_f64() * PER_SECOND).ceil() as usize;
    needed.clamp(FEWEST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answers: usize, took: Duration, is_full: bool) -> Flow {
        let mut flow = Flow::default();
        (0..answers).for_each(|_| flow.accepted(took, is_full));
        flow
    }

    #[test]
    fn the_limit_follows_the_latency() {
        for (millis, limit) in [(1, 4), (25, 16), (100, 64), (900, 64), (2_000, 16)] {
            assert_eq!(after(100, Duration::from_millis(millis), true).limit(), limit, "{millis} ms");
        }
    }

    #[test]
    fn the_limit_does_not_grow_while_places_are_free() {
        assert_eq!(after(100, Duration::from_millis(100), false).limit(), FEWEST);
    }

    #[test]
    fn the_limit_shrinks_when_the_server_gets_faster_or_much_slower() {
        for millis in [1, 5_000] {
            let mut flow = after(100, Duration::from_millis(100), true);

            (0..100).for_each(|_| flow.accepted(Duration::from_millis(millis), true));

            assert_eq!(flow.limit(), needed(Duration::from_millis(millis)), "{millis} ms");
        }
    }

    #[test]
    fn refusals_halve_the_limit_and_successes_restore_it() {
        let mut flow = after(100, Duration::from_millis(100), true);

        flow.refused();
        let half = flow.limit();
        (0..10).for_each(|_| flow.refused());
        let least = flow.limit();
        (0..3).for_each(|_| flow.accepted(Duration::from_millis(1), false));

        assert_eq!((half, least, flow.limit()), (32, 1, FEWEST));
    }
}
