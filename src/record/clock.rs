//! The clocks: the monotonic one for durations, the wall clock once per transaction and event.

use std::sync::OnceLock;
use std::time::Instant;

use super::Moment;
use crate::protocol::Timestamp;

/// Returns the current moment of the monotonic clock.
#[inline]
pub(crate) fn now() -> Moment {
    #[cfg(feature = "test")]
    if let Some(moment) = hand::now() {
        return moment;
    }
    Moment::at(Instant::now())
}

/// Returns the nanoseconds from the first call in this process to `moment`, for rate limits.
pub(crate) fn nanos(moment: Moment) -> u64 {
    static FIRST: OnceLock<Moment> = OnceLock::new();
    moment.nanos_since(*FIRST.get_or_init(now))
}

/// Returns the wall clock's time in nanoseconds since the epoch.
pub(crate) fn wall() -> u64 {
    Timestamp::now().as_nanos()
}

#[cfg(feature = "test")]
pub(crate) use hand::{advance, take_in_hand};

/// A clock that tests advance explicitly.
#[cfg(feature = "test")]
mod hand {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    use super::Moment;

    thread_local! {
        static HAND: Cell<Option<Instant>> = const { Cell::new(None) };
    }

    pub(super) fn now() -> Option<Moment> {
        HAND.with(Cell::get).map(Moment::at)
    }

    /// Stops this thread's clock, or starts it again.
    pub(crate) fn take_in_hand(stop: bool) {
        HAND.with(|hand| hand.set(stop.then(Instant::now)));
    }

    /// Advances a stopped clock.
    pub(crate) fn advance(time: Duration) {
        HAND.with(|hand| hand.set(hand.get().map(|instant| instant + time)));
    }
}
