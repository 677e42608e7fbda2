//! Times and durations, as the protocol writes them.

use std::time::{Duration, UNIX_EPOCH};

use crate::protocol::Timestamp;
use crate::record::{Moment, Record};

/// Returns the wall-clock time of a moment.
pub(super) fn time(record: &Record, moment: Moment) -> Timestamp {
    Timestamp::from_nanos(record.started_at.saturating_add(moment.nanos_since(record.start)))
}

/// Returns a time on the wall clock for people to read, such as `2026-11-20T10:00:00.412Z`.
pub(super) fn readable(nanos: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(nanos)).to_string()
}

/// Converts nanoseconds to milliseconds, to the microsecond.
#[expect(clippy::cast_precision_loss, reason = "a double holds microseconds of 285 years")]
pub(super) fn millis(nanos: u64) -> f64 {
    (nanos / 1_000) as f64 / 1e3
}
