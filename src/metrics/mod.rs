//! Metrics: numbers that your service measures, linked to the trace in which they were measured.
//!
//! ```
//! use tower_sentry::metrics;
//! use tower_sentry::protocol::Unit;
//!
//! metrics::counter("orders.placed", 1).attribute("shop", "north").capture();
//! metrics::gauge("queue.depth", 42).capture();
//! metrics::distribution("cart.weight", 12.5).unit("kilogram").capture();
//! metrics::distribution("image.size", 81_920).unit(Unit::Byte).attribute("kind", "thumbnail").capture();
//! ```
//!
//! | | what the value is | what the server shows |
//! |---|---|---|
//! | [`counter`] | an amount to add | the sum, the rate |
//! | [`gauge`] | a value at a moment, which goes up and down | the last, the lowest, the highest, the mean |
//! | [`distribution`] | one of many values | percentiles, the mean |
//!
//! # What is sent
//!
//! Each call of `capture` is one entry: nothing is summed up in the process. An entry has the trace, the active
//! span and the user's id of the current request or job. Outside of these, it goes to the client that was started
//! by `init`, and all entries share one trace per process. It has the release, the environment and the server's
//! name as well.
//!
//! At most 100 entries share an envelope, and they wait for at most five seconds. At most 1,000 wait in memory: the
//! oldest ones are dropped, and counted with the reason `buffer_overflow`. Of one name, at most 100,000
//! ([`max_metrics_per_name`](crate::ConfigBuilder::max_metrics_per_name)) are sent in a minute. `capture` never
//! waits.
//!
//! Nothing is sent from an ignored route, from a [sensitive](crate::incoming::RouteOptions::sensitive) one, if
//! [`enable_metrics`](crate::ConfigBuilder::enable_metrics) is off, or while monitoring is off.
//!
//! # Names, attributes and limits
//!
//! - A name has at most 255 bytes of `a-z A-Z 0-9 _ .`, such as `orders.placed`. The server replaces other signs with `_`. It
//!   keeps each name, so a name must not contain ids: use an attribute.
//! - A value is any number. One that is not finite, and an empty or longer name, is dropped and counted with the reason
//!   `invalid`.
//! - Attributes keep their types, see [`AttributeValue`]. A text has at most 8 KiB, all attributes of a metric 64 KiB.
//!   A value beyond is cut or left out, and counted once in [`Stats::truncated`](crate::Stats::truncated). If a name is set
//!   again, the earlier value is not sent. It still takes room within the 64 KiB, and stays counted if it was cut.
//! - Names, units and attributes are redacted as everything else. A value is a number that you measured, so it is
//!   not.
//!
//! # Metrics of requests
//!
//! [`SentryLayer::metrics`](crate::SentryLayer::metrics) measures each request: its duration, its body, and how many are served
//! at once.
//!
//! # The `metrics` crate
//!
//! With the feature `metrics`, a `MetricsRecorder` sends what the application and its libraries measure with `counter!`,
//! `gauge!` and `histogram!` of the `metrics` crate.

#[cfg(feature = "metrics")]
mod recorder;

use std::borrow::Cow;

#[cfg(feature = "metrics")]
pub use recorder::MetricsRecorder;

use crate::exporter::are_metrics_wanted;
use crate::protocol::{AttributeValue, MetricType, MetricValue, Unit};
use crate::record::Sample;
use crate::scope::capture_metric;

/// An amount to add to a counter, such as 1 for each order.
///
/// # Examples
///
/// ```
/// use tower_sentry::metrics;
///
/// # #[cfg(feature = "test")]
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sentry, captured) = tower_sentry::test::client();
/// let work = async { metrics::counter("orders.placed", 1).attribute("shop", "north").capture() };
/// sentry.transaction("checkout").run_infallible(work).await;
///
/// let metric = &captured.metrics()[0];
/// assert_eq!((&*metric.name, metric.value, &metric.attributes["shop"].value), ("orders.placed", 1.0, &"north".into()));
/// # });
/// ```
pub fn counter(name: impl Into<Cow<'static, str>>, value: impl Into<MetricValue>) -> CounterMetric {
    CounterMetric(Draft::new(MetricType::Counter, name, value))
}

/// A value at a moment, which goes up and down, such as the depth of a queue.
///
/// # Examples
///
/// ```
/// use tower_sentry::metrics;
///
/// let queue = ["a", "b"];
/// metrics::gauge("queue.depth", queue.len()).capture();
/// ```
pub fn gauge(name: impl Into<Cow<'static, str>>, value: impl Into<MetricValue>) -> GaugeMetric {
    GaugeMetric(Draft::new(MetricType::Gauge, name, value))
}

/// One of many values whose percentiles matter, such as a duration or a size.
///
/// # Examples
///
/// ```
/// use std::time::Instant;
///
/// use tower_sentry::metrics;
/// use tower_sentry::protocol::Unit;
///
/// let start = Instant::now();
/// // The value of a `Duration` is in seconds.
/// metrics::distribution("render.duration", start.elapsed()).unit(Unit::Second).capture();
/// ```
pub fn distribution(name: impl Into<Cow<'static, str>>, value: impl Into<MetricValue>) -> DistributionMetric {
    DistributionMetric(Draft::new(MetricType::Distribution, name, value))
}

/// A metric that is not captured yet. None if no client sends metrics: then no attribute is copied.
#[derive(Debug)]
struct Draft(Option<Sample>);

impl Draft {
    fn new(kind: MetricType, name: impl Into<Cow<'static, str>>, value: impl Into<MetricValue>) -> Self {
        Self(are_metrics_wanted().then(|| Sample::new(kind, name.into(), value.into().get())))
    }
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $metric:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        #[must_use = "a metric is not recorded until `capture` is called"]
        pub struct $metric(Draft);

        impl $metric {
            /// Sets an attribute, by which the server filters and groups. The value keeps its type, see
            /// [`AttributeValue`].
            ///
            /// If a name is set again, the last value is sent.
            #[expect(single_use_lifetimes, reason = "an elided one is unstable here")]
            pub fn attribute<'v>(mut self, name: impl AsRef<str>, value: impl Into<AttributeValue<'v>>) -> Self {
                if let Some(sample) = &mut self.0.0 {
                    sample.set_attribute(name.as_ref(), &value.into());
                }
                self
            }

            /// Hands the metric over to the exporter. Never waits.
            pub fn capture(self) {
                if let Some(sample) = self.0.0 {
                    capture_metric(sample);
                }
            }
        }
    )*};
}
metrics! {
    /// A counter that is not captured yet. Made by [`counter`]. It has no unit.
    CounterMetric
    /// A distribution that is not captured yet. Made by [`distribution`].
    DistributionMetric
    /// A gauge that is not captured yet. Made by [`gauge`].
    GaugeMetric
}

macro_rules! units {
    ($($metric:ident)*) => {$(
        impl $metric {
            /// Sets the unit: a [`Unit`], its name or its symbol, such as `ms`. Defaults to none.
            ///
            /// A unit of your own has at most 64 bytes; servers may ignore it.
            pub fn unit(mut self, unit: impl Into<Unit>) -> Self {
                if let Some(sample) = &mut self.0.0 {
                    sample.set_unit(unit.into());
                }
                self
            }
        }
    )*};
}
units! { DistributionMetric GaugeMetric }
