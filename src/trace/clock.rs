//! The clocks: the monotonic one for all that is measured, the wall clock once for each transaction and event.

use std::sync::OnceLock;
use std::time::Instant;

use crate::protocol::Timestamp;
use crate::record::Moment;

/// Now, on the monotonic clock.
pub(crate) fn now() -> Moment {
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
