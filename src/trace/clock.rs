//! One anchor for all times of a process.

use std::sync::OnceLock;
use std::time::Instant;

use crate::protocol::Timestamp;

/// Nanoseconds since the anchor, on the monotonic clock.
pub(crate) fn now() -> u64 {
    static ANCHOR: OnceLock<Instant> = OnceLock::new();
    let since = ANCHOR.get_or_init(Instant::now).elapsed();
    // By hand: `as_nanos` multiplies 128 bits, and 64 bits of nanoseconds last for 584 years.
    since.as_secs() * 1_000_000_000 + u64::from(since.subsec_nanos())
}

/// Nanoseconds since the epoch, on the wall clock.
pub(crate) fn wall() -> u64 {
    Timestamp::now().as_nanos()
}
