//! Timestamps.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, written as seconds since the Unix epoch with microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    nanos: u64,
}

impl Timestamp {
    /// The current time of the system's clock.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Creates a timestamp from nanoseconds since the Unix epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self { nanos }
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> u64 {
        self.nanos
    }

    /// The time, between 1970 and 2554: the formatter of RFC 3339 panics outside 1970 to 9999.
    pub(crate) fn as_system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.nanos)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { nanos: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX) }
    }
}

impl Serialize for Timestamp {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of this century need 51 bits of the 53 a double has")]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((self.nanos / 1_000) as f64 / 1e6)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float casts saturate; rounded to what was written")]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let micros = (f64::deserialize(deserializer)? * 1e6).round() as u64;
        Ok(Self { nanos: micros.saturating_mul(1_000) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_microsecond_reads_back_as_it_was_written_in_any_year() {
        // 2004, 2026 and 2039: the rounding errors of binary fractions differ.
        for seconds in [1_100_000_000, 1_795_168_800, 2_200_000_000] {
            for micros in (seconds * 1_000_000..).take(1_000) {
                let time = Timestamp::from_nanos(micros * 1_000);

                let text = serde_json::to_string(&time).unwrap_or_default();

                assert_eq!(serde_json::from_str(&text).ok(), Some(time), "{text}");
            }
        }
    }

    #[test]
    fn microseconds_survive_the_wire() {
        let time = Timestamp::from_nanos(1_795_168_800_412_345_678);

        let text = serde_json::to_string(&time).unwrap_or_default();
        let back: Option<Timestamp> = serde_json::from_str(&text).ok();

        assert_eq!(text, "1795168800.412345");
        assert_eq!(back, Some(Timestamp::from_nanos(1_795_168_800_412_345_000)));
        assert_eq!(serde_json::to_string(&Timestamp::from_nanos(1_795_168_800_000_000_000)).ok().as_deref(), Some("1795168800.0"));
    }
}
