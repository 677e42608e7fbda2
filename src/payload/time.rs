//! Times and durations, as the protocol writes them.

use crate::protocol::Timestamp;
use crate::record::{Moment, Record};

/// Returns the wall-clock time of a moment.
pub(super) fn time(record: &Record, moment: Moment) -> Timestamp {
    Timestamp::from_nanos(record.started_at.saturating_add(moment.nanos_since(record.start)))
}

/// Converts nanoseconds to milliseconds, to the microsecond.
#[expect(clippy::cast_precision_loss, reason = "a double holds microseconds of 285 years")]
pub(super) fn millis(nanos: u64) -> f64 {
    (nanos / 1_000) as f64 / 1e3
}
