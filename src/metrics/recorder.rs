//! The metrics of the `metrics` crate.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit as FacadeUnit,
};

use crate::exporter::{are_metrics_wanted, is_exporter};
use crate::fork::Lock;
use crate::protocol::{MetricType, Unit};
use crate::record::{Sample, clock};
use crate::scope::MetricPlace;

/// At most this many names have a unit, and this many gauges and counters a value.
const KNOWN_LIMIT: usize = 10_000;

/// Sends what an application, and the libraries that it uses, measure with the macros of the `metrics` crate.
///
/// | macro | what is sent |
/// |---|---|
/// | `counter!(..).increment(2)` | a counter of 2 |
/// | `counter!(..).absolute(7)` | a counter of 7 minus the last value |
/// | `gauge!(..).set(7)`, `.increment(1)`, `.decrement(1)` | a gauge of the value after it |
/// | `histogram!(..).record(0.25)` | a distribution of 0.25 |
/// | `describe_histogram!("name", Unit::Seconds, ..)` | nothing; the unit is sent with each value |
///
/// Labels become attributes, and each call is one entry, with the trace and the span in which it was made. So all limits of
/// [metrics](crate::metrics#what-is-sent) apply. Where a library counts in a hot path, `metrics-util` has filters to put
/// before a recorder.
///
/// The last values of 10,000 gauges and absolute counters are kept. For further ones, calls that need the last value are
/// dropped and counted: `absolute`, and `increment` and `decrement` of a gauge.
///
/// A counter that is increased by 0 sends nothing. A gauge keeps its last value if the new one is not finite. If nothing is
/// sent, as in an ignored request, a gauge still changes, and an absolute counter is sent the next time.
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

/// The last values, and when they were set, in nanoseconds since the epoch.
type Values<V> = Lock<HashMap<Key, (V, u64)>>;

/// The times of two values of a gauge differ by at least this many nanoseconds: times are sent in microseconds.
const STEP: u64 = 1_000;
/// A time is at most this many nanoseconds ahead of the clock, which may have been set back.
const AHEAD: u64 = 1_000_000_000;

/// What is known of metrics from earlier calls. No code of the application runs under its locks.
#[derive(Default)]
struct Known {
    units: Lock<HashMap<String, Unit>>,
    gauges: Values<f64>,
    counters: Values<u64>,
    /// Whether `counters` has any. Otherwise an increment takes no lock.
    has_counters: AtomicBool,
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
    fn sample(&self, kind: MetricType, value: f64) -> Sample {
        let mut sample = Sample::new(kind, self.key.name().to_owned().into(), value);
        if kind != MetricType::Counter {
            sample.unit = self.known.units.lock().get(self.key.name()).cloned();
        }
        for label in self.key.labels() {
            sample.set_attribute(label.key(), &label.value().into());
        }
        sample
    }

    fn set_gauge(&self, new: impl FnOnce(Option<f64>) -> f64) -> Changed<f64> {
        change(&self.known.gauges, &self.key, clock::wall(), new, f64::is_finite)
    }

    /// Changes a gauge by an amount.
    fn step(&self, by: f64) {
        let Changed { value, at, has_room, .. } = self.set_gauge(|before| before.unwrap_or_default() + by);
        let Some(place) = place() else { return };
        let sample = self.sample(MetricType::Gauge, value);
        if has_room { place.capture(sample, at) } else { place.lose(sample, at) }
    }
}

/// The trace and span of a measurement here. None if nothing is sent from here.
fn place() -> Option<MetricPlace> {
    // What the exporter itself causes would never end.
    if are_metrics_wanted() && !is_exporter() { MetricPlace::here() } else { None }
}

/// A value that has changed.
#[derive(Clone, Copy, Debug)]
struct Changed<V> {
    before: Option<V>,
    value: V,
    /// When it changed, in nanoseconds since the epoch.
    at: u64,
    /// Whether there is room to know it.
    has_room: bool,
}

/// Changes a value. It is known from then on, if `stays` says so and there is room for it.
fn change<V: Copy>(values: &Values<V>, key: &Key, now: u64, new: impl FnOnce(Option<V>) -> V, stays: impl FnOnce(V) -> bool) -> Changed<V> {
    let mut values = values.lock();
    let before = values.get(key).copied();
    let has_room = before.is_some() || values.len() < KNOWN_LIMIT;
    let value = new(before.map(|(value, _)| value));
    // The server shows the value with the latest time as the last one. Another thread may have been faster since `now`.
    let at = before.map_or(now, |(_, at)| now.max(at.saturating_add(STEP)).min(now.saturating_add(AHEAD)));
    if has_room && stays(value) {
        match values.get_mut(key) {
            Some(known) => *known = (value, at),
            None => drop(values.insert(key.clone(), (value, at))),
        }
    }
    Changed { before: before.map(|(value, _)| value), value, at, has_room }
}

#[expect(clippy::cast_precision_loss, reason = "a counter beyond 2^53 is rounded")]
impl CounterFn for Handle {
    fn increment(&self, value: u64) {
        if value == 0 {
            return;
        }
        let Some(place) = place() else { return };
        if self.known.has_counters.load(Ordering::Relaxed) {
            let mut counters = self.known.counters.lock();
            if let Some((known, _)) = counters.get_mut(&self.key) {
                *known = known.saturating_add(value);
            }
        }
        place.capture(self.sample(MetricType::Counter, value as f64), clock::wall());
    }

    fn absolute(&self, value: u64) {
        // First: a value that is not sent now must be part of the next difference.
        let Some(place) = place() else { return };
        self.known.has_counters.store(true, Ordering::Relaxed);
        let Changed { before, value, at, has_room } =
            change(&self.known.counters, &self.key, clock::wall(), |before| value.max(before.unwrap_or_default()), |_| true);
        let added = value - before.unwrap_or_default();
        if added == 0 {
            return;
        }
        let sample = self.sample(MetricType::Counter, added as f64);
        if has_room { place.capture(sample, at) } else { place.lose(sample, at) }
    }
}

impl GaugeFn for Handle {
    fn increment(&self, value: f64) {
        self.step(value);
    }

    fn decrement(&self, value: f64) {
        self.step(-value);
    }

    fn set(&self, value: f64) {
        let Changed { at, .. } = self.set_gauge(|_| value);
        if let Some(place) = place() {
            place.capture(self.sample(MetricType::Gauge, value), at);
        }
    }
}

impl HistogramFn for Handle {
    fn record(&self, value: f64) {
        if let Some(place) = place() {
            place.capture(self.sample(MetricType::Distribution, value), clock::wall());
        }
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
            assert!(change(&values, &key(number), 1, |_| 1, |_| true).has_room);
        }

        let beyond = || change(&values, &key(KNOWN_LIMIT), 1, |before| before.unwrap_or_default() + 1, |_| true);
        assert_eq!([beyond(), beyond()].map(|changed| (changed.value, changed.has_room)), [(1, false); 2]);
        assert_eq!(change(&values, &key(7), 1, |before| before.map_or(0, |before| before + 1), |_| true).value, 2);
    }

    #[test]
    fn of_two_values_the_later_one_has_the_later_time() {
        let values = Lock::new(HashMap::new());
        let at = |now| change(&values, &Key::from_name("queue.depth"), now, |_| 1.0, f64::is_finite).at;

        let times = [at(5_000), at(3_000), at(6_500), at(9 * AHEAD), at(4 * AHEAD)];

        assert_eq!(times, [5_000, 6_000, 7_000, 9 * AHEAD, 5 * AHEAD], "a thread read the clock earlier than it had the lock");
    }
}
