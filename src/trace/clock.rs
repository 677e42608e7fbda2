//! The clocks: the monotonic one for all that is measured, the wall clock once for each transaction and event.

use std::sync::OnceLock;
use std::time::Instant;

use crate::protocol::Timestamp;
use crate::record::Moment;

/// Now, on the monotonic clock.
#[inline]
pub(crate) fn now() -> Moment {
    #[cfg(feature = "test")]
    if let Some(moment) = hand::now() {
        return moment;
    }
    Moment::at(Instant::now())
}

/// Nanoseconds from the first call in this process to `moment`, for what counts seconds.
pub(crate) fn nanos(moment: Moment) -> u64 {
    static FIRST: OnceLock<Moment> = OnceLock::new();
    moment.nanos_since(*FIRST.get_or_init(now))
}

/// Nanoseconds since the epoch, on the wall clock.
pub(crate) fn wall() -> u64 {
    Timestamp::now().as_nanos()
}

#[cfg(feature = "test")]
pub(crate) use hand::{advance, take_in_hand};

/// A clock that goes by hand, for tests of users.
#[cfg(feature = "test")]
mod hand {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    use crate::record::Moment;

    thread_local! {
        static HAND: Cell<Option<Instant>> = const { Cell::new(None) };
    }

    pub(super) fn now() -> Option<Moment> {
        HAND.with(Cell::get).map(Moment::at)
    }

    /// Stops this thread's clock, or lets it go again.
    pub(crate) fn take_in_hand(stop: bool) {
        HAND.with(|hand| hand.set(stop.then(Instant::now)));
    }

    /// Lets time pass on a clock that stands.
    pub(crate) fn advance(time: Duration) {
        HAND.with(|hand| hand.set(hand.get().map(|instant| instant + time)));
    }
}
