//! Streamed spans: they say the same as a transaction, and those of long work arrive while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_sentry::incoming::RouteOptions;
use tower_sentry::protocol::{DiscardReason, Span, SpanLink, SpanStatus, TraceLifecycle};
use tower_sentry::redaction::Redaction;
use tower_sentry::sampling::Budget;
use tower_sentry::test::{HandClock, client_with, unredacted};
use tower_sentry::{Client, Config, ConfigBuilder, Scope, SentryLayer, User};

use crate::canaries::Kind;
use crate::privacy_scenes::{Scene, play_with};
use crate::support::{self, Answer, Received, Relay, patience};

const TRACE: &str = "771a43a4192642f0b136d5159a501700";
const CALLER: &str = "b0e6f15b45c36b12";

fn client(relay: &Relay, lifecycle: TraceLifecycle, change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Client {
    Client::from(change(support::config(relay).trace_lifecycle(lifecycle)).build().unwrap())
}

fn streaming(relay: &Relay) -> Client {
    client(relay, TraceLifecycle::Stream, |config| config)
}

/// Delivers everything so far. The client goes on.
async fn flush(client: &Client) {
    client.flush(patience()).await.unwrap();
}

/// A container and the header of its envelope.
struct Container {
    trace: Value,
    spans: Vec<Value>,
}

/// The containers so far, each read by the protocol's table (4.6 and 2.5 of its digest).
fn containers(relay: &Relay) -> Vec<Container> {
    let read = |received: &Received| {
        let (header, items) = received.items();
        let [(item, payload)] = &items[..] else { return None };
        if item["type"] != "span" {
            return None;
        }
        assert_eq!(item["content_type"], "application/vnd.sentry.items.span.v2+json");
        let spans = payload["items"].as_array().unwrap().clone();
        assert_eq!((&item["item_count"], &payload["version"], header.get("event_id")), (&spans.len().into(), &json!(2), None));
        assert!((1..=1000).contains(&spans.len()), "{}", spans.len());
        let trace = header["trace"].clone();
        assert_eq!(trace["public_key"].as_str().unwrap().len(), 32);
        for span in &spans {
            check(span, &trace);
        }
        Some(Container { trace, spans })
    };
    relay.received().iter().filter_map(read).collect()
}

/// Whether a span is as the protocol requires.
fn check(span: &Value, trace: &Value) {
    const FIELDS: [&str; 10] = [
        "trace_id",
        "span_id",
        "parent_span_id",
        "name",
        "status",
        "is_segment",
        "start_timestamp",
        "end_timestamp",
        "attributes",
        "links",
    ];
    let text = |name: &str| span[name].as_str().unwrap_or_default();
    let is_id = |id: &str, digits| id.len() == digits && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    assert!(span.as_object().unwrap().keys().all(|name| FIELDS.contains(&name.as_str())), "{span}");
    assert!(is_id(text("trace_id"), 32) && is_id(text("span_id"), 16) && !text("name").is_empty(), "{span}");
    assert!(matches!(text("status"), "ok" | "error") && span["is_segment"].is_boolean(), "{span}");
    assert!(span["start_timestamp"].as_f64().unwrap() <= span["end_timestamp"].as_f64().unwrap(), "{span}");
    assert_eq!(span["trace_id"], trace["trace_id"], "a server refuses others");
    let attribute = |name: &str| span["attributes"][name]["value"].as_str().unwrap_or_default();
    assert!(is_id(attribute("sentry.segment.id"), 16) && !attribute("sentry.segment.name").is_empty(), "{span}");
    assert_eq!(attribute("sentry.trace_lifecycle"), "stream");
    for (name, attribute) in span["attributes"].as_object().unwrap() {
        let value = &attribute["value"];
        let is_right = match attribute["type"].as_str().unwrap() {
            "string" => value.is_string() && value != "",
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64(),
            "double" => value.is_number(),
            "array" => value
                .as_array()
                .is_some_and(|values| values.iter().all(|value| value.is_string() || value.is_number() || value.is_boolean())),
            _ => false,
        };
        assert!(is_right && !name.is_empty(), "{name}: {attribute}");
    }
}

fn spans(relay: &Relay) -> Vec<Value> {
    containers(relay).into_iter().flat_map(|container| container.spans).collect()
}

fn named<'a>(spans: &'a [Value], name: &str) -> &'a Value {
    spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
}

fn value<'a>(span: &'a Value, attribute: &str) -> &'a Value {
    &span["attributes"][attribute]["value"]
}

async fn serve(app: &Router, request: http::request::Builder) {
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
}

/// A handler with all that a span may have.
fn shop(client: &Client) -> Router {
    #[tracing::instrument(fields(sentry.op = "db.query", db.system.name = "postgresql", db.query.text = "SELECT 'secret' FROM cart"))]
    async fn load() {
        advance(Duration::from_millis(30));
        let span = Scope::current().span();
        span.set_attribute("rows", 7_u64).set_attribute("share", 0.5).set_attribute("hit", true).set_attribute("keys", ["a", "b"]);
    }
    let handler = || async {
        let scope = Scope::current();
        scope.set_user(User::id(42).email("jane@example.org").username("jane").field("plan", "gold"));
        scope.set_tag("shop", "north").set_context("order", json!({"items": 2, "at": {"table": 7}}));
        scope.transaction().set_attribute("basket", 3_u64).set_measurement("load", 12.5, "percent");
        scope.transaction().add_link(SpanLink::new(TRACE.parse().unwrap(), CALLER.parse().unwrap()).attribute("kind", "previous"));
        tower_sentry::span("cart.checkout", "outer", async {
            load().await;
            tower_sentry::span("http.client", "GET https://stock.example/items", async { advance(Duration::from_millis(5)) }).await;
            let failed = async {
                Scope::current().span().set_status(SpanStatus::DeadlineExceeded);
            };
            tower_sentry::span("task", "late", failed).await;
        })
        .await;
        http::StatusCode::NOT_FOUND
    };
    Router::new().route("/carts/{id}", get(handler)).layer(SentryLayer::new(client))
}

thread_local! {
    /// Handlers must be `Send`, and the hand clock is not.
    static CLOCK: std::cell::RefCell<Option<HandClock>> = const { std::cell::RefCell::new(None) };
}

fn start_clock() {
    CLOCK.with(|clock| {
        // The one before must be gone: its drop lets the real clock go on.
        clock.borrow_mut().take();
        *clock.borrow_mut() = Some(HandClock::start());
    });
}

fn advance(time: Duration) {
    CLOCK.with(|clock| clock.borrow().as_ref().unwrap().advance(time));
}

/// What a span says in both forms: name, op, origin, status, parent, and the microseconds from the start of the request.
type Row = (String, String, String, String, String, (i64, i64));

fn micros(from: &Value, to: &Value) -> i64 {
    ((to.as_f64().unwrap() - from.as_f64().unwrap()) * 1e6).round() as i64
}

/// The values with their types, as the protocol's section on attributes says, written for this test.
fn typed(value: &Value) -> Value {
    let kind = match value {
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() => "integer",
        Value::Number(_) => "double",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Null | Value::Object(_) => panic!("{value}"),
    };
    json!({"type": kind, "value": value})
}

/// The same request in both forms.
async fn visit() -> [Relay; 2] {
    support::subscribe();
    let relays = [Relay::start(), Relay::start()];
    for (relay, lifecycle) in relays.iter().zip([TraceLifecycle::Static, TraceLifecycle::Stream]) {
        let client = client(relay, lifecycle, |config| {
            config.release("shop@1.4.0").environment("staging").server_name("web-1").send_default_pii(true)
        });
        start_clock();
        let app = shop(&client);
        let request = Request::get("http://shop.example:8080/carts/7?page=2&token=hunter2hunter2")
            .header("host", "shop.example:8080")
            .header("sentry-trace", format!("{TRACE}-{CALLER}-1"))
            .header("accept", "application/json")
            .header("x-api-key", "sk_live_4eC39HqLyjWDarjtT1zdp7dc")
            .header("cookie", "theme=dark; session=8f14e45fceea167a5a36dedd4bea2543");
        serve(&app, request).await;
        support::settle(&client).await;
    }
    CLOCK.with(|clock| clock.borrow_mut().take());

    relays
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// What a transaction says of itself and its spans, and all their attributes.
fn told(transaction: &Value) -> (BTreeSet<Row>, BTreeMap<(String, String), Value>) {
    let root = &transaction["contexts"]["trace"];
    let children = transaction["spans"].as_array().unwrap();
    let names: BTreeMap<&str, &str> = children
        .iter()
        .map(|span| (span["span_id"].as_str().unwrap(), span["description"].as_str().unwrap()))
        .chain([(root["span_id"].as_str().unwrap(), transaction["transaction"].as_str().unwrap()), (CALLER, "the caller")])
        .collect();
    let start = &transaction["start_timestamp"];
    let mut rows: BTreeSet<Row> = children
        .iter()
        .map(|span| {
            let times = (micros(start, &span["start_timestamp"]), micros(start, &span["timestamp"]));
            let parent = names[span["parent_span_id"].as_str().unwrap()].to_owned();
            (text(&span["description"]), text(&span["op"]), text(&span["origin"]), text(&span["status"]), parent, times)
        })
        .collect();
    let times = (0, micros(start, &transaction["timestamp"]));
    rows.insert((
        text(&transaction["transaction"]),
        text(&root["op"]),
        text(&root["origin"]),
        text(&root["status"]),
        "the caller".to_owned(),
        times,
    ));
    let mut attributes = BTreeMap::new();
    for (name, data) in
        children.iter().map(|span| (text(&span["description"]), &span["data"])).chain([(text(&transaction["transaction"]), &root["data"])])
    {
        attributes.extend(data.as_object().unwrap().iter().map(|(key, value)| ((name.clone(), key.clone()), typed(value))));
    }
    (rows, attributes)
}

#[tokio::test]
async fn both_forms_say_the_same() {
    let relays = visit().await;
    let transactions = relays[0].transactions();
    let [transaction] = &transactions[..] else { panic!("one transaction") };
    let (expected_rows, expected_attributes) = told(transaction);

    let all = containers(&relays[1]);
    let [Container { trace, spans }] = &all[..] else { panic!("one container") };
    assert_eq!(relays[1].transactions(), Vec::<Value>::new());
    assert_eq!(trace["trace_id"], TRACE);
    let segment = spans.iter().find(|span| span["is_segment"] == true).unwrap();
    assert_eq!(spans.iter().filter(|span| span["is_segment"] == true).count(), 1);
    let names: BTreeMap<&str, &str> = spans
        .iter()
        .map(|span| (span["span_id"].as_str().unwrap(), span["name"].as_str().unwrap()))
        .chain([(CALLER, "the caller")])
        .collect();
    let start = &segment["start_timestamp"];
    let rows: BTreeSet<Row> = spans
        .iter()
        .map(|span| {
            let times = (micros(start, &span["start_timestamp"]), micros(start, &span["end_timestamp"]));
            let parent = names[span["parent_span_id"].as_str().unwrap()].to_owned();
            let of = |name: &str| text(value(span, name));
            assert_eq!(span["status"] == "ok", of("sentry.status") == "ok");
            assert_eq!((value(span, "sentry.segment.id"), of("sentry.segment.name")), (&segment["span_id"], "GET /carts/{id}".to_owned()));
            (text(&span["name"]), of("sentry.op"), of("sentry.origin"), of("sentry.status"), parent, times)
        })
        .collect();
    assert_eq!(rows, expected_rows);
    assert_eq!(rows.len(), 5);
    for ((name, key), expected) in &expected_attributes {
        assert_eq!(&named(spans, name)["attributes"][key], expected, "{name}: {key}");
    }
}

#[tokio::test]
async fn what_a_transaction_has_beside_its_spans_is_in_that_of_the_request() {
    let relays = visit().await;
    let transaction = &relays[0].transactions()[0];
    let spans = &spans(&relays[1])[..];
    let segment = spans.iter().find(|span| span["is_segment"] == true).unwrap();
    let user = |name: &str| &transaction["user"][name];
    for span in spans {
        let shared =
            ["sentry.release", "sentry.environment", "sentry.platform", "user.id", "user.email", "user.name"].map(|name| value(span, name));
        let expected =
            [&transaction["release"], &transaction["environment"], &transaction["platform"], user("id"), user("email"), user("username")];
        assert_eq!(shared, expected);
        assert_eq!(
            (value(span, "sentry.sdk.name"), value(span, "sentry.sdk.version")),
            (&transaction["sdk"]["name"], &transaction["sdk"]["version"])
        );
    }
    let beside = [
        ("sentry.segment.name.source", typed(&transaction["transaction_info"]["source"])),
        ("host.name", typed(&transaction["server_name"])),
        ("user.plan", typed(user("plan"))),
        ("shop", typed(&transaction["tags"]["shop"])),
        ("url.full", typed(&transaction["request"]["url"])),
        ("url.query", typed(&transaction["request"]["query_string"])),
        ("order.items", typed(&transaction["contexts"]["order"]["items"])),
        ("order.at.table", typed(&transaction["contexts"]["order"]["at"]["table"])),
        ("os.name", typed(&transaction["contexts"]["os"]["name"])),
        ("process.runtime.name", typed(&transaction["contexts"]["runtime"]["name"])),
        ("http.response.status_code", json!({"type": "integer", "value": 404})),
        ("load", json!({"type": "double", "value": 12.5, "unit": "percent"})),
        ("http.request.header.cookie", json!({"type": "array", "value": ["theme=dark", "session=[Filtered]"]})),
    ];
    for (name, expected) in beside {
        assert_eq!(segment["attributes"][name], expected, "{name}");
    }
    for (name, header) in transaction["request"]["headers"].as_object().unwrap().iter().filter(|(name, _)| *name != "cookie") {
        let told = value(segment, &format!("http.request.header.{name}"));
        assert!(told == header || told == &json!([header]), "{name}: {told} {header}");
    }
    let link = json!({"trace_id": TRACE, "span_id": CALLER, "attributes": {"kind": {"type": "string", "value": "previous"}}});
    assert_eq!(segment["links"], json!([link]));
    assert_eq!(transaction["contexts"]["trace"]["links"][0]["attributes"]["kind"], "previous");
    for received in relays.iter().flat_map(Relay::received) {
        let envelope = String::from_utf8(received.envelope).unwrap();
        assert!(!envelope.contains("hunter2") && !envelope.contains("sk_live") && !envelope.contains("8f14e45f"), "{envelope}");
    }
}

/// A job of ten hours: two steps a minute, each with a query. Calls `each_hour` while it runs.
async fn ten_hours(client: &Client, mut each_hour: impl AsyncFnMut(usize)) {
    let work = async {
        for hour in 1..=10 {
            for _ in 0..60 {
                for step in ["load", "store"] {
                    tower_sentry::span("task", step, async {
                        tower_sentry::span("db.query", "SELECT 1", async { advance(Duration::from_secs(20)) }).await;
                        advance(Duration::from_secs(10));
                    })
                    .await;
                }
            }
            each_hour(hour).await;
        }
        Err::<(), _>(std::io::Error::other("the disk is full"))
    };
    let _ = client.transaction("nightly").run(work).await;
}

#[tokio::test]
async fn a_job_of_ten_hours_shows_its_spans_while_it_runs() {
    for lifecycle in [TraceLifecycle::Stream, TraceLifecycle::Static] {
        let relay = Relay::start();
        // Chance decides, so that what fails could be kept: never below the largest `sample_rand`, 0.999999.
        let client = client(&relay, lifecycle, |config| config.traces_sample_rate(0.999_999_9).before_send(|_| None));
        start_clock();

        let mut shown = Vec::new();
        ten_hours(&client, async |_| {
            flush(&client).await;
            shown.push(spans(&relay).len());
            // The context of a trace stays what it was when the first part left.
            Scope::current().transaction().set_name("renamed");
        })
        .await;
        support::settle(&client).await;
        CLOCK.with(|clock| clock.borrow_mut().take());

        if lifecycle == TraceLifecycle::Static {
            // The control: nothing until the end, and 1,400 spans are lost.
            assert_eq!((shown, relay.transactions()[0]["spans"].as_array().unwrap().len()), (vec![0; 10], 1000));
            continue;
        }
        assert_eq!(shown, (1..=10).map(|hour| hour * 240).collect::<Vec<_>>(), "each span that has ended");
        let containers = containers(&relay);
        let all = spans(&relay);
        let segments: Vec<_> = all.iter().filter(|span| span["is_segment"] == true).collect();
        let [segment] = &segments[..] else { panic!("one segment: {segments:?}") };
        assert_eq!((all.len(), &segment["status"], value(segment, "sentry.status")), (2401, &json!("error"), &json!("internal_error")));
        assert_eq!(micros(&segment["start_timestamp"], &segment["end_timestamp"]), 36_000_000_000);
        let ids: BTreeMap<_, _> = all.iter().map(|span| (span["span_id"].as_str().unwrap(), span)).collect();
        assert_eq!(ids.len(), all.len(), "no span twice");
        for span in all.iter().filter(|span| span["is_segment"] == false) {
            let parent = ids[span["parent_span_id"].as_str().unwrap()];
            assert_eq!(parent["is_segment"], span["name"] != "SELECT ?", "{span}");
            assert!(parent["start_timestamp"].as_f64() <= span["start_timestamp"].as_f64());
        }
        let contexts: BTreeSet<_> = containers.iter().map(|container| container.trace.to_string()).collect();
        assert_eq!(contexts.len(), 1, "all parts have one context: {contexts:?}");
        assert_eq!(value(segment, "tower_sentry.kept"), &Value::Null, "those before it have the rate of the others");
        let stats = client.stats();
        assert_eq!((stats.spans.captured, stats.spans.sent, stats.transactions.captured), (2401, 2401, 0));
        assert_eq!(stats.spans.dropped, []);
    }
}

#[tokio::test]
async fn what_is_kept_because_it_failed_is_sent_at_its_end() {
    let relay = Relay::start();
    let client = client(&relay, TraceLifecycle::Stream, |config| config.traces_sample_rate(1e-9).before_send(|_| None));
    start_clock();

    let mut shown = Vec::new();
    ten_hours(&client, async |_| {
        flush(&client).await;
        shown.push(spans(&relay).len());
    })
    .await;
    support::settle(&client).await;
    CLOCK.with(|clock| clock.borrow_mut().take());

    let all = spans(&relay);
    assert_eq!((shown, all.len()), (vec![0; 10], 1001), "nobody knew before that it would fail");
    let mut lengths: Vec<_> = containers(&relay).iter().map(|container| container.spans.len()).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [1, 1000]);
    let segment = named(&all, "nightly");
    assert_eq!((value(segment, "tower_sentry.kept"), value(segment, "sentry.sample_rate")), (&json!("failed"), &json!(1.0)));
    assert_eq!(containers(&relay)[1].trace["sample_rate"], "1");
}

#[tokio::test]
async fn a_short_request_is_one_container_and_one_with_many_spans_loses_none() {
    let relay = Relay::start();
    let client = streaming(&relay);
    let handler = |axum::extract::Path(count): axum::extract::Path<usize>| async move {
        for _ in 0..count {
            tower_sentry::span("task", "step", async {}).await;
        }
    };
    let app = Router::new().route("/steps/{count}", get(handler)).layer(SentryLayer::new(&client));
    // A stopped clock: none of them takes five seconds.
    start_clock();

    for count in [3, 2500] {
        serve(&app, Request::get(format!("/steps/{count}"))).await;
        flush(&client).await;
    }
    support::settle(&client).await;
    CLOCK.with(|clock| clock.borrow_mut().take());

    // Several are on the wire at once.
    let mut lengths: Vec<_> = containers(&relay).iter().map(|container| container.spans.len()).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [4, 751, 875, 875]);
    assert_eq!(client.stats().spans.dropped, []);
}

#[tokio::test]
async fn the_servers_limit_for_spans_stops_them_and_that_of_transactions_does_not() {
    for (category, is_stopped) in [("span", true), ("transaction", false)] {
        let relay = Relay::start();
        let client = streaming(&relay);
        relay.answer_next(Answer::Status(200, vec![("x-sentry-rate-limits", format!("600:{category}:organization"))]));

        for _ in 0..2 {
            client.transaction("work").run_infallible(tower_sentry::span("task", "step", async {})).await;
            flush(&client).await;
        }
        support::settle(&client).await;

        let counts = client.stats().spans;
        let dropped: Vec<_> = is_stopped.then_some((DiscardReason::RatelimitBackoff, 2)).into_iter().collect();
        assert_eq!((containers(&relay).len(), counts.captured, counts.dropped), (if is_stopped { 1 } else { 2 }, 4, dropped), "{category}");
        let reported = is_stopped.then(|| ("ratelimit_backoff".to_owned(), "span".to_owned(), 2));
        assert_eq!(relay.reported(), reported.into_iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_is_not_sampled_counts_as_spans_alone() {
    let relay = Relay::start();
    let client = client(&relay, TraceLifecycle::Stream, |config| config.traces_sample_rate(1e-9));

    client.transaction("work").run_infallible(tower_sentry::span("task", "step", async {})).await;
    support::settle(&client).await;

    assert_eq!((client.stats().transactions.captured, spans(&relay).len()), (0, 0));
    assert_eq!(relay.reported(), [("sample_rate".to_owned(), "span".to_owned(), 2)]);
}

#[tokio::test]
async fn each_part_spends_one_of_a_budget() {
    let relay = Relay::start();
    let client = client(&relay, TraceLifecycle::Stream, |config| config.budget(Budget::transactions().per_day(3)));
    start_clock();
    let work = async {
        for _ in 0..5 {
            tower_sentry::span("task", "step", async { advance(Duration::from_secs(6)) }).await;
        }
    };

    client.transaction("work").run_infallible(work).await;
    support::settle(&client).await;
    CLOCK.with(|clock| clock.borrow_mut().take());

    let counts = client.stats().spans;
    assert_eq!((containers(&relay).len(), counts.sent, counts.dropped), (3, 3, vec![(DiscardReason::Backpressure, 3)]));
    assert_eq!(client.stats().transactions.over_budget, 3);
}

#[tokio::test]
async fn a_hook_sees_each_span_and_the_request_itself() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let hook = move |mut span: Span| {
        let name = span.description.clone().unwrap();
        noted.lock().unwrap().push((
            name.clone(),
            span.data.contains_key("user.email"),
            span.data.contains_key("http.request.header.accept"),
        ));
        span.data.remove("user.email");
        span.data.insert("seen".to_owned(), true.into());
        match name.as_str() {
            "dropped" | "GET /bare" => None,
            "crash" => panic!("a hook that fails"),
            "GET /renamed" => {
                span.description = Some("GET /by-hook".to_owned());
                Some(span)
            }
            _ => Some(span),
        }
    };
    let relay = Relay::start();
    let client = client(&relay, TraceLifecycle::Stream, |config| config.before_send_span(hook).send_default_pii(true));
    let handler = || async {
        Scope::current().set_user(User::id(42).email("jane@example.org"));
        tower_sentry::span("task", "dropped", async {
            tower_sentry::span("task", "inner", async { _ = Scope::current().span().set_attribute("note", "kept") }).await;
            tower_sentry::span("task", "crash", async { _ = Scope::current().span().set_attribute("note", "withheld") }).await;
        })
        .await;
    };
    let app = Router::new().route("/renamed", get(handler)).route("/bare", get(handler)).layer(SentryLayer::new(&client));

    for path in ["/renamed", "/bare"] {
        serve(&app, Request::get(path).header("accept", "text/html")).await;
        flush(&client).await;
    }
    support::settle(&client).await;

    assert!(
        seen.lock().unwrap().contains(&("GET /renamed".to_owned(), true, true))
            && seen.lock().unwrap().contains(&("inner".to_owned(), true, false))
    );
    let all = containers(&relay);
    let [renamed, bare] = &all[..] else { panic!("two containers") };
    let segment = named(&renamed.spans, "GET /by-hook");
    assert_eq!(
        (value(segment, "seen"), value(segment, "sentry.segment.name"), &renamed.trace["transaction"]),
        (&json!(true), &json!("GET /by-hook"), &json!("GET /by-hook"))
    );
    let inner = named(&renamed.spans, "inner");
    assert_eq!(
        (&inner["parent_span_id"], value(inner, "note"), value(inner, "sentry.segment.name")),
        (&segment["span_id"], &json!("kept"), &json!("GET /by-hook"))
    );
    let crashed = renamed.spans.iter().find(|span| value(span, "seen").is_null()).unwrap();
    assert_eq!((value(crashed, "note"), &crashed["name"]), (&Value::Null, &json!("task")), "only what it does is known");
    assert_eq!(renamed.spans.len(), 3);
    let segment = named(&bare.spans, "GET /bare");
    assert_eq!(
        (segment["is_segment"].as_bool(), value(segment, "seen"), value(segment, "http.request.method")),
        (Some(true), &Value::Null, &Value::Null)
    );
    assert!(
        !String::from_utf8(relay.received().iter().flat_map(|received| received.envelope.clone()).collect())
            .unwrap()
            .contains("jane@example.org")
    );
    assert_eq!(client.stats().spans.dropped, [(DiscardReason::BeforeSend, 2)]);
}

#[tokio::test]
async fn a_warning_names_the_settings_that_need_whole_transactions() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let config = |lifecycle| {
        let counted = Arc::clone(&counted);
        Config::builder().traces_sample_rate(1.0).ignore_transaction_statuses(404..=404).trace_lifecycle(lifecycle).before_send_transaction(
            move |transaction| {
                counted.fetch_add(1, Ordering::Relaxed);
                Some(transaction)
            },
        )
    };
    let warnings = config(TraceLifecycle::Stream).build().unwrap().warnings().join("\n");
    assert!(
        warnings.contains("before_send_transaction has no effect") && warnings.contains("ignore_transaction_statuses leaves out only"),
        "{warnings}"
    );
    assert_eq!(config(TraceLifecycle::Static).build().unwrap().warnings(), Vec::<String>::new());

    for (lifecycle, called) in [(TraceLifecycle::Stream, 0), (TraceLifecycle::Static, 1)] {
        let (client, captured) = client_with(config(lifecycle));
        client.transaction("work").run_infallible(async {}).await;
        assert_eq!((captured.transactions().len(), calls.load(Ordering::Relaxed)), (1, called));
    }
}

#[tokio::test]
async fn the_test_kit_shows_both_forms_alike() {
    let mut trees = Vec::new();
    for lifecycle in [TraceLifecycle::Static, TraceLifecycle::Stream] {
        let (client, captured) = client_with(Config::builder().traces_sample_rate(1.0).trace_lifecycle(lifecycle));
        start_clock();
        let work = async {
            tower_sentry::span("task", "outer", async {
                tower_sentry::span("db.query", "SELECT 1", async { advance(Duration::from_secs(7)) }).await;
                advance(Duration::from_secs(7));
                let failed = async { _ = Scope::current().span().set_status(SpanStatus::Aborted) };
                tower_sentry::span("cache.get", "cart:7", failed).await;
            })
            .await;
        };
        client.transaction("work").run_infallible(work).await;
        CLOCK.with(|clock| clock.borrow_mut().take());
        trees.push(captured.timed_tree());
    }

    assert_eq!(
        trees[0],
        "work [task] ok 14000 ms\n  outer [task] ok 14000 ms\n    SELECT ? [db.query] ok 7000 ms\n    cart:7 [cache.get] aborted 0 ms\n"
    );
    assert_eq!(trees[1], trees[0]);
}

#[tokio::test]
async fn spans_of_a_continued_trace_without_a_context_have_the_least_that_servers_need() {
    let relay = Relay::start();
    let client = streaming(&relay);
    let app = Router::new().route("/", get(|| async {})).layer(SentryLayer::new(&client));

    serve(&app, Request::get("/").header("sentry-trace", format!("{TRACE}-{CALLER}-1"))).await;
    support::settle(&client).await;

    let all = containers(&relay);
    assert_eq!(all[0].trace, json!({"trace_id": TRACE, "public_key": "0123456789abcdef0123456789abcdef"}));
}

#[tokio::test]
async fn what_a_handle_says_of_a_span_that_has_left_is_counted() {
    let (client, captured) = client_with(Config::builder().traces_sample_rate(1.0).trace_lifecycle(TraceLifecycle::Stream));
    start_clock();
    let work = async {
        let mut early = None;
        tower_sentry::span("task", "early", async {
            early = Some(Scope::current().span());
            advance(Duration::from_secs(6));
        })
        .await;
        early.unwrap().set_attribute("late", true);
    };

    client.transaction("work").run_infallible(work).await;
    CLOCK.with(|clock| clock.borrow_mut().take());

    let transaction = &captured.transactions()[0];
    assert_eq!(transaction.spans[0].data.get("late"), None);
    assert_eq!(transaction.contexts.trace.as_ref().unwrap().data["tower_sentry.dropped_fields"], 1);
    assert_eq!(client.stats().truncated, 1);
}

#[test]
fn no_secret_leaves_with_a_span() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for scene in [Scene::Headers, Scene::FieldNames, Scene::Shapes, Scene::InstrumentArgs, Scene::Pii] {
        let kind = Kind::Secret;
        let play = |rules: Redaction, lifecycle| {
            runtime.block_on(play_with(scene, move |config| config.redaction(rules).trace_lifecycle(lifecycle)))
        };
        let sent = play(Redaction::default(), TraceLifecycle::Stream);
        assert!(!containers(&sent.relay).is_empty() && sent.relay.transactions().is_empty(), "{scene:?}");
        assert_eq!(sent.leaked(kind), BTreeSet::new(), "{scene:?}");
        // What says nothing about anybody stays, as in a transaction.
        let documents = play(Redaction::default(), TraceLifecycle::Static);
        assert_eq!(sent.leaked(Kind::Harmless), documents.leaked(Kind::Harmless), "{scene:?}");
        assert!(
            !play(unredacted(), TraceLifecycle::Stream).leaked(Kind::Secret).is_empty() || matches!(scene, Scene::Pii),
            "the control: {scene:?}"
        );
    }
}

#[tokio::test]
async fn of_a_sensitive_route_only_the_work_is_told() {
    let relay = Relay::start();
    let client = client(&relay, TraceLifecycle::Stream, |config| config.send_default_pii(true));
    let handler = || async {
        let scope = Scope::current();
        scope.set_user(User::id("plainuser")).set_tag("tag", "plaintag").set_context("context", json!({"a": "plaincontext"}));
        scope.transaction().set_name("plainname").set_measurement("plainmeasure", 7.0, "byte");
        tower_sentry::span("db.query", "plainquery", async { _ = Scope::current().span().set_attribute("note", "plainnote") }).await;
    };
    let app = Router::new().route("/secret/{id}", get(handler));
    let app = app.layer(SentryLayer::new(&client).route("/secret/{id}", RouteOptions::new().sensitive()));

    serve(&app, Request::get("/secret/plainid?q=plainvalue").header("x-note", "plainheader")).await;
    support::settle(&client).await;

    let all = spans(&relay);
    let names: BTreeSet<_> = all.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["GET /secret/{id}", "db.query"]));
    let text = String::from_utf8(relay.received()[0].envelope.clone()).unwrap();
    assert!(!text.contains("plain"), "{text}");
}

/// The same contexts in both forms: what each has sent.
async fn both_forms(contexts: &[(String, Value)]) -> [String; 2] {
    let relays = [Relay::start(), Relay::start()];
    for (relay, lifecycle) in relays.iter().zip([TraceLifecycle::Static, TraceLifecycle::Stream]) {
        let client = client(relay, lifecycle, |config| config);
        let work = async {
            for (name, context) in contexts {
                Scope::current().set_context(name.clone(), context.clone());
            }
        };
        client.transaction("work").run_infallible(work).await;
        support::settle(&client).await;
    }
    relays.map(|relay| relay.received().iter().map(|received| String::from_utf8_lossy(&received.envelope).into_owned()).collect())
}

#[tokio::test]
async fn an_object_below_a_secret_name_is_hidden_in_both_forms() {
    let contexts = [
        ("last_login", json!({"password": "hunter2"})),
        ("form", json!({"pw": {"old": "hunter2"}})),
        ("login", json!({"password": {"name": "hunter2"}})),
        ("config", json!({"key": "hunter2bK7xQ9vT3mW8zR5nP1c"})),
        ("changed", json!({"name": "password", "value": "hunter2"})),
        ("order", json!({"shop": {"name": "north"}})),
    ];
    let contexts: Vec<_> = contexts.into_iter().map(|(name, context)| (name.to_owned(), context)).collect();

    for sent in both_forms(&contexts).await {
        assert!(!sent.contains("hunter2") && sent.contains("north"), "{sent}");
    }
}

#[tokio::test]
async fn what_a_transaction_hides_in_random_contexts_a_stream_hides_too() {
    const NAMES: [&str; 18] = [
        "last", "login", "password", "pw", "old", "name", "value", "key", "config", "public", "token", "count", "form", "order", "shop",
        "session", "id", "at",
    ];
    fn grow(random: &mut impl FnMut(usize) -> usize, canaries: &mut Vec<String>, depth: usize) -> Value {
        if depth == 0 || random(3) == 0 {
            let canary = format!("qX{}vT3mW8zR5nP1cK{}", 100 + canaries.len(), random(1000));
            canaries.push(canary.clone());
            return canary.into();
        }
        let count = 1 + random(3);
        (0..count)
            .map(|_| (NAMES[random(NAMES.len())].to_owned(), grow(random, canaries, depth - 1)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
    let mut state = 42_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut canaries = Vec::new();
    let (mut hidden, mut shown) = (0, 0);
    for round in 0..40 {
        let before = canaries.len();
        let contexts: Vec<_> = (0..6)
            .map(|_| {
                let name = format!("{}_{}", NAMES[random(NAMES.len())], NAMES[random(NAMES.len())]);
                (name, json!({NAMES[random(NAMES.len())]: grow(&mut random, &mut canaries, 4)}))
            })
            .collect();
        let [document, stream] = both_forms(&contexts).await;
        for canary in &canaries[before..] {
            if document.contains(canary) {
                shown += 1;
            } else {
                hidden += 1;
                assert!(!stream.contains(canary), "round {round}: {canary} in {contexts:?}");
            }
        }
    }
    assert!(hidden > 50 && shown > 50, "the control: {hidden} {shown}");
}

#[tokio::test]
async fn a_name_of_data_does_not_leave_with_a_request_that_a_hook_drops() {
    for panics in [false, true] {
        let relay = Relay::start();
        let hook = move |span: Span| {
            if panics {
                panic!("a hook that fails")
            } else {
                Some(span).filter(|span| span.op.as_deref() == Some("task") && span.description.as_deref() == Some("step"))
            }
        };
        let client = client(&relay, TraceLifecycle::Stream, |config| config.before_send_span(hook));

        let work = async {
            Scope::current().transaction().set_name("order of plainjane");
            tower_sentry::span("task", "step", async {}).await;
        };
        client.transaction("work").run_infallible(work).await;
        support::settle(&client).await;

        let all = containers(&relay);
        assert_eq!(value(&all[0].spans[1], "sentry.segment.name"), "<withheld>");
        let text = String::from_utf8(relay.received()[0].envelope.clone()).unwrap();
        assert!(!text.contains("plainjane"), "{text}");
    }
}

#[tokio::test]
async fn a_long_span_around_many_short_ones_loses_none() {
    let relay = Relay::start();
    let client = streaming(&relay);
    start_clock();
    let pair = || tower_sentry::span("task", "pair", async { tower_sentry::span("task", "inner", async {}).await });
    let work = tower_sentry::span("task", "outer", async {
        for _ in 0..1200 {
            pair().await;
        }
    });

    client.transaction("work").run_infallible(work).await;
    support::settle(&client).await;
    CLOCK.with(|clock| clock.borrow_mut().take());

    assert_eq!((spans(&relay).len(), client.stats().spans.dropped), (2402, vec![]));
}

#[tokio::test]
async fn the_login_name_is_no_further_field() {
    let relay = Relay::start();
    let client = client(&relay, TraceLifecycle::Stream, |config| config.redaction(Redaction::default().user_fields(["plan"])));
    let work = async {
        Scope::current().set_user(User::id(42).username("jane").field("plan", json!({"tier": "gold"})).field("street", "plainstreet"));
    };

    client.transaction("work").run_infallible(work).await;
    support::settle(&client).await;

    let all = spans(&relay);
    let told = ["user.name", "user.plan.tier", "user.street"].map(|name| value(&all[0], name));
    assert_eq!(told, ["jane", "gold", "[Filtered]"]);
}
