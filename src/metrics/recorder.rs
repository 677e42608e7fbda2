//! The metrics of the `metrics` crate.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use ::metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit as FacadeUnit,
};

use crate::exporter::{are_metrics_wanted, is_exporter};
use crate::fork::Lock;
use crate::protocol::{MetricType, Unit};
use crate::record::Sample;
use crate::scope::{capture_metric, lose_metric};

/// At most this many names have a unit, and this many gauges and counters a value.
const KNOWN_LIMIT: usize = 10_000;

/// Sends what an application, and the libraries that it uses, measure with the macros of the `metrics` crate.
///
/// | macro | what is sent |
/// |---|---|
/// | `counter!(..).increment(2)` | a counter of 2 |
/// | `counter!(..).absolute(7)` | a counter of what 7 is above the last value |
/// | `gauge!(..).set(7)`, `.increment(1)`, `.decrement(1)` | a gauge of the value after it |
/// | `histogram!(..).record(0.25)` | a distribution of 0.25 |
/// | `describe_histogram!("name", Unit::Seconds, ..)` | nothing; the unit is sent with each value |
///
/// Labels become attributes, and each call is one entry, with the trace and the span in which it was made. So all limits of
/// [metrics](crate::metrics#what-is-sent) apply. Where a library counts in a hot path, `metrics-util` has filters to put
/// before a recorder.
///
/// Of 10,000 names and labels, the last value of a gauge or an absolute counter is known. Of further ones, changes are dropped and
/// counted.
///
/// # Examples
///
/// ```
/// use ::metrics::{counter, gauge, histogram, set_global_recorder};
/// use tower_sentry::metrics::MetricsRecorder;
///
/// set_global_recorder(MetricsRecorder::new())?;
///
/// counter!("orders.placed", "shop" => "north").increment(1);
/// gauge!("queue.depth").set(42);
/// histogram!("render.duration").record(0.25);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct MetricsRecorder {
    known: Arc<Known>,
}

/// What is known of metrics from earlier calls. No code of the application runs under its locks.
#[derive(Default)]
struct Known {
    units: Lock<HashMap<String, Unit>>,
    gauges: Lock<HashMap<Key, f64>>,
    counters: Lock<HashMap<Key, u64>>,
}

impl MetricsRecorder {
    /// A recorder that sends to the client of the current request or job, else to that of `init`.
    pub fn new() -> Self {
        Self::default()
    }

    fn describe(&self, name: &KeyName, unit: Option<FacadeUnit>) {
        if let Some(unit) = unit.and_then(known_unit) {
            let mut units = self.known.units.lock();
            if units.len() < KNOWN_LIMIT || units.contains_key(name.as_str()) {
                units.insert(name.as_str().to_owned(), unit);
            }
        }
    }

    fn handle(&self, key: &Key) -> Arc<Handle> {
        Arc::new(Handle { key: key.to_retained(), known: Arc::clone(&self.known) })
    }
}

impl Recorder for MetricsRecorder {
    fn describe_counter(&self, name: KeyName, unit: Option<FacadeUnit>, _: SharedString) {
        self.describe(&name, unit);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<FacadeUnit>, _: SharedString) {
        self.describe(&name, unit);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<FacadeUnit>, _: SharedString) {
        self.describe(&name, unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.handle(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.handle(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.handle(key))
    }
}

impl fmt::Debug for MetricsRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsRecorder").finish_non_exhaustive()
    }
}

/// The unit that servers know. The facade has units of rates too, and counts have none.
fn known_unit(unit: FacadeUnit) -> Option<Unit> {
    Some(match unit {
        FacadeUnit::Percent => Unit::Percent,
        FacadeUnit::Seconds => Unit::Second,
        FacadeUnit::Milliseconds => Unit::Millisecond,
        FacadeUnit::Microseconds => Unit::Microsecond,
        FacadeUnit::Nanoseconds => Unit::Nanosecond,
        FacadeUnit::Tebibytes => Unit::Tebibyte,
        FacadeUnit::Gibibytes => Unit::Gibibyte,
        FacadeUnit::Mebibytes => Unit::Mebibyte,
        FacadeUnit::Kibibytes => Unit::Kibibyte,
        FacadeUnit::Bytes => Unit::Byte,
        _ => return None,
    })
}

/// A metric of the facade with its labels.
struct Handle {
    key: Key,
    known: Arc<Known>,
}

impl Handle {
    fn send(&self, kind: MetricType, value: f64) {
        // What the exporter itself causes would never end.
        if !are_metrics_wanted() || is_exporter() {
            return;
        }
        let mut sample = Sample::new(kind, self.key.name().to_owned().into(), value);
        sample.unit = self.known.units.lock().get(self.key.name()).filter(|_| kind != MetricType::Counter).cloned();
        for label in self.key.labels() {
            sample.set_attribute(label.key(), &label.value().into());
        }
        capture_metric(sample);
    }

    /// Sends a gauge that has changed. `change` returns the new value.
    fn change(&self, change: impl FnOnce(f64) -> f64) {
        match replace(&self.known.gauges, &self.key, |before| change(before.unwrap_or_default())) {
            Some((_, value)) => self.send(MetricType::Gauge, value),
            None => lose_metric(),
        }
    }
}

/// Replaces a value, and returns the last one and the new one. None if there is no room for it.
fn replace<V: Copy>(values: &Lock<HashMap<Key, V>>, key: &Key, change: impl FnOnce(Option<V>) -> V) -> Option<(Option<V>, V)> {
    let mut values = values.lock();
    let before = values.get(key).copied();
    if before.is_none() && values.len() >= KNOWN_LIMIT {
        return None;
    }
    let value = change(before);
    values.insert(key.clone(), value);
    Some((before, value))
}

#[expect(clippy::cast_precision_loss, reason = "a counter beyond 2^53 is rounded")]
impl CounterFn for Handle {
    fn increment(&self, value: u64) {
        self.send(MetricType::Counter, value as f64);
    }

    fn absolute(&self, value: u64) {
        match replace(&self.known.counters, &self.key, |before| value.max(before.unwrap_or_default())) {
            Some((before, value)) if before != Some(value) => CounterFn::increment(self, value - before.unwrap_or_default()),
            Some(_) => {}
            None => lose_metric(),
        }
    }
}

impl GaugeFn for Handle {
    fn increment(&self, value: f64) {
        self.change(|before| before + value);
    }

    fn decrement(&self, value: f64) {
        self.change(|before| before - value);
    }

    fn set(&self, value: f64) {
        self.change(|_| value);
    }
}

impl HistogramFn for Handle {
    fn record(&self, value: f64) {
        self.send(MetricType::Distribution, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_without_room_is_not_known() {
        let values = Lock::new(HashMap::new());
        let key = |number: usize| Key::from_name(number.to_string());
        for number in 0..KNOWN_LIMIT {
            assert_eq!(replace(&values, &key(number), |before| before.unwrap_or(1)), Some((None, 1)));
        }

        assert_eq!(replace(&values, &key(KNOWN_LIMIT), |_| 1), None);
        assert_eq!(replace(&values, &key(7), |before| before.map_or(0, |before| before + 1)), Some((Some(1), 2)));
    }
}
