//! What is measured with the `metrics` crate.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram, with_local_recorder};
use tower_sentry::metrics::MetricsRecorder;
use tower_sentry::protocol::{DiscardReason, Metric, MetricType};

#[tokio::test]
async fn what_is_measured_with_the_facade_is_sent() {
    let (client, captured) = tower_sentry::test::client();
    let recorder = MetricsRecorder::new();
    let work = async {
        with_local_recorder(&recorder, || {
            describe_histogram!("render.duration", Unit::Seconds, "how long a page takes");
            describe_gauge!("queue.rate", Unit::CountPerSecond, "no unit of the protocol");
            describe_counter!("orders", Unit::Bytes, "counters have none");
            counter!("orders", "shop" => "north", "password" => "hunter2-canary").increment(2);
            for value in [5, 7, 7, 3, 9] {
                counter!("absolute").absolute(value);
            }
            gauge!("queue.depth").set(7);
            gauge!("queue.depth").increment(2);
            gauge!("queue.depth").decrement(4);
            gauge!("queue.depth", "queue" => "other").increment(1);
            gauge!("queue.rate").set(1);
            histogram!("render.duration").record_many(0.25, 2);
        });
    };

    client.transaction("work").run_infallible(work).await;

    let sent = captured.metrics();
    let of = |name: &str| sent.iter().filter(|metric| metric.name == name).map(|metric| (metric.kind, metric.value)).collect::<Vec<_>>();
    assert_eq!(of("orders"), [(MetricType::Counter, 2.0)]);
    assert_eq!(of("absolute"), [5.0, 2.0, 2.0].map(|value| (MetricType::Counter, value)));
    assert_eq!(of("queue.depth"), [7.0, 9.0, 5.0, 1.0].map(|value| (MetricType::Gauge, value)));
    assert_eq!(of("render.duration"), [0.25, 0.25].map(|value| (MetricType::Distribution, value)));
    let one = |name: &str| -> &Metric { sent.iter().find(|metric| metric.name == name).unwrap() };
    let unit = |name: &str| one(name).unit.as_ref().map(|unit| unit.as_str().to_owned());
    assert_eq!((unit("render.duration"), unit("queue.rate"), unit("orders")), (Some("second".to_owned()), None, None));
    let orders = one("orders");
    assert_eq!((&orders.attributes["shop"].value, &orders.attributes["password"].value), (&"north".into(), &"[Filtered]".into()));
    let trace = captured.transactions()[0].contexts.trace.as_ref().unwrap().trace_id;
    assert!(sent.iter().all(|metric| metric.trace_id == trace));
}

#[tokio::test]
async fn a_gauge_beyond_those_that_are_known_is_dropped_and_counted() {
    let (client, _captured) = tower_sentry::test::client_with(tower_sentry::Config::builder().max_metrics_per_name(0));
    let recorder = MetricsRecorder::new();
    let work = async {
        with_local_recorder(&recorder, || (0..10_001).for_each(|number| gauge!("queue.depth", "queue" => number.to_string()).increment(1)));
    };

    client.transaction("work").run_infallible(work).await;

    let dropped = client.stats().metrics.dropped;
    assert!(dropped.contains(&(DiscardReason::BufferOverflow, 1)), "{dropped:?}");
}

#[test]
fn the_recorder_goes_everywhere() {
    fn is_shared<T: Clone + std::fmt::Debug + Send + Sync + 'static>(_: &T) {}

    is_shared(&MetricsRecorder::new());
}
