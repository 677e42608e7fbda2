//! The clocks: the monotonic one for durations, the wall clock once per transaction and event.

use std::time::Instant;

use super::Moment;
use crate::fork::Lazy;
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
    static FIRST: Lazy<Moment> = Lazy::new(now);
    moment.nanos_since(*FIRST)
}

/// Returns the wall clock's time in nanoseconds since the epoch.
pub(crate) fn wall() -> u64 {
    Timestamp::now().as_nanos()
}

/// Returns the wall clock's time in seconds since the epoch, for periods of the calendar. Unlike
/// [`wall`], it is stopped and advanced in tests.
pub(crate) fn calendar() -> u64 {
    #[cfg(feature = "test")]
    if let Some(wall) = hand::wall() {
        return wall / 1_000_000_000;
    }
    wall() / 1_000_000_000
}

#[cfg(feature = "test")]
pub(crate) use hand::{advance, take_in_hand};

/// A clock that tests advance explicitly.
#[cfg(feature = "test")]
mod hand {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    use super::Moment;

    /// A time on both clocks. The wall clock's is in nanoseconds.
    type Hand = (Instant, u64);

    thread_local! {
        static HAND: Cell<Option<Hand>> = const { Cell::new(None) };
    }

    pub(super) fn now() -> Option<Moment> {
        HAND.with(Cell::get).map(|(instant, _)| Moment::at(instant))
    }

    pub(super) fn wall() -> Option<u64> {
        HAND.with(Cell::get).map(|(_, wall)| wall)
    }

    /// Stops this thread's clock, or starts it again.
    pub(crate) fn take_in_hand(stop: bool) {
        HAND.with(|hand| hand.set(stop.then(|| (Instant::now(), super::wall()))));
    }

    /// Advances a stopped clock.
    pub(crate) fn advance(time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        HAND.with(|hand| hand.set(hand.get().map(|(instant, wall)| (instant + time, wall.saturating_add(nanos)))));
    }
}
