//! What each setting changes about what arrives, beside the same visit without it.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt;
use std::io::Write as _;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt as _};
use tower_sentry::incoming::{RouteOptions, RouteTable};
use tower_sentry::outgoing::OutgoingLayer;
use tower_sentry::protocol::{Attachment, TraceLifecycle};
use tower_sentry::redaction::Redaction;
use tower_sentry::sampling::Budget;
use tower_sentry::test::{HandClock, client_with};
use tower_sentry::{Breadcrumb, Client, Config, ConfigBuilder, Level, Scope, SentryLayer, TracingLayer, TrustParent};
use tracing_subscriber::prelude::*;

use crate::support::{self, Relay, in_child, patience, said_in_child};

/// So little that sampling says no.
const HARDLY: f64 = 1e-9;

#[derive(Debug)]
struct OrderError;

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the order could not be placed")
    }
}

impl std::error::Error for OrderError {}

thread_local! {
    static CLOCK: RefCell<Option<HandClock>> = const { RefCell::new(None) };
}

fn pass(millis: u64) {
    CLOCK.with(|clock| clock.borrow().as_ref().unwrap().advance(Duration::from_millis(millis)));
}

/// Calls another service, and names the headers of a trace that it gets.
async fn call() -> String {
    let answer = |request: Request<Body>| async move {
        let told = ["sentry-trace", "traceparent"].into_iter().filter(|name| request.headers().contains_key(*name));
        Ok::<_, Infallible>(Response::new(told.collect::<Vec<_>>().join(" ")))
    };
    let service = ServiceBuilder::new().layer(OutgoingLayer::new()).service(tower::service_fn(answer));
    service.oneshot(Request::get("http://stock.internal/items").body(Body::empty()).unwrap()).await.unwrap().into_body()
}

async fn order() -> StatusCode {
    let scope = Scope::current();
    scope.set_tag("plan", "gold").set_tag("told", call().await);
    tower_sentry::metrics::counter("orders", 1).capture();
    scope.add_attachment(Attachment::new("note.txt", "four".to_owned()));
    for step in ["first", "second"] {
        scope.add_breadcrumb(Breadcrumb::new(step));
    }
    tower_sentry::span("db.query", "SELECT 1", async { pass(50) }).await;
    tower_sentry::span("task", "short", async { pass(1) }).await;
    tracing::info!("charging");
    tower_sentry::capture_error(&OrderError);
    StatusCode::OK
}

/// What arrives of a visit.
struct Seen(Vec<(String, Value)>);

impl Seen {
    fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |(of, _)| of == kind).map(|(_, payload)| payload)
    }

    /// The names of all transactions.
    fn names(&self) -> Value {
        self.of("transaction").map(|transaction| transaction["transaction"].clone()).collect()
    }

    fn transaction(&self) -> &Value {
        self.of("transaction").find(|transaction| transaction["transaction"] == "GET /orders/{id}").unwrap()
    }

    /// What the spans say.
    fn spans(&self, name: &str) -> Value {
        self.transaction()["spans"].as_array().unwrap().iter().map(|span| span.pointer(name).cloned().unwrap_or_default()).collect()
    }

    /// The transactions' names of all events.
    fn events(&self) -> Value {
        self.of("event").map(|event| event["transaction"].clone()).collect()
    }

    fn event(&self) -> &Value {
        self.of("event").find(|event| event["transaction"] == "GET /orders/{id}").unwrap()
    }

    fn frame(&self) -> &Value {
        let frames = self.event()["exception"]["values"][0]["stacktrace"]["frames"].as_array().unwrap();
        frames.iter().rfind(|frame| frame["in_app"] == true).unwrap()
    }

    /// The functions of all frames, outermost first.
    fn functions(&self) -> Vec<&str> {
        let frames = self.event()["exception"]["values"][0]["stacktrace"]["frames"].as_array().unwrap();
        frames.iter().filter_map(|frame| frame["function"].as_str()).collect()
    }

    /// Whether the innermost frame is the application's own.
    fn is_own(&self) -> Value {
        self.event().pointer("/exception/values/0/stacktrace/frames").unwrap().as_array().unwrap().last().unwrap()["in_app"].clone()
    }

    fn count(&self, kind: &str) -> Value {
        self.of(kind).count().into()
    }
}

/// A visit to a service that uses everything.
fn visit(settings: ConfigBuilder) -> Seen {
    let (client, captured) = client_with(settings);
    CLOCK.with(|clock| {
        // The one before must be gone: its drop lets the real clock go on.
        clock.borrow_mut().take();
        *clock.borrow_mut() = Some(HandClock::start());
    });
    let app = Router::new()
        .route("/orders/{id}", get(order))
        .route("/continued", get(|| async { "ok" }))
        .route("/teapot", get(|| async { StatusCode::IM_A_TEAPOT }))
        .route("/fails", get(|| async { StatusCode::BAD_GATEWAY }))
        .layer(SentryLayer::new(&client));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for path in ["/orders/7", "/continued", "/teapot", "/fails"] {
        let mut request = Request::get(path).header("x-forwarded-for", "203.0.113.7");
        if path == "/continued" {
            request = request.header("sentry-trace", "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-0");
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 9], 4711))));
        drop(runtime.block_on(app.clone().oneshot(request)).unwrap());
    }
    let mut items = Vec::new();
    for envelope in captured.envelopes() {
        for (item, payload) in support::items(&envelope).1 {
            items.push((item["type"].as_str().unwrap().to_owned(), payload));
        }
    }
    Seen(items)
}

type Row = (&'static str, fn(ConfigBuilder) -> ConfigBuilder, fn(ConfigBuilder) -> ConfigBuilder, fn(&Seen) -> Value, Value, Value);

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn each_setting_has_its_effect() {
    // A process of its own: while names are read for the first time, other errors get no frames.
    if in_child("settings::each_setting_has_its_effect", &[]) {
        return;
    }
    support::subscribe();
    let plain: fn(ConfigBuilder) -> ConfigBuilder = |config| config;
    let all = json!(["GET /orders/{id}", "GET /teapot", "GET /fails"]);
    let both = json!(["GET /orders/{id}", "GET /fails"]);
    // The setting; without and with it; what is looked at; what is seen without and with it.
    let rows: Vec<Row> = vec![
        ("release", plain, |config| config.release("shop@1"), |seen| seen.event()["release"].clone(), Value::Null, json!("shop@1")),
        (
            "environment",
            plain,
            |config| config.environment("qa"),
            |seen| seen.event()["environment"].clone(),
            json!("production"),
            json!("qa"),
        ),
        (
            "server_name",
            plain,
            |config| config.server_name("web-1"),
            |seen| seen.event()["server_name"].clone(),
            Value::Null,
            json!("web-1"),
        ),
        (
            "server_name",
            plain,
            |config| config.server_name("web-1"),
            |seen| seen.transaction()["server_name"].clone(),
            Value::Null,
            json!("web-1"),
        ),
        ("tag", plain, |config| config.tag("zone", "eu"), |seen| seen.transaction()["tags"]["zone"].clone(), Value::Null, json!("eu")),
        ("traces_sample_rate", plain, |config| config.traces_sample_rate(0.0), Seen::names, all.clone(), json!([])),
        (
            "keep_failed",
            |config| config.traces_sample_rate(HARDLY),
            |config| config.traces_sample_rate(HARDLY).keep_failed(false),
            Seen::names,
            both.clone(),
            json!([]),
        ),
        (
            "keep_failed_budget",
            |config| config.traces_sample_rate(HARDLY),
            |config| config.traces_sample_rate(HARDLY).keep_failed_budget(0.0),
            Seen::names,
            both.clone(),
            json!([]),
        ),
        (
            "ignore_transaction_statuses",
            plain,
            |config| config.ignore_transaction_statuses([418, 502]),
            Seen::names,
            all.clone(),
            json!(["GET /orders/{id}"]),
        ),
        (
            "routes",
            plain,
            |config| config.routes(RouteTable::new().route("/teapot", RouteOptions::new().ignore())),
            Seen::names,
            all.clone(),
            both.clone(),
        ),
        ("settings_file", plain, |config| config.settings_file("tests/fixtures/settings.json"), Seen::names, all.clone(), both.clone()),
        ("failure_budget", plain, |config| config.failure_budget(0.0), Seen::events, both.clone(), json!(["GET /orders/{id}"])),
        ("budget", plain, |config| config.budget(Budget::errors().per_day(1)), Seen::events, both.clone(), json!(["GET /orders/{id}"])),
        // What is beyond the limit waits, and has no attachments then.
        ("max_events_per_issue", plain, |config| config.max_events_per_issue(0), |seen| seen.count("attachment"), json!(1), json!(0)),
        (
            "auto_session_tracking",
            |config| config.release("shop@1"),
            |config| config.release("shop@1").auto_session_tracking(false),
            |seen| seen.count("sessions"),
            json!(1),
            json!(0),
        ),
        (
            "trust_parent",
            plain,
            |config| config.trust_parent(TrustParent::Never),
            Seen::names,
            all.clone(),
            json!(["GET /orders/{id}", "GET /continued", "GET /teapot", "GET /fails"]),
        ),
        (
            "trace_propagation_targets",
            plain,
            |config| config.trace_propagation_targets(["stock.internal"]),
            |seen| seen.transaction()["tags"]["told"].clone(),
            json!(""),
            json!("sentry-trace"),
        ),
        (
            "propagate_traceparent",
            |config| config.trace_propagation_targets(["*"]),
            |config| config.trace_propagation_targets(["*"]).propagate_traceparent(true),
            |seen| seen.transaction()["tags"]["told"].clone(),
            json!("sentry-trace"),
            json!("sentry-trace traceparent"),
        ),
        ("failed_status_codes", plain, |config| config.failed_status_codes(400..=599), Seen::events, both.clone(), all.clone()),
        (
            "send_default_pii",
            plain,
            |config| config.send_default_pii(true),
            |seen| seen.event()["user"]["ip_address"].clone(),
            Value::Null,
            json!("192.0.2.9"),
        ),
        (
            "trusted_hops",
            |config| config.send_default_pii(true),
            |config| config.send_default_pii(true).trusted_hops(1),
            |seen| seen.transaction()["user"]["ip_address"].clone(),
            json!("192.0.2.9"),
            json!("203.0.113.7"),
        ),
        (
            "redaction",
            plain,
            |config| config.redaction(Redaction::default().field("plan")),
            |seen| seen.event()["tags"]["plan"].clone(),
            json!("gold"),
            json!("[Filtered]"),
        ),
        (
            "slow_query_threshold",
            plain,
            |config| config.slow_query_threshold(Duration::from_millis(50)),
            |seen| seen.spans("/data/tower_sentry.slow"),
            json!([null, null, null]),
            json!([null, true, null]),
        ),
        (
            "min_span_duration",
            plain,
            |config| config.min_span_duration(Duration::from_millis(2)),
            |seen| seen.spans("/description"),
            json!(["GET http://stock.internal/items", "SELECT ?", "short"]),
            json!(["SELECT ?"]),
        ),
        (
            "max_breadcrumbs",
            plain,
            |config| config.max_breadcrumbs(2),
            |seen| seen.event()["breadcrumbs"]["values"].as_array().unwrap().iter().map(|crumb| crumb["message"].clone()).collect(),
            json!(["first", "second", "charging"]),
            json!(["second", "charging"]),
        ),
        (
            "trace_lifecycle",
            plain,
            |config| config.trace_lifecycle(TraceLifecycle::Stream),
            |seen| json!([seen.of("transaction").count() > 0, seen.of("span").count() > 0]),
            json!([true, false]),
            json!([false, true]),
        ),
        (
            "max_spans",
            plain,
            |config| config.max_spans(1),
            |seen| seen.transaction()["spans"].as_array().unwrap().len().into(),
            json!(3),
            json!(1),
        ),
        (
            "ignore_error_types",
            plain,
            |config| config.ignore_error_types(["OrderError"]),
            Seen::events,
            both.clone(),
            json!(["GET /fails"]),
        ),
        (
            "ignore_error_messages",
            plain,
            |config| config.ignore_error_messages(["could not be placed"]),
            Seen::events,
            both.clone(),
            json!(["GET /fails"]),
        ),
        ("ignore_error_messages", plain, |config| config.ignore_error_messages([""]), Seen::events, both.clone(), both.clone()),
        (
            "ignore_error_statuses",
            plain,
            |config| config.ignore_error_statuses([502]),
            Seen::events,
            both.clone(),
            json!(["GET /orders/{id}"]),
        ),
        (
            "include_source_context",
            plain,
            |config| config.include_source_context(false),
            |seen| seen.frame().get("context_line").is_some().into(),
            json!(true),
            json!(false),
        ),
        (
            "in_app_include",
            |config| config.in_app_exclude(["it"]),
            |config| config.in_app_exclude(["it"]).in_app_include(["it::settings"]),
            Seen::is_own,
            json!(false),
            json!(true),
        ),
        ("in_app_exclude", plain, |config| config.in_app_exclude(["it::settings"]), Seen::is_own, json!(true), json!(false)),
        (
            "trim_backtraces",
            plain,
            |config| config.trim_backtraces(false),
            |seen| seen.functions().iter().any(|name| name.contains("tokio::runtime")).into(),
            json!(false),
            json!(true),
        ),
        (
            "default_fingerprint",
            plain,
            |config| config.default_fingerprint(false),
            |seen| seen.event().get("fingerprint").is_some().into(),
            json!(true),
            json!(false),
        ),
        ("max_attachment_size", plain, |config| config.max_attachment_size(3), |seen| seen.count("attachment"), json!(1), json!(0)),
        ("enable_logs", plain, |config| config.enable_logs(true), |seen| seen.count("log"), json!(0), json!(1)),
        ("enable_metrics", plain, |config| config.enable_metrics(false), |seen| seen.count("trace_metric"), json!(1), json!(0)),
        (
            "before_capture",
            plain,
            |config| config.before_capture(|hint| _ = hint.ignore()),
            Seen::events,
            both.clone(),
            json!(["GET /fails"]),
        ),
        (
            "before_breadcrumb",
            plain,
            |config| config.before_breadcrumb(|_| None),
            |seen| seen.event().get("breadcrumbs").is_some().into(),
            json!(true),
            json!(false),
        ),
        ("add_event_processor", plain, |config| config.add_event_processor(|_| None), Seen::events, both.clone(), json!([])),
        ("before_send", plain, |config| config.before_send(|_| None), Seen::events, both, json!([])),
        (
            "before_send_span",
            plain,
            |config| config.before_send_span(|_| None),
            |seen| seen.transaction()["spans"].as_array().unwrap().len().into(),
            json!(3),
            json!(0),
        ),
        (
            "before_send_log",
            |config| config.enable_logs(true),
            |config| config.enable_logs(true).before_send_log(|_| None),
            |seen| seen.count("log"),
            json!(1),
            json!(0),
        ),
        ("before_send_metric", plain, |config| config.before_send_metric(|_| None), |seen| seen.count("trace_metric"), json!(1), json!(0)),
        ("before_send_transaction", plain, |config| config.before_send_transaction(|_| None), Seen::names, all.clone(), json!([])),
        ("queue_items", plain, |config| config.queue_items(0), Seen::names, all.clone(), json!([])),
        ("queue_bytes", plain, |config| config.queue_bytes(1), Seen::names, all, json!([])),
    ];

    for (setting, without, with, shows, before, after) in rows {
        let base = || Config::builder().traces_sample_rate(1.0);
        assert_eq!(shows(&visit(without(base()))), before, "without {setting}");
        assert_eq!(shows(&visit(with(base()))), after, "with {setting}");
    }
}

#[tokio::test]
async fn a_transaction_has_at_most_as_many_spans_as_asked_for() {
    for asked in [10, 1000] {
        let (client, captured) = client_with(Config::builder().traces_sample_rate(1.0).max_spans(asked));

        let work = async {
            for _ in 0..1100 {
                tower_sentry::span("task", "step", async {}).await;
            }
        };
        client.transaction("work").run(work).await;

        assert_eq!(captured.transactions()[0].spans.len(), asked);
        support::settle(&client).await;
    }
}

/// The events that a layer makes of three lines of a log, and the steps before the last of them.
async fn logged(change: impl Fn(TracingLayer) -> TracingLayer) -> (Vec<String>, Vec<String>) {
    let (client, captured) = client_with(Config::builder().traces_sample_rate(1.0));
    let subscriber = tracing_subscriber::registry().with(change(TracingLayer::new(&client)));
    let _subscriber = tracing::subscriber::set_default(subscriber);
    let work = async {
        tracing::debug!("looking");
        tracing::info!("charging");
        tracing::error!("refused");
        tower_sentry::capture_message(Level::Warning, "by hand");
    };
    client.transaction("work").run(work).await;
    let events = captured.events();
    let crumbs = &events.last().unwrap().breadcrumbs.values;
    let said = events.iter().map(|event| event.logentry.as_ref().unwrap().message.clone().unwrap());
    (said.collect(), crumbs.iter().map(|crumb| crumb.message.clone().unwrap()).collect())
}

#[tokio::test]
async fn the_tracing_layer_follows_its_level_and_error_events() {
    let by_default = logged(|layer| layer).await;
    let fine = logged(|layer| layer.level(tracing::Level::DEBUG)).await;
    let coarse = logged(|layer| layer.level(tracing::Level::ERROR)).await;
    let no_events = logged(|layer| layer.error_events(false)).await;

    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(by_default, (texts(&["refused", "by hand"]), texts(&["charging", "refused"])));
    assert_eq!(fine, (texts(&["refused", "by hand"]), texts(&["looking", "charging", "refused"])));
    assert_eq!(coarse, (texts(&["refused", "by hand"]), texts(&["refused"])));
    assert_eq!(no_events, (texts(&["by hand"]), texts(&["charging", "refused"])));
}

#[test]
fn the_console_lets_a_panic_hook_print_first() {
    /// The console waits this long for a hook.
    const WAITS: Duration = Duration::from_secs(1);
    static IS_SLOW: AtomicBool = AtomicBool::new(false);
    if let Some(said) = said_in_child("settings::the_console_lets_a_panic_hook_print_first", &[]) {
        let (hook, event) = (said.find("hook ended"), said.rfind("✗ fatal"));
        assert!(hook.is_some() && said.matches("✗ fatal").count() == 2, "{said}");
        assert!(said.contains("hook took too long") || hook < event, "{said}");
        return;
    }
    std::panic::set_hook(Box::new(|_| {
        if IS_SLOW.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(200));
            let _ = writeln!(std::io::stdout(), "hook ended");
        }
    }));
    let client = Client::from(Config::builder().console(true).build().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let panics = || {
        let work = client.transaction("job").run_infallible(async { panic!("in a job") });
        assert!(std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(work))).is_err());
    };

    // The names of the first trace take longer to read than a hook to print. Those of the second are known.
    panics();
    runtime.block_on(client.flush(patience())).unwrap();
    IS_SLOW.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    panics();
    if begun.elapsed() >= WAITS {
        let _ = writeln!(std::io::stdout(), "hook took too long");
    }
    runtime.block_on(support::settle(&client));
}

#[test]
fn the_console_shows_what_is_recorded_with_and_without_a_server() {
    if let Some(said) = said_in_child("settings::the_console_shows_what_is_recorded_with_and_without_a_server", &[]) {
        for shown in ["alone [task] ok", "beside [task] ok"] {
            assert!(said.contains(shown), "{said}");
        }
        assert!(!said.contains("silent [task]"), "only where it is asked for: {said}");
        return;
    }
    let relay = Relay::start();
    let without = Config::builder().console(true).panic_hook(false).traces_sample_rate(1.0);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (name, config) in [("alone", without), ("beside", support::config(&relay).console(true)), ("silent", support::config(&relay))] {
        let client = Client::from(config.build().unwrap());
        runtime.block_on(async {
            client.transaction(name).run(async {}).await;
            support::settle(&client).await;
        });
        assert_eq!(client.stats().transactions.sent, 1, "{name}");
    }
    assert_eq!(relay.transactions().len(), 2);
}
