//! Metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use super::{LogAttribute, SpanId, Timestamp, TraceId, Unit};

/// A metric, as [`before_send_metric`](crate::ConfigBuilder::before_send_metric) sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metric {
    /// The time when it was captured.
    pub timestamp: Timestamp,
    /// The trace it belongs to. Metrics outside any request share one trace per process.
    pub trace_id: TraceId,
    /// The active span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<SpanId>,
    /// The name, such as `orders.placed`.
    ///
    /// Servers replace characters other than `a-z A-Z 0-9 _ .` with `_`.
    pub name: String,
    /// How the server combines the values of this name.
    #[serde(rename = "type")]
    pub kind: MetricType,
    /// The value. It must be finite.
    #[serde(serialize_with = "measured")]
    pub value: f64,
    /// The unit. Counters have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// Its attributes, and those of every metric, such as `sentry.environment`.
    #[serde(default)]
    pub attributes: BTreeMap<String, LogAttribute>,
}

impl Metric {
    /// Whether a server takes a metric with this name and value.
    pub(crate) fn is_valid(name: &str, value: f64) -> bool {
        !name.is_empty() && name.len() <= NAME_LIMIT && value.is_finite()
    }
}

/// The longest name of a metric, in bytes.
///
/// A longer name is not cut: half a token would not be recognised as a secret.
const NAME_LIMIT: usize = 255;

/// The type of a metric, which says how the server combines its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MetricType {
    /// An amount that is added. The server shows the sum.
    Counter,
    /// One of many values. The server shows percentiles.
    Distribution,
    /// A value at one moment, which may rise and fall.
    Gauge,
}

impl MetricType {
    /// The name in the protocol.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Distribution => "distribution",
            Self::Gauge => "gauge",
        }
    }
}

/// A measured number. The redactor never takes it for a card number.
#[derive(Serialize)]
#[serde(rename = "$tower_sentry::Measured")]
pub(crate) struct Measured(pub(crate) f64);

impl Measured {
    /// The name of the struct, by which the redactor recognises it.
    pub(crate) const NAME: &str = "$tower_sentry::Measured";
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn measured<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Measured(*value).serialize(serializer)
}

/// The value of a metric: any number, or a [`Duration`] in seconds.
///
/// You rarely name this type: all numbers become one. A whole number beyond 2⁵³ is rounded to the nearest one that the
/// protocol has. A value that is not finite is dropped and counted.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_sentry::metrics;
/// use tower_sentry::protocol::Unit;
///
/// let queue = ["a", "b"];
/// metrics::gauge("queue.depth", queue.len()).capture();
/// metrics::distribution("job.duration", Duration::from_millis(250)).unit(Unit::Second).capture();
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricValue(f64);

impl MetricValue {
    pub(crate) const fn get(self) -> f64 {
        self.0
    }
}

macro_rules! from_numbers {
    ($($number:ty)*) => {$(
        impl From<$number> for MetricValue {
            fn from(value: $number) -> Self {
                Self(value.into())
            }
        }
    )*};
}
from_numbers! { i8 i16 i32 u8 u16 u32 f32 f64 }

macro_rules! from_large_numbers {
    ($($number:ty)*) => {$(
        impl From<$number> for MetricValue {
            #[expect(clippy::cast_precision_loss, reason = "the type says that it is rounded")]
            fn from(value: $number) -> Self {
                Self(value as f64)
            }
        }
    )*};
}
from_large_numbers! { i64 isize u64 usize }

impl From<Duration> for MetricValue {
    fn from(time: Duration) -> Self {
        Self(time.as_secs_f64())
    }
}
