//! What is measured with the `metrics` crate.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram, with_local_recorder};
use tower_sentry::Config;
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
    let (client, _captured) = tower_sentry::test::client_with(Config::builder().max_metrics_per_name(0));
    let recorder = MetricsRecorder::new();
    let work = async {
        with_local_recorder(&recorder, || (0..10_001).for_each(|number| gauge!("queue.depth", "queue" => number.to_string()).increment(1)));
    };

    client.transaction("work").run_infallible(work).await;

    let dropped = client.stats().metrics.dropped;
    assert!(dropped.contains(&(DiscardReason::BufferOverflow, 1)), "{dropped:?}");
}

async fn measured(client: &tower_sentry::Client, recorder: &MetricsRecorder, measure: impl Fn()) {
    client.transaction("work").run_infallible(async { with_local_recorder(recorder, measure) }).await;
}

/// The values of what was sent under a name.
fn values(sent: &[Metric], name: &str) -> Vec<f64> {
    sent.iter().filter(|metric| metric.name == name).map(|metric| metric.value).collect()
}

#[tokio::test]
async fn an_absolute_counter_is_not_known_by_what_was_not_sent() {
    let (client, captured) = tower_sentry::test::client();
    let (off, _) = tower_sentry::test::client_with(Config::builder().enable_metrics(false));
    let recorder = MetricsRecorder::new();

    measured(&off, &recorder, || counter!("requests").absolute(5)).await;
    measured(&client, &recorder, || counter!("requests").absolute(7)).await;

    assert_eq!(values(&captured.metrics(), "requests"), [7.0]);
}

#[tokio::test]
async fn a_counter_that_is_both_set_and_increased_counts_nothing_twice() {
    let (client, captured) = tower_sentry::test::client();
    let recorder = MetricsRecorder::new();

    measured(&client, &recorder, || {
        counter!("requests").absolute(0);
        counter!("requests").increment(0);
        counter!("requests").absolute(5);
        counter!("requests").increment(2);
        counter!("requests").absolute(7);
        counter!("requests").absolute(9);
        counter!("requests", "shop" => "north").increment(4);
    })
    .await;

    assert_eq!(values(&captured.metrics(), "requests"), [5.0, 2.0, 2.0, 4.0]);
}

#[tokio::test]
async fn a_value_that_is_not_finite_does_not_spoil_a_gauge() {
    let (client, captured) = tower_sentry::test::client();
    let recorder = MetricsRecorder::new();

    measured(&client, &recorder, || {
        gauge!("queue.depth").set(7);
        gauge!("queue.depth").set(f64::NAN);
        gauge!("queue.depth").increment(f64::INFINITY);
        gauge!("queue.depth").increment(1);
    })
    .await;

    assert_eq!(values(&captured.metrics(), "queue.depth"), [7.0, 8.0]);
    assert_eq!(client.stats().metrics.dropped, [(DiscardReason::Invalid, 2)]);
}

#[tokio::test]
async fn a_gauge_that_is_set_needs_no_room_and_nothing_is_lost_where_nothing_is_sent() {
    let (client, captured) = tower_sentry::test::client();
    let recorder = MetricsRecorder::new();
    let fill = || (0..10_000).for_each(|number| gauge!("queue.depth", "queue" => number.to_string()).set(1));
    let (off, _) = tower_sentry::test::client_with(Config::builder().enable_metrics(false));
    measured(&off, &recorder, fill).await;

    measured(&off, &recorder, || gauge!("beyond").increment(1)).await;
    measured(&client, &recorder, || gauge!("beyond").set(7)).await;

    assert_eq!(values(&captured.metrics(), "beyond"), [7.0]);
    assert_eq!((off.stats().metrics.captured, client.stats().metrics.captured), (0, 1));
}

#[test]
fn the_recorder_goes_everywhere() {
    fn is_shared<T: Clone + std::fmt::Debug + Send + Sync + 'static>(_: &T) {}

    is_shared(&MetricsRecorder::new());
}
