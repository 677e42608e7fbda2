//! What `TracingLayer` makes of the events and spans of `tracing`: levels, values, messages, filters.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_sentry::test::{Captured, client_with};
use tower_sentry::{Config, ConfigBuilder, Scope, SentryLayer, TracingLayer};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::set_default;
use tracing::{Level, debug, debug_span, error, error_span, info, info_span, instrument, trace, trace_span, warn, warn_span};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

use crate::support::{self, Relay, Shown, in_child};

/// An error whose `Debug` says more than its `Display`.
#[derive(Debug)]
struct ShelfError {
    #[expect(dead_code, reason = "shown by `Debug`")]
    inner: &'static str,
}

impl fmt::Display for ShelfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the shelf is empty")
    }
}

impl Error for ShelfError {}

const SHELF: ShelfError = ShelfError { inner: "canary" };

fn logs() -> ConfigBuilder {
    Config::builder().traces_sample_rate(1.0).enable_logs(true)
}

/// What a transaction captures of `work` through a layer with these settings. The last event is the message `end`.
async fn heard(config: ConfigBuilder, layer: impl FnOnce(TracingLayer) -> TracingLayer, work: impl Future<Output = ()>) -> Captured {
    let (client, captured) = client_with(config);
    let _subscriber = set_default(registry().with(layer(TracingLayer::new(&client))));
    let work = async {
        work.await;
        tower_sentry::capture_message(tower_sentry::Level::Info, "end");
    };
    client.transaction("work").run(work).await;
    captured
}

/// The payloads of one kind, as they would be sent.
fn payloads(captured: &Captured, kind: &str) -> Vec<Value> {
    support::payloads_in(&captured.envelopes(), kind)
}

fn sent_logs(captured: &Captured) -> Vec<Value> {
    payloads(captured, "log").iter().flat_map(|container| container["items"].as_array().unwrap().clone()).collect()
}

fn crumbs(event: &Value) -> Vec<Value> {
    event["breadcrumbs"]["values"].as_array().cloned().unwrap_or_default()
}

fn texts(values: &[Value], name: &str) -> Vec<String> {
    values.iter().map(|value| value[name].as_str().unwrap_or("-").to_owned()).collect()
}

fn messages(captured: &Captured) -> Vec<String> {
    payloads(captured, "event").iter().map(|event| event["logentry"]["message"].as_str().unwrap_or("-").to_owned()).collect()
}

#[tokio::test]
async fn spans_and_events_are_recorded_from_the_level_of_the_layer_on() {
    let rows = [
        (None, &["error", "warn", "info"][..]),
        (Some(Level::ERROR), &["error"]),
        (Some(Level::WARN), &["error", "warn"]),
        (Some(Level::INFO), &["error", "warn", "info"]),
        (Some(Level::DEBUG), &["error", "warn", "info", "debug"]),
        (Some(Level::TRACE), &["error", "warn", "info", "debug", "trace"]),
    ];
    for (level, expected) in rows {
        let work = async {
            drop((error_span!("error"), warn_span!("warn"), info_span!("info"), debug_span!("debug"), trace_span!("trace")));
            error!("error");
            warn!("warn");
            info!("info");
            debug!("debug");
            trace!("trace");
        };

        let captured = heard(
            logs(),
            |layer| level.map_or_else(|| TracingLayer::new(Config::builder().build().unwrap()), |level| layer.level(level)),
            work,
        );
        let captured = captured.await;

        let spans: String = expected.iter().map(|name| format!("  {name} [function] ok\n")).collect();
        assert_eq!(captured.tree(), format!("work [task] ok\n{spans}"), "{level:?}");
        let end = payloads(&captured, "event").pop().unwrap();
        assert_eq!(texts(&crumbs(&end), "message"), expected, "breadcrumbs from {level:?}");
        assert_eq!(texts(&sent_logs(&captured), "body"), expected, "logs from {level:?}");
        assert_eq!(messages(&captured), ["error", "end"], "only errors are events");
    }
}

#[tokio::test]
async fn each_level_has_its_word_and_an_event_its_place() {
    let work = async {
        error!("five");
        warn!("four");
        info!(target: "shop::orders", "three");
        debug!("two");
        trace!("one");
    };

    let captured = heard(logs(), |layer| layer.level(Level::TRACE), work).await;

    let end = payloads(&captured, "event").pop().unwrap();
    assert_eq!(texts(&crumbs(&end), "level"), ["error", "warning", "info", "debug", "debug"]);
    assert_eq!(texts(&crumbs(&end), "category"), ["it::events", "it::events", "shop::orders", "it::events", "it::events"]);
    assert!(crumbs(&end).iter().all(|crumb| crumb.get("data").is_none() && crumb["timestamp"].is_number()), "{end}");
    let logs = sent_logs(&captured);
    let levels: Vec<_> = logs.iter().map(|log| (log["level"].as_str().unwrap(), log["severity_number"].as_u64().unwrap())).collect();
    assert_eq!(levels, [("error", 17), ("warn", 13), ("info", 9), ("debug", 5), ("trace", 1)]);
    let place = |log: &Value| (log["attributes"]["logger.name"]["value"].clone(), log["attributes"]["code.file.path"]["value"].clone());
    assert_eq!(place(&logs[2]), ("shop::orders".into(), "tests/it/events.rs".into()));
    let transaction = &payloads(&captured, "transaction")[0]["contexts"]["trace"];
    assert!(logs.iter().all(|log| (&log["trace_id"], &log["span_id"]) == (&transaction["trace_id"], &transaction["span_id"])));
}

#[tokio::test]
async fn values_keep_their_types_wherever_they_go() {
    let shelf = &SHELF as &dyn Error;
    macro_rules! with_fields {
        ($make:ident, $($name:literal)?; $($message:literal)?) => {
            tracing::$make!(
                $($name,)? yes = true, no = false, least = i64::MIN, minus = -7_i32, count = 7_u8, huge = u64::MAX, wide = u128::MAX,
                deep = i128::MIN, ratio = 0.5, single = 0.25_f32, not_a_number = f64::NAN, endless = f64::NEG_INFINITY, text = "käse",
                empty = "", owned = String::from("owned"), shown = %format_args!("{}-{}", 1, 2), debug = ?Some("x"), shelf = shelf,
                some = Some(3), none = None::<u64>, unset = tracing::field::Empty, $($message)?
            )
        };
    }
    let expected = json!({
        "yes": true, "no": false, "least": i64::MIN, "minus": -7, "count": 7, "huge": u64::MAX.to_string(), "wide": u128::MAX.to_string(),
        "deep": i128::MIN.to_string(), "ratio": 0.5, "single": 0.25, "not_a_number": "NaN", "endless": "-inf", "text": "käse",
        "empty": "", "owned": "owned", "shown": "1-2", "debug": "Some(\"x\")", "shelf": "the shelf is empty", "some": 3
    });
    let kinds = json!({
        "yes": "boolean", "no": "boolean", "least": "integer", "minus": "integer", "count": "integer", "huge": "string", "wide": "string",
        "deep": "string", "ratio": "double", "single": "double", "not_a_number": "string", "endless": "string", "text": "string",
        "empty": "string", "owned": "string", "shown": "string", "debug": "string", "shelf": "string", "some": "integer"
    });
    let work = async {
        with_fields!(info_span, "typed";).in_scope(|| with_fields!(error, ; "typed"));
    };

    let captured = heard(logs(), |layer| layer, work).await;

    let of_program = |name: &str| name.starts_with("code.") || name.starts_with("sentry.") || name == "logger.name";
    let given = |values: &Value| {
        let values = values.as_object().unwrap().iter().filter(|(name, _)| !of_program(name));
        Value::Object(values.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    let event = &payloads(&captured, "event")[0];
    assert_eq!(given(&event["contexts"]["fields"]), expected, "the event");
    assert_eq!(crumbs(&payloads(&captured, "event")[1])[0]["data"], expected, "the breadcrumb");
    assert_eq!(given(&payloads(&captured, "transaction")[0]["spans"][0]["data"]), expected, "the span");
    let log = given(&sent_logs(&captured)[0]["attributes"]);
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(log[name], json!({"type": kinds[name], "value": value}), "{name} of the log");
    }
    assert_eq!(log.as_object().unwrap().len(), expected.as_object().unwrap().len(), "{log}");
    assert!(!captured.envelopes().iter().any(|envelope| String::from_utf8_lossy(envelope).contains("canary")), "the `Debug` of an error");
}

#[tokio::test]
async fn an_event_says_what_went_wrong_by_its_message_or_its_error() {
    let other = std::io::Error::other("connection refused");
    let (shelf, other) = (&SHELF as &dyn Error, &other as &dyn Error);
    let work = async {
        // Logs of one error are one event, unless they are in different scopes.
        let apart = |log: &dyn Fn()| Scope::current().with(|_| log());
        apart(&|| error!("plain"));
        apart(&|| error!(error = %shelf, "message and text"));
        apart(&|| error!(error = %shelf));
        apart(&|| error!(err = %shelf));
        apart(&|| error!(exception = ?shelf.to_string()));
        apart(&|| error!(error = "a text"));
        apart(&|| error!(error = shelf, "message and chain"));
        apart(&|| error!(cause = other));
        apart(&|| error!(first = shelf, second = other, "two chains"));
        apart(&|| error!(error = %other, cause = shelf, "text and chain"));
    };

    let captured = heard(logs(), |layer| layer, work).await;

    let shown = |event: &Value| {
        let chain = event["exception"]["values"].as_array().cloned().unwrap_or_default();
        format!("{} | {}", event["logentry"]["message"].as_str().unwrap_or("-"), texts(&chain, "value").join(" < "))
    };
    let events: Vec<_> = payloads(&captured, "event").iter().map(shown).collect();
    let expected = [
        "plain | ",
        "message and text | ",
        "the shelf is empty | ",
        "the shelf is empty | ",
        "\"the shelf is empty\" | ",
        "a text | ",
        "message and chain | the shelf is empty",
        "- | connection refused",
        "two chains | the shelf is empty",
        "text and chain | the shelf is empty",
        "end | ",
    ];
    assert_eq!(events, expected);
    let event = &payloads(&captured, "event")[6];
    assert_eq!((&event["level"], &event["logger"]), (&"error".into(), &"it::events".into()));
    assert_eq!(event["exception"]["values"][0]["type"], "ShelfError");
    assert_eq!(event["exception"]["values"][0]["mechanism"], json!({"type": "tracing", "handled": true, "exception_id": 0}));
}

#[tokio::test]
async fn without_error_events_an_error_is_a_breadcrumb_and_fails_its_span() {
    for captures in [true, false] {
        let (client, captured) = client_with(Config::builder().traces_sample_rate(1.0));
        let _subscriber = set_default(registry().with(TracingLayer::new(&client).error_events(captures)));
        let work = async {
            info_span!("outer").in_scope(|| {
                info_span!("inner").in_scope(|| error!("inside"));
                info_span!("fine").in_scope(|| warn!("only a warning"));
            });
            info_span!("around").in_scope(|| debug_span!("below the level").in_scope(|| error!("below the level")));
            tower_sentry::capture_message(tower_sentry::Level::Info, "end");
        };

        error!("outside");
        client.transaction("work").run(work).await;

        let expected = if captures { &["outside", "inside", "below the level", "end"][..] } else { &["end"] };
        assert_eq!(messages(&captured), expected);
        let end = payloads(&captured, "event").pop().unwrap();
        assert_eq!(texts(&crumbs(&end), "message"), ["inside", "only a warning", "below the level"]);
        assert_eq!(
            captured.tree(),
            "work [task] ok\n  outer [function] ok\n    inner [function] internal_error\n    fine [function] ok\n  around [function] internal_error\n"
        );
    }
}

#[tokio::test]
async fn an_error_of_an_ignored_target_is_a_breadcrumb_only() {
    let work = async {
        error!(target: "shop::noisy", "again");
        error!(target: "shop::noisy::part", "and again");
        error!(target: "shop::noisy_neighbour", "kept");
    };

    let captured = heard(logs().ignore_error_targets(["shop::noisy"]), |layer| layer, work).await;

    assert_eq!(messages(&captured), ["kept", "end"]);
    let end = payloads(&captured, "event").pop().unwrap();
    assert_eq!(texts(&crumbs(&end), "message"), ["again", "and again", "kept"]);
}

#[tokio::test]
async fn what_the_crate_itself_logs_is_in_no_request() {
    let (client, captured) = client_with(logs());
    let shown = Shown::default();
    let fmt = tracing_subscriber::fmt::layer().with_writer(shown.clone());
    let _subscriber = set_default(registry().with(fmt).with(TracingLayer::new(&client).level(Level::TRACE)));
    let work = async {
        client.transaction("inner").sample_rate(7.0).run(async {}).await;
        info_span!(target: "tower_sentry", "of the crate").in_scope(|| error!(target: "tower_sentry", "an error of the crate"));
        info!("mine");
        tower_sentry::capture_message(tower_sentry::Level::Info, "end");
    };

    client.transaction("work").run(work).await;

    assert!(
        shown.text().contains("the sample rate of 'inner' is ignored: expected a number from 0.0 to 1.0, found 7")
            && shown.text().contains("an error of the crate"),
        "{}",
        shown.text()
    );
    assert_eq!(messages(&captured), ["end"]);
    let end = payloads(&captured, "event").pop().unwrap();
    assert_eq!((texts(&crumbs(&end), "message"), texts(&sent_logs(&captured), "body")), (vec!["mine".to_owned()], vec!["mine".to_owned()]));
    assert_eq!(captured.tree(), "inner [task] ok\nwork [task] ok\n");
    support::settle(&client).await;
}

#[tokio::test]
async fn the_line_of_an_error_is_no_step_before_it_however_long_it_is() {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    for text in ["word".to_owned(), "word ".repeat(1000), "word ".repeat(5000)] {
        let job = async {
            tracing::info!("before");
            tracing::error!("{text}");
        };
        client.transaction("job").run_infallible(job).await;
    }

    for event in captured.events() {
        let steps: Vec<_> = event.breadcrumbs.values.iter().map(|step| step.message.as_deref().unwrap()).collect();
        assert_eq!(steps, ["before"]);
    }
    assert_eq!(captured.events().len(), 3);
}

#[tokio::test]
async fn a_name_that_is_set_again_and_again_stays() {
    let (client, captured) = tower_sentry::test::client();
    let job = async {
        let transaction = Scope::current().transaction();
        for _ in 0..200 {
            transaction.set_name("n".repeat(10_000));
        }
        for _ in 0..20_000 {
            transaction.set_name("x".repeat(100));
        }
        tower_sentry::span("task", "later", async {}).attribute("note", "kept").await;
    };
    client.transaction("job").run_infallible(job).await;
    let full = async {
        for number in 0..300 {
            Scope::current().transaction().set_name(format!("{number} {}", "n".repeat(10_000)));
        }
    };
    client.transaction("job").run_infallible(full).await;

    let transactions = captured.transactions();
    assert!(transactions[0].spans[0].data.contains_key("note"), "{:?}", transactions[0].spans);
    assert!(transactions.iter().all(|transaction| !transaction.name.is_empty()), "without room, a name stays");
}

#[tokio::test]
async fn an_ignored_route_sends_no_logs() {
    let (client, captured) = client_with(logs());
    let _subscriber = set_default(registry().with(TracingLayer::new(&client)));
    let app = Router::new()
        .route("/healthz", get(|| async { info!("healthy") }))
        .route("/orders", get(|| async { info!("ordered") }))
        .layer(SentryLayer::new(&client).ignore(["/healthz"]));
    let visit = async |path: &str| {
        let request = http::Request::get(path).body(axum::body::Body::empty()).unwrap();
        assert_eq!(app.clone().oneshot(request).await.unwrap().status(), 200);
    };

    visit("/healthz").await;
    visit("/orders").await;
    info!("outside");

    assert_eq!(texts(&sent_logs(&captured), "body"), ["ordered", "outside"]);
    support::settle(&client).await;
}

#[tokio::test]
async fn a_span_hangs_below_the_parent_that_is_named() {
    let work = async {
        let (first, second) = (info_span!("first"), info_span!("second"));
        let below_the_level = debug_span!(parent: &first, "below the level");
        second.in_scope(|| {
            info_span!(parent: &first, "of the first").in_scope(|| ());
            info_span!(parent: &below_the_level, "of the first too").in_scope(|| ());
            info_span!(parent: None, "of the root").in_scope(|| ());
            info_span!("of the second").in_scope(|| ());
        });
    };

    let captured = heard(logs(), |layer| layer, work).await;

    assert_eq!(
        captured.tree(),
        "work [task] ok\n  first [function] ok\n    of the first [function] ok\n    of the first too [function] ok\n  \
         second [function] ok\n    of the second [function] ok\n  of the root [function] ok\n"
    );
}

#[tokio::test]
async fn a_span_that_a_panic_goes_through_has_failed() {
    #[instrument]
    fn crash() {
        info_span!("over before").in_scope(|| ());
        // No panic hook is asked.
        std::panic::resume_unwind(Box::new("crash"));
    }
    let work = async {
        assert!(std::panic::catch_unwind(crash).is_err());
        info_span!("after").in_scope(|| ());
    };

    let captured = heard(logs(), |layer| layer, work).await;

    assert_eq!(
        captured.tree(),
        "work [task] ok\n  crash [function] internal_error\n    over before [function] ok\n  after [function] ok\n"
    );
}

#[tokio::test]
async fn a_filter_holds_for_the_layer_it_was_given_to() {
    let work = || async {
        info_span!("outer").in_scope(|| info_span!(target: "noisy", "noisy").in_scope(|| info_span!("inner").in_scope(|| info!("inside"))));
        warn!("a warning");
        tower_sentry::capture_message(tower_sentry::Level::Info, "end");
    };
    let seen = |captured: &Captured| {
        let end = payloads(captured, "event").pop().unwrap();
        (captured.tree(), texts(&crumbs(&end), "message").join(", "))
    };
    let whole = "work [task] ok\n  outer [function] ok\n    noisy [function] ok\n      inner [function] ok\n";

    // On another layer.
    let (client, captured) = client_with(logs());
    let shown = Shown::default();
    let fmt = tracing_subscriber::fmt::layer().with_writer(shown.clone()).with_filter(LevelFilter::WARN);
    let subscriber = registry().with(fmt).with(TracingLayer::new(&client));
    client.transaction("work").run(with(subscriber, work())).await;
    assert_eq!(seen(&captured), (whole.to_owned(), "inside, a warning".to_owned()));
    assert!(shown.text().contains("a warning") && !shown.text().contains("inside"), "{}", shown.text());

    // On this layer: what it does not see leaves no hole.
    let (client, captured) = client_with(logs());
    let layer = TracingLayer::new(&client).with_filter(tracing_subscriber::filter::filter_fn(|metadata| metadata.target() != "noisy"));
    client.transaction("work").run(with(registry().with(layer), work())).await;
    let without_noise = whole.replace("    noisy [function] ok\n", "").replace("      inner", "    inner");
    assert_eq!(seen(&captured), (without_noise, "inside, a warning".to_owned()));

    // Above all layers.
    let (client, captured) = client_with(logs());
    let subscriber = registry().with(TracingLayer::new(&client)).with(LevelFilter::WARN);
    client.transaction("work").run(with(subscriber, work())).await;
    assert_eq!(seen(&captured), ("work [task] ok\n".to_owned(), "a warning".to_owned()));
}

/// Runs `work` under a subscriber of its own.
async fn with(subscriber: impl tracing::Subscriber + Send + Sync, work: impl Future<Output = ()>) {
    let _subscriber = set_default(subscriber);
    work.await;
}

#[test]
fn an_exclusive_layer_leaves_events_to_other_layers() {
    // A process of its own: what one subscriber answers about a callsite is asked again when there are others.
    if in_child("events::an_exclusive_layer_leaves_events_to_other_layers", &[]) {
        return;
    }
    let (client, captured) = client_with(logs());
    let shown = Shown::default();
    let fmt = tracing_subscriber::fmt::layer().with_writer(shown.clone());
    registry().with(fmt).with(TracingLayer::new(&client).exclusive()).init();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let work = async {
        assert!(debug_span!("below the level").is_disabled() && !info_span!("recorded").is_disabled());
        debug!("debug inside");
        info!("info inside");
    };

    debug!("debug outside");
    info!("info outside");
    runtime.block_on(client.transaction("work").run(work));

    for line in ["debug outside", "info outside", "debug inside", "info inside"] {
        assert!(shown.text().contains(line), "{line} in {}", shown.text());
    }
    assert_eq!(texts(&sent_logs(&captured), "body"), ["info outside", "info inside"]);
    assert_eq!(captured.tree(), "work [task] ok\n  recorded [function] ok\n");
}

#[test]
fn what_a_hook_logs_is_neither_an_event_nor_a_log() {
    // A global subscriber: the hook runs on the thread of the exporter.
    if in_child("events::what_a_hook_logs_is_neither_an_event_nor_a_log", &[]) {
        return;
    }
    let relay = Relay::start();
    let shown = Shown::default();
    let is_first = AtomicBool::new(true);
    let config = support::config(&relay).enable_logs(true).before_send(move |event| {
        if is_first.swap(false, Ordering::SeqCst) {
            error!("an error in the hook");
            info!("a line in the hook");
        }
        Some(event)
    });
    let client = tower_sentry::Client::from(config.build().unwrap());
    let fmt = tracing_subscriber::fmt::layer().with_writer(shown.clone());
    registry().with(fmt).with(TracingLayer::new(&client)).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

    // What the hook captured would be delivered before what comes after it.
    runtime.block_on(async {
        for marker in ["first", "second", "third"] {
            error!("{marker}");
            client.flush(support::patience()).await.unwrap();
        }
        support::settle(&client).await;
    });

    assert!(shown.text().contains("an error in the hook") && shown.text().contains("a line in the hook"), "{}", shown.text());
    let events: Vec<_> = relay.events().iter().map(|event| event["logentry"]["message"].clone()).collect();
    assert_eq!(events, ["first", "second", "third"]);
    assert_eq!(client.stats().errors.captured, 3, "it is no loss either");
    let logs = relay.payloads("log").into_iter().flat_map(|container| container["items"].as_array().unwrap().clone());
    assert_eq!(logs.map(|log| log["body"].clone()).collect::<Vec<_>>(), ["first", "second", "third"]);
}

#[test]
fn a_panic_that_catch_panic_layer_logs_is_one_event() {
    if in_child("events::a_panic_that_catch_panic_layer_logs_is_one_event", &[]) {
        return;
    }
    std::panic::set_hook(Box::new(|_| {}));
    let relay = Relay::start();
    let shown = Shown::default();
    let client = tower_sentry::Client::from(support::config(&relay).panic_hook(true).build().unwrap());
    let fmt = tracing_subscriber::fmt::layer().with_writer(shown.clone());
    registry().with(fmt).with(TracingLayer::new(&client)).init();
    let crash = || async {
        let is_empty = std::hint::black_box(true);
        assert!(!is_empty, "the shelf is empty");
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

    runtime.block_on(async {
        let inside = Router::new().route("/inside", get(crash)).layer(CatchPanicLayer::new()).layer(SentryLayer::new(&client));
        let outside = Router::new().route("/outside", get(crash)).layer(SentryLayer::new(&client)).layer(CatchPanicLayer::new());
        for path in ["/inside", "/outside"] {
            let request = http::Request::get(path).body(axum::body::Body::empty()).unwrap();
            let app = inside.clone().merge(outside.clone());
            assert_eq!(app.oneshot(request).await.unwrap().status(), 500);
        }
        support::settle(&client).await;
    });

    assert_eq!(shown.text().matches("Service panicked: the shelf is empty").count(), 2, "{}", shown.text());
    let events: Vec<_> = relay.events().iter().map(|event| event["exception"]["values"][0]["mechanism"]["type"].clone()).collect();
    assert_eq!(events, ["panic", "panic"]);
}
