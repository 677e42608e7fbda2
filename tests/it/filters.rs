//! What a `TracingLayer` with rules of its own makes of spans and events, and how it goes into a subscriber.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tower_sentry::test::{Captured, client_with};
use tower_sentry::{Client, Config, EventFilter, TracingLayer};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::set_default;
use tracing::{Level, Subscriber, debug, debug_span, error, info, info_span, warn};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, registry, reload};

use crate::support::{self, Shown, said_in_child};

fn captures() -> (Client, Captured) {
    client_with(Config::builder().traces_sample_rate(1.0).enable_logs(true))
}

fn payloads(captured: &Captured, kind: &str) -> Vec<Value> {
    support::payloads_in(&captured.envelopes(), kind)
}

fn texts(values: &[Value], path: &str) -> Vec<String> {
    values.iter().map(|value| value.pointer(path).and_then(Value::as_str).unwrap_or("-").to_owned()).collect()
}

/// Which messages became events, breadcrumbs of the last event, and logs; and the spans as a tree.
fn seen(captured: &Captured) -> [Vec<String>; 4] {
    let events = payloads(captured, "event");
    let steps = events.last().map(|event| event["breadcrumbs"]["values"].as_array().cloned().unwrap_or_default()).unwrap_or_default();
    let logs: Vec<_> = payloads(captured, "log").iter().flat_map(|container| container["items"].as_array().unwrap().clone()).collect();
    let mut events = texts(&events, "/logentry/message");
    events.retain(|message| message != "end");
    [events, texts(&steps, "/message"), texts(&logs, "/body"), captured.tree().lines().map(|line| line.trim().to_owned()).collect()]
}

/// Everything in one job: each level, two targets, and a span of each of two levels.
fn work() {
    let _outer = info_span!("outer").entered();
    let _inner = debug_span!(target: "noisy", "inner").entered();
    error!("an error");
    warn!("a warning");
    info!("an info");
    debug!("a detail");
    error!(target: "noisy", "a noisy error");
}

async fn heard(layer: impl FnOnce(TracingLayer) -> TracingLayer) -> Captured {
    let (client, captured) = captures();
    let _subscriber = set_default(registry().with(layer(TracingLayer::new(&client))));
    let work = async {
        work();
        tower_sentry::capture_message(tower_sentry::Level::Info, "end");
    };
    client.transaction("work").run(work).await;
    captured
}

#[tokio::test]
async fn each_kind_has_a_level_of_its_own_and_later_calls_win() {
    let default = heard(|layer| layer).await;
    let levels = heard(|layer| {
        let layer = layer.level(Level::TRACE).events_from(Level::WARN).breadcrumbs_from(Level::DEBUG);
        layer.logs_from(LevelFilter::ERROR)
    });
    let levels = levels.await;
    let off = heard(|layer| {
        let layer = layer.breadcrumbs_from(LevelFilter::OFF).events_from(LevelFilter::OFF);
        layer.logs_from(LevelFilter::OFF)
    });
    let off = off.await;
    let later = heard(|layer| layer.breadcrumbs_from(LevelFilter::OFF).level(Level::WARN).error_events(false)).await;

    let (errors, infos) = (vec!["an error", "a noisy error"], vec!["an error", "a warning", "an info", "a noisy error"]);
    let (warnings, all) =
        (vec!["an error", "a warning", "a noisy error"], vec!["an error", "a warning", "an info", "a detail", "a noisy error"]);
    let root = |status: &str| format!("work [task] {status}");
    let outer = "outer [function] internal_error";
    assert_eq!(seen(&default), [errors.clone(), infos.clone(), infos.clone(), vec![&*root("ok"), outer]]);
    let inner = "inner [function] internal_error";
    assert_eq!(seen(&levels), [warnings.clone(), all, errors, vec![&*root("ok"), "outer [function] ok", inner]]);
    assert_eq!(seen(&off)[..3], [vec![], vec![], Vec::<&str>::new()]);
    assert_eq!(seen(&later)[..3], [vec![], warnings.clone(), warnings]);
    let levels: Vec<_> = texts(&payloads(&levels, "event"), "/level");
    assert_eq!(levels, ["error", "warning", "error", "info"], "an event has the level of its log");
}

#[tokio::test]
async fn an_event_filter_decides_what_becomes_of_an_event() {
    let captured = heard(|layer| {
        layer.event_filter(|callsite| match *callsite.level() {
            _ if callsite.target() == "noisy" => EventFilter::IGNORE,
            Level::ERROR => EventFilter::EVENT | EventFilter::LOG,
            Level::WARN => EventFilter::BREADCRUMB,
            Level::INFO => EventFilter::LOG,
            _ => EventFilter::EVENT,
        })
    });
    let captured = captured.await;

    let [events, steps, logs, _] = seen(&captured);
    assert_eq!(events, ["an error", "a detail"]);
    assert_eq!(steps, ["a warning"]);
    assert_eq!(logs, ["an error", "an info"]);
}

#[tokio::test]
async fn an_event_filter_is_asked_once_for_an_event() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);

    let captured = heard(|layer| {
        layer.event_filter(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            EventFilter::BREADCRUMB | EventFilter::LOG
        })
    })
    .await;

    let [_, _, logs, _] = seen(&captured);
    assert_eq!(asked.load(Ordering::Relaxed), logs.len());
}

#[tokio::test]
async fn an_ignored_error_marks_no_span_and_is_no_event_outside_of_requests() {
    let (client, captured) = captures();
    let layer = TracingLayer::new(&client)
        .event_filter(|callsite| if callsite.target() == "noisy" { EventFilter::IGNORE } else { EventFilter::EVENT });
    let _subscriber = set_default(registry().with(layer));

    let work = async { info_span!("quiet").in_scope(|| error!(target: "noisy", "ignored")) };
    client.transaction("work").run(work).await;
    error!(target: "noisy", "ignored outside");
    info!("reported outside");

    assert_eq!(captured.tree(), "work [task] ok\n  quiet [function] ok\n");
    let events = payloads(&captured, "event");
    assert_eq!(
        (texts(&events, "/logentry/message"), texts(&events, "/level")),
        (vec!["reported outside".to_owned()], vec!["info".to_owned()])
    );
}

#[tokio::test]
async fn a_span_filter_decides_which_spans_are_recorded() {
    let captured = heard(|layer| layer.span_filter(|callsite| callsite.target() == "noisy")).await;

    assert_eq!(captured.tree(), "work [task] ok\n  inner [function] internal_error\n");
}

#[tokio::test]
async fn a_filter_that_panics_leaves_the_decision_to_the_levels() {
    let faulty = heard(|layer| {
        let layer = layer.span_filter(|callsite| panic!("a fault at {}", callsite.name()));
        layer.event_filter(|callsite| panic!("a fault at {}", callsite.name()))
    });

    let (faulty, default) = (faulty.await, heard(|layer| layer).await);

    assert_eq!(seen(&faulty), seen(&default));
}

#[tokio::test]
async fn the_layer_works_in_an_option_a_box_a_reload_layer_and_under_a_filter() {
    async fn under(client: &Client, subscriber: impl Subscriber + Send + Sync) {
        let _subscriber = set_default(subscriber);
        client.transaction("work").run(async { work() }).await;
    }
    let mut all = Vec::new();
    for form in ["plain", "option", "box", "reload", "filter", "none beside"] {
        let (client, captured) = captures();
        let layer = TracingLayer::new(&client);
        match form {
            "plain" => under(&client, registry().with(layer)).await,
            "option" => under(&client, registry().with(Some(layer))).await,
            "box" => under(&client, registry().with(layer.boxed())).await,
            "reload" => under(&client, registry().with(reload::Layer::new(layer).0)).await,
            "filter" => under(&client, registry().with(layer.with_filter(filter_fn(|_| true)))).await,
            _ => under(&client, registry().with(None::<TracingLayer>).with(layer)).await,
        }
        let [events, _, logs, spans] = seen(&captured);
        let events_with_fields = payloads(&captured, "event").iter().all(|event| event["contexts"]["trace"]["op"] == "task");
        all.push((form, events, logs, spans, events_with_fields));
    }

    let (_, events, logs, spans, _) = all[0].clone();
    assert_eq!((events.len(), logs.len(), spans.len()), (2, 4, 2));
    for form in all {
        assert_eq!(form, (form.0, events.clone(), logs.clone(), spans.clone(), true));
    }
}

#[tokio::test]
async fn a_layer_that_is_reloaded_while_requests_run_records_with_its_new_rules() {
    let (client, captured) = captures();
    let (layer, handle) = reload::Layer::<_, Registry>::new(TracingLayer::new(&client));
    let _subscriber = set_default(registry().with(layer));

    let work = async {
        info_span!("before").in_scope(|| info!("before"));
        handle.reload(TracingLayer::new(&client).level(Level::WARN)).unwrap();
        info_span!("after").in_scope(|| info!("after"));
        warn!("a warning");
        tower_sentry::capture_message(tower_sentry::Level::Info, "end");
    };
    client.transaction("work").run(work).await;

    assert_eq!(seen(&captured)[1], ["before", "a warning"]);
    assert_eq!(captured.tree(), "work [task] ok\n  before [function] ok\n");
}

#[test]
fn of_two_layers_in_one_subscriber_the_outer_one_records_and_a_warning_says_so() {
    let name = "filters::of_two_layers_in_one_subscriber_the_outer_one_records_and_a_warning_says_so";
    if let Some(said) = said_in_child(name, &[]) {
        assert_eq!(said.matches("the subscriber has two TracingLayers").count(), 2, "of one client, and of two: {said}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let inside = |client: &Client, captured: &Captured| {
        runtime.block_on(client.transaction("work").run(async { work() }));
        let [events, _, logs, spans] = seen(captured);
        assert_eq!((events.len(), logs.len(), spans.len()), (2, 4, 2), "{events:?} {logs:?} {spans:?}");
    };
    let outside =
        |captured: &Captured| payloads(captured, "event").iter().filter(|event| event["logentry"]["message"] == "outside").count();

    let (client, captured) = captures();
    let shown = Shown::default();
    let fmt = || tracing_subscriber::fmt::layer().with_writer(shown.clone());
    let twice = registry().with(TracingLayer::new(&client)).with(fmt()).with(Some(TracingLayer::new(&client)));
    let subscriber = set_default(twice);
    inside(&client, &captured);
    error!("outside");
    drop(subscriber);
    assert_eq!(outside(&captured), 1);

    let ((first, of_first), (second, of_second)) = (captures(), captures());
    let _subscriber = set_default(registry().with(TracingLayer::new(&first)).with(fmt()).with(TracingLayer::new(&second)));
    inside(&first, &of_first);
    inside(&second, &of_second);
    error!("outside");
    assert_eq!((outside(&of_first), outside(&of_second)), (1, 1), "each client has its own");
}

#[tokio::test]
async fn an_event_mapper_adds_to_the_events_of_logs_and_drops_them() {
    let (client, captured) = client_with(Config::builder().traces_sample_rate(1.0).before_capture(|hint| {
        hint.set_tag("first", "capture").set_tag("last", "capture");
    }));
    let layer = TracingLayer::new(&client).event_mapper(|event, hint| match event.metadata().target() {
        "noisy" => _ = hint.ignore(),
        "faulty" => panic!("a fault"),
        target => _ = hint.set_tag("last", target).set_level(tower_sentry::Level::Fatal).set_extra("password", "hunter2"),
    });
    let _subscriber = set_default(registry().with(layer));

    let work = async {
        error!(target: "noisy", "ignored");
        error!(target: "faulty", "as it is");
        error!(target: "shop", error = &std::fmt::Error as &dyn std::error::Error, "mapped");
    };
    client.transaction("work").run(work).await;
    error!(target: "shop", "outside");

    let events = payloads(&captured, "event");
    let tags: Vec<_> =
        events.iter().map(|event| (&event["logentry"]["message"], &event["level"], event.get("tags"), event.get("extra"))).collect();
    let extra = json!({"password": "[Filtered]"});
    let [mapped, outside] = [json!({"first": "capture", "last": "shop"}), json!({"last": "shop"})];
    let text = |text: &str| Value::from(text);
    let expected = [
        (&text("as it is"), &text("error"), None, None),
        (&text("mapped"), &text("fatal"), Some(&mapped), Some(&extra)),
        (&text("outside"), &text("fatal"), Some(&outside), Some(&extra)),
    ];
    assert_eq!(tags, expected);
    assert_eq!(client.stats().errors.dropped_total(), 1);
}

#[tokio::test]
async fn what_a_span_follows_from_is_a_link_also_in_another_request() {
    support::subscribe();
    let (client, captured) = captures();
    let (send_cause, cause) = tokio::sync::oneshot::channel();
    let (send_end, end) = tokio::sync::oneshot::channel::<()>();
    let first = async {
        send_cause.send(info_span!("cause")).unwrap();
        end.await.unwrap();
    };
    let second = async {
        let cause = cause.await.unwrap();
        let inside = info_span!("inside");
        let effect = info_span!("effect");
        effect.follows_from(&cause);
        effect.follows_from(&inside);
        effect.follows_from(None);
        cause
    };
    let second = async {
        let cause = client.transaction("second").run_infallible(second).await;
        send_end.send(()).unwrap();
        cause
    };
    let ((), cause) = tokio::join!(client.transaction("first").run(first), second);
    let late = async { _ = info_span!("late").follows_from(&cause) };
    client.transaction("third").run_infallible(late).await;

    let transactions = payloads(&captured, "transaction");
    let of = |name: &str| transactions.iter().find(|transaction| transaction["transaction"] == name).unwrap();
    let span = |of: &Value, name: &str| of["spans"].as_array().unwrap().iter().find(|span| span["description"] == name).unwrap().clone();
    let link = |to: &Value| {
        let (trace, span) = (&to["trace_id"], &to["span_id"]);
        json!({"trace_id": trace, "span_id": span, "attributes": {"sentry.link.type": "follows_from"}})
    };
    assert_eq!(span(of("second"), "effect")["links"], json!([link(&span(of("first"), "cause")), link(&span(of("second"), "inside"))]));
    assert!(span(of("second"), "inside").get("links").is_none());
    let root = link(&of("first")["contexts"]["trace"]);
    assert_eq!(span(of("third"), "late")["links"], json!([root]), "the request has ended: the link is to the request");
}
