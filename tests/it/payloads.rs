//! The whole of a transaction and of an event, against what was put in.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _};
use tower_sentry::incoming::RouteOptions;
use tower_sentry::protocol::{Attachment, Timestamp};
use tower_sentry::test::HandClock;
use tower_sentry::{Breadcrumb, Client, ConfigBuilder, Level, Scope, SentryLayer, TracingLayer, User};
use tracing::field::Empty;
use tracing::{Instrument as _, error, info, info_span};
use tracing_subscriber::prelude::*;

use crate::support::{self, Relay, patience};

const TRACE: &str = "771a43a4192642f0b136d5159a501700";
const OTHER: &str = "0123456789abcdef0123456789abcdef";
const PARENT: &str = "b0e6f15b45c36b12";
/// A rate under which nothing is sampled in a test, and yet not the final zero.
const HARDLY: f64 = 1e-5;

/// Serves one request with `handler` and reads at most so many frames of the response. Returns the response's headers.
async fn serve<F, B>(client: &Client, request: Request<Body>, frames: usize, handler: impl Fn() -> F) -> HeaderMap
where
    F: Future<Output = Response<B>>,
    B: hyper::body::Body,
{
    let inner = tower::service_fn(|_: Request<Body>| {
        let response = handler();
        async { Ok::<_, Infallible>(response.await) }
    });
    let layer = SentryLayer::new(client)
        .route("/orders/{id}", RouteOptions::new())
        .route("/plain", RouteOptions::new().sample_rate(1.0))
        .event_header("x-error-id");
    let (parts, body) = layer.layer(inner).oneshot(request).await.unwrap().into_parts();
    let mut body = Box::pin(body);
    for _ in 0..frames {
        if body.frame().await.is_none() {
            break;
        }
    }
    parts.headers
}

fn text(text: &'static str) -> Response<Full<Bytes>> {
    Response::new(Full::from(text))
}

fn streamed<S: Stream<Item = &'static str>>(status: u16, words: S) -> Response<impl hyper::body::Body> {
    let frames = words.map(|word| Ok::<_, Infallible>(Frame::data(Bytes::from(word))));
    Response::builder().status(status).body(StreamBody::new(frames)).unwrap()
}

/// A client that sets whatever can be set.
fn full(relay: &Relay) -> ConfigBuilder {
    support::config(relay)
        .release("shop@1.4.0")
        .environment("staging")
        .server_name("web-1")
        .tag("region", "eu")
        .tag("team", "checkout")
        .send_default_pii(true)
}

/// A request that says whatever can be said, from another service of the same trace.
fn full_request() -> Request<Body> {
    let request = Request::post("/orders/7?tab=new")
        .version(Version::HTTP_2)
        .header("host", "shop.example:8443")
        .header("content-length", "12")
        .header("user-agent", "curl/8")
        .header("authorization", "Bearer canary")
        .header("accept", "text/html")
        .header("accept", "text/plain")
        .header("sentry-trace", format!("{TRACE}-{PARENT}-1"))
        .header("baggage", format!("vendor=1,sentry-trace_id={TRACE},sentry-public_key={OTHER},sentry-sample_rate=0.5"));
    request.extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 9], 4711)))).body(Body::empty()).unwrap()
}

/// The request as a payload shows it.
fn shown_request() -> Value {
    json!({
        "method": "POST",
        "url": "http://shop.example:8443/orders/7",
        "query_string": "tab=new",
        "headers": {
            "host": "shop.example:8443", "content-length": "12", "user-agent": "curl/8", "authorization": "[Filtered]",
            "accept": "text/html,text/plain", "sentry-trace": format!("{TRACE}-{PARENT}-1"),
            "baggage": format!("vendor=1,sentry-trace_id={TRACE},sentry-public_key={OTHER},sentry-sample_rate=0.5"),
        },
    })
}

/// What is the same in each payload of a client that sets whatever can be set.
fn shown_always(payload: &mut Value) {
    let sdk = json!({
        "name": "tower.sentry",
        "version": env!("CARGO_PKG_VERSION"),
        "packages": [{"name": "cargo:tower-sentry", "version": env!("CARGO_PKG_VERSION")}],
        "settings": {"infer_ip": "never"},
    });
    let expected = [
        ("platform", "native".into()),
        ("transaction", "POST /orders/{id}".into()),
        ("transaction_info", json!({"source": "route"})),
        ("release", "shop@1.4.0".into()),
        ("environment", "staging".into()),
        ("server_name", "web-1".into()),
        ("sdk", sdk),
        ("request", shown_request()),
        // The address is the connection's: the user has none of their own.
        ("user", json!({"id": "42", "username": "jane", "plan": "gold", "ip_address": "192.0.2.9"})),
        ("tags", json!({"region": "us", "team": "checkout", "plan": "gold"})),
    ];
    for (name, value) in expected {
        assert_eq!(payload.as_object_mut().unwrap().remove(name), Some(value), "{name}");
    }
    let contexts = payload["contexts"].as_object_mut().unwrap();
    let os = contexts.remove("os").unwrap();
    assert!(os["name"].as_str().unwrap().eq_ignore_ascii_case(std::env::consts::OS), "{os}");
    // The same by the program of the system.
    #[cfg(target_os = "linux")]
    {
        let said = std::process::Command::new("uname").arg("-r").output().unwrap();
        assert_eq!(os["kernel_version"], json!(String::from_utf8(said.stdout).unwrap().trim()));
        let said = std::process::Command::new("sh").args(["-c", ". /etc/os-release && echo $ID $VERSION_ID"]).output().unwrap();
        let found = [&os["distribution_name"], &os["distribution_version"]].map(|word| word.as_str().unwrap_or_default()).join(" ");
        assert_eq!(found.trim(), String::from_utf8(said.stdout).unwrap().trim());
    }
    let runtime = contexts.remove("runtime").unwrap();
    let version: Vec<_> = runtime["version"].as_str().unwrap().split(['.', '-']).take(3).map(|part| part.parse::<u32>().is_ok()).collect();
    assert_eq!((&runtime["name"], version), (&json!("rustc"), vec![true; 3]), "{runtime}");
    assert_eq!(contexts.remove("device"), Some(json!({"arch": std::env::consts::ARCH})));
    assert_eq!(contexts.remove("order"), Some(json!({"id": 7})));
    // Of events only.
    if let Some(app) = contexts.remove("app") {
        let started = humantime::parse_rfc3339(app["app_start_time"].as_str().unwrap()).unwrap();
        assert!(started <= std::time::SystemTime::now() && started.elapsed().unwrap() < Duration::from_secs(24 * 60 * 60), "{app}");
        #[cfg(target_os = "linux")]
        assert!(app["app_memory"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{app}");
    }
}

fn set_all() {
    let scope = Scope::current();
    scope.set_user(User::id(42).username("jane").field("plan", "gold")).set_context("order", json!({"id": 7}));
    scope.set_tag("plan", "gold").set_tag("region", "us");
}

fn micros(value: &Value) -> i64 {
    (value.as_f64().unwrap() * 1e6).round() as i64
}

/// Takes out a time, in milliseconds since `start`. What the wire holds is a microsecond off at times.
fn take_time(payload: &mut Value, name: &str, start: i64) -> i64 {
    let since = micros(&payload.as_object_mut().unwrap().remove(name).unwrap()) - start;
    let millis = (since + 1).div_euclid(1000);
    assert!((since - millis * 1000).abs() <= 1, "{since} microseconds are no whole milliseconds");
    millis
}

/// Takes out an id, which must be hexadecimal and of this length.
fn take_id(payload: &mut Value, name: &str, digits: usize) -> String {
    let id = payload.as_object_mut().unwrap().remove(name).unwrap().as_str().unwrap().to_owned();
    assert!(id.len() == digits && id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')), "{name}: {id}");
    id
}

fn wall() -> i64 {
    (Timestamp::now().as_nanos() / 1000).cast_signed()
}

#[tokio::test]
async fn a_transaction_is_what_was_put_in() {
    support::subscribe();
    let relay = Relay::start();
    let client = Client::from(full(&relay).build().unwrap());
    let clock = HandClock::start();
    let wait = |millis| clock.advance(Duration::from_millis(millis));
    let still_open = RefCell::new(None);
    let handler = || async {
        set_all();
        wait(2);
        let load = info_span!("load", sentry.op = "cache.get", order = 7_u64, late = Empty);
        load.record("late", "x");
        async { wait(3) }.instrument(load).await;
        let decode = async {
            tokio::task::yield_now().await;
            info_span!("decode").in_scope(|| wait(7));
        };
        tower_sentry::span("db.query", "SELECT * FROM orders WHERE id = 7", decode).await;
        *still_open.borrow_mut() = Some(info_span!("watch"));
        streamed(
            201,
            stream::iter(["hello ", "world"]).map(|word| {
                wait(10);
                word
            }),
        )
    };

    let before = wall();
    serve(&client, full_request(), 10, handler).await;
    let after = wall();
    support::settle(&client).await;

    let envelopes = relay.received();
    let (header, items) = envelopes.iter().map(support::Received::items).find(|(_, items)| items[0].0["type"] == "transaction").unwrap();
    let mut transaction = items[0].1.clone();
    let start = micros(&transaction["start_timestamp"]);
    assert!((before - 1..=after + 1).contains(&start), "{before} {start} {after}");
    let times = ["start_timestamp", "timestamp"];
    assert_eq!(times.map(|name| take_time(&mut transaction, name, start)), [0, 32]);
    let event_id = take_id(&mut transaction, "event_id", 32);
    assert_eq!(header["event_id"], event_id);
    assert_eq!(header["trace"], json!({"trace_id": TRACE, "public_key": OTHER, "sample_rate": "0.5"}), "as it came in");
    let root = take_id(&mut transaction["contexts"]["trace"], "span_id", 16);
    let mut ids = vec![root.clone()];
    let mut spans = transaction.as_object_mut().unwrap().remove("spans").unwrap();
    let spans = spans.as_array_mut().unwrap();
    let times: Vec<_> = spans
        .iter_mut()
        .map(|span| {
            ids.push(take_id(span, "span_id", 16));
            assert_eq!(take_id(span, "trace_id", 32), TRACE);
            if let Some(data) = span["data"].as_object_mut().filter(|data| !data.is_empty()) {
                assert!(data.remove("code.line.number").unwrap().is_u64());
                assert_eq!(data.remove("code.namespace"), Some("it::payloads".into()));
                assert_eq!(data.remove("code.file.path"), Some("tests/it/payloads.rs".into()));
            }
            times.map(|name| take_time(span, name, start))
        })
        .collect();
    assert_eq!(times, [[2, 5], [5, 12], [5, 12], [12, 32]], "what is open at the end ends with the request");
    let span = |op: &str, name: &str, parent: &str, origin: &str, data: Value| json!({"op": op, "description": name, "parent_span_id": parent, "status": "ok", "origin": origin, "data": data});
    let traced = "auto.function.tracing";
    assert_eq!(
        *spans,
        [
            span("cache.get", "load", &root, traced, json!({"order": 7, "late": "x"})),
            span("db.query", "SELECT * FROM orders WHERE id = ?", &root, "manual", json!({})),
            span("function", "decode", &ids[2], traced, json!({})),
            span("function", "watch", &root, traced, json!({})),
        ]
    );
    shown_always(&mut transaction);
    let data = json!({
        "sentry.sample_rate": 1.0,
        "http.request.method": "POST", "http.route": "/orders/{id}", "url.path": "/orders/7", "url.query": "tab=new", "url.scheme": "http",
        "server.address": "shop.example", "server.port": 8443, "network.protocol.version": "2", "http.request.body.size": 12,
        "user_agent.original": "curl/8", "client.address": "192.0.2.9", "http.response.status_code": 201, "http.response.body.size": 11,
        "tower_sentry.body_frames": 2, "tower_sentry.first_byte_ms": 22.0, "tower_sentry.polls": 2, "tower_sentry.busy_ms": 12.0,
        "tower_sentry.longest_poll_ms": 7.0,
    });
    let trace = json!({"trace_id": TRACE, "parent_span_id": PARENT, "op": "http.server", "status": "ok", "origin": "auto.http.tower", "data": data});
    assert_eq!(
        transaction,
        json!({"type": "transaction", "contexts": {"trace": trace, "response": {"status_code": 201}}}),
        "and nothing else"
    );
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5, "each has an id of its own");
}

#[derive(Debug)]
struct OrderError(std::io::Error);

impl std::fmt::Display for OrderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the order could not be placed")
    }
}

impl std::error::Error for OrderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[tokio::test]
async fn an_event_is_what_was_put_in() {
    support::subscribe();
    let relay = Relay::start();
    let client = Client::from(full(&relay).build().unwrap());
    let clock = HandClock::start();
    let handler = || async {
        set_all();
        let scope = Scope::current();
        scope.set_extra("attempt", 2).set_fingerprint(["orders"]);
        clock.advance(Duration::from_millis(1));
        info!(order = 7, "charging");
        clock.advance(Duration::from_millis(2));
        scope.add_breadcrumb(Breadcrumb::new("by hand").category("payment").level(Level::Warning).field("attempt", 2));
        info!("charged");
        tower_sentry::capture_message(Level::Warning, "unusual");
        let fail = || tower_sentry::capture_error(&OrderError(std::io::Error::other("connection refused")));
        info_span!("place").in_scope(fail);
        text("placed")
    };

    let before = wall();
    serve(&client, full_request(), 10, handler).await;
    let after = wall();
    support::settle(&client).await;

    let transaction = relay.transactions().remove(0);
    let start = micros(&transaction["start_timestamp"]);
    let trace = &transaction["contexts"]["trace"];
    let mut events = relay.events();
    events.sort_by_key(|event| event["exception"].is_object());
    let [message, error] = &mut *events else { panic!("two events: {events:?}") };
    for event in [&mut *message, error] {
        take_id(event, "event_id", 32);
        let at = micros(&event.as_object_mut().unwrap().remove("timestamp").unwrap());
        assert!((before - 1..=after + 1).contains(&at), "{before} {at} {after}");
        shown_always(event);
        assert_eq!(event.as_object_mut().unwrap().remove("extra"), Some(json!({"attempt": 2})));
        assert_eq!(event.as_object_mut().unwrap().remove("fingerprint"), Some(json!(["orders"])));
        let mut crumbs = event.as_object_mut().unwrap().remove("breadcrumbs").unwrap();
        let [charging, by_hand, charged] = &mut **crumbs["values"].as_array_mut().unwrap() else { panic!("three: {crumbs}") };
        assert_eq!((take_time(charging, "timestamp", start), take_time(charged, "timestamp", start)), (1, 3));
        let at = micros(&by_hand.as_object_mut().unwrap().remove("timestamp").unwrap());
        assert!((before - 1..=after + 1).contains(&at));
        assert_eq!(*charging, json!({"category": "it::payloads", "message": "charging", "level": "info", "data": {"order": 7}}));
        assert_eq!(*by_hand, json!({"category": "payment", "message": "by hand", "level": "warning", "data": {"attempt": 2}}));
        assert_eq!(*charged, json!({"category": "it::payloads", "message": "charged", "level": "info"}));
    }
    // Before the head of the response, at the root.
    let at_root = json!({"trace_id": TRACE, "span_id": trace["span_id"], "parent_span_id": PARENT, "op": "http.server"});
    assert_eq!(*message, json!({"level": "warning", "logentry": {"message": "unusual"}, "contexts": {"trace": at_root}}));
    // An error waits for the status; the span it was captured in has its parent in the transaction.
    let place = &transaction["spans"][0]["span_id"];
    let chained = json!({"type": "chained", "handled": true, "exception_id": 1, "parent_id": 0, "source": "source()"});
    let generic = json!({"type": "generic", "handled": true, "exception_id": 0});
    // Whether there are frames depends on what other tests of the process do.
    error.as_object_mut().unwrap().remove("debug_meta");
    error["exception"]["values"][1].as_object_mut().unwrap().remove("stacktrace");
    let expected = json!({
        "level": "error",
        "exception": {"values": [
            {"type": "io::Error", "value": "connection refused", "mechanism": chained},
            {"type": "OrderError", "module": "it::payloads", "value": "the order could not be placed", "mechanism": generic},
        ]},
        "contexts": {"trace": {"trace_id": TRACE, "span_id": place, "op": "http.server"}, "response": {"status_code": 200}},
    });
    assert_eq!(*error, expected);
}

#[tokio::test]
async fn what_was_not_set_is_not_there() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let request = Request::get("/orders/7").header("host", "shop.example").body(Body::empty()).unwrap();

    serve(&client, request, 10, || async {
        tower_sentry::capture_message(Level::Info, "noted");
        text("ok")
    })
    .await;
    support::settle(&client).await;

    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let (transaction, event) = (&relay.transactions()[0], &relay.events()[0]);
    let both = ["contexts", "environment", "event_id", "platform", "request", "sdk", "timestamp", "transaction", "transaction_info"];
    let sorted = |more: &[&'static str]| {
        let mut names = [&both, more].concat();
        names.sort_unstable();
        names
    };
    assert_eq!(names(transaction), sorted(&["spans", "start_timestamp", "type"]));
    assert_eq!(names(event), sorted(&["fingerprint", "level", "logentry"]));
    assert_eq!((&transaction["environment"], &event["environment"]), (&"production".into(), &"production".into()));
    assert_eq!(names(&transaction["contexts"]), ["device", "os", "response", "runtime", "trace"]);
    assert_eq!(names(&event["contexts"]), ["app", "device", "os", "runtime", "trace"]);
    assert_eq!(
        transaction["request"],
        json!({"method": "GET", "url": "http://shop.example/orders/7", "headers": {"host": "shop.example"}})
    );
    let data = json!({
        "sentry.sample_rate": 1.0, "http.request.method": "GET", "http.route": "/orders/{id}", "url.path": "/orders/7", "url.scheme": "http",
        "server.address": "shop.example", "network.protocol.version": "1.1", "http.response.status_code": 200,
        "http.response.body.size": 2, "tower_sentry.body_frames": 1,
    });
    let mut seen = transaction["contexts"]["trace"]["data"].clone();
    assert!(seen.as_object_mut().unwrap().remove("tower_sentry.first_byte_ms").unwrap().is_number());
    assert_eq!(seen, data);
}

#[tokio::test]
async fn tags_of_the_process_and_the_address_of_a_user_are_theirs() {
    let relay = Relay::start();
    let client = Client::from(full(&relay).build().unwrap());

    serve(&client, full_request(), 10, || async {
        tower_sentry::capture_message(Level::Info, "noted");
        text("ok")
    })
    .await;
    serve(&client, full_request(), 10, || async {
        Scope::current().set_user(User::id(42).ip_address("198.51.100.4"));
        tower_sentry::capture_message(Level::Info, "noted");
        text("ok")
    })
    .await;
    support::settle(&client).await;

    for payloads in [relay.transactions(), relay.events()] {
        assert!(
            payloads.iter().all(|payload| payload["tags"] == json!({"region": "eu", "team": "checkout"})),
            "also where the request sets none"
        );
        let mut users: Vec<_> = payloads.iter().map(|payload| payload["user"].to_string()).collect();
        users.sort_unstable();
        assert_eq!(users, [r#"{"id":"42","ip_address":"198.51.100.4"}"#, r#"{"ip_address":"192.0.2.9"}"#]);
    }
}

#[tokio::test]
async fn a_request_shows_its_host_and_its_version() {
    let rows = [
        ("shop.example", Version::HTTP_09, "http://shop.example/", Some("shop.example"), None, "0.9"),
        ("shop.example:8443", Version::HTTP_10, "http://shop.example:8443/", Some("shop.example"), Some(8443), "1.0"),
        ("[2001:db8::1]:8443", Version::HTTP_11, "http://[2001:db8::1]:8443/", Some("[2001:db8::1]"), Some(8443), "1.1"),
        ("[2001:db8::1]", Version::HTTP_2, "http://[2001:db8::1]/", Some("[2001:db8::1]"), None, "2"),
        ("", Version::HTTP_3, "http://unknown.invalid/", None, None, "3"),
    ];
    for (host, version, url, address, port, shown) in rows {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).send_default_pii(true).build().unwrap());
        let request = Request::get("/").version(version).header("host", host).body(Body::empty()).unwrap();

        serve(&client, request, 10, || async { text("ok") }).await;
        support::settle(&client).await;

        let transaction = &relay.transactions()[0];
        let data = &transaction["contexts"]["trace"]["data"];
        assert_eq!(transaction["request"]["url"], url);
        assert_eq!((data["server.address"].as_str(), data["server.port"].as_u64()), (address, port), "{host}");
        assert_eq!(data["network.protocol.version"], shown);
    }
}

#[tokio::test]
async fn a_response_that_was_cancelled_says_how_much_of_it_was_sent() {
    let relay = Relay::start();
    let client = support::client(&relay);

    serve(&client, full_request(), 2, || async { streamed(200, stream::iter(["one", "two", "three"])) }).await;
    support::settle(&client).await;

    let trace = &relay.transactions()[0]["contexts"]["trace"];
    let data = &trace["data"];
    assert_eq!((&trace["status"], &data["tower_sentry.cancelled"]), (&"cancelled".into(), &"in_body".into()));
    assert_eq!((&data["http.response.body.size"], &data["tower_sentry.body_frames"]), (&6.into(), &2.into()));
}

#[tokio::test]
async fn the_header_of_an_envelope_says_what_its_transaction_was_sampled_by() {
    let baggage = |id: &str| {
        format!("sentry-trace_id={id},sentry-public_key={OTHER},sentry-sample_rate=0.25,sentry-sample_rand=0.999999,sentry-sampled=false")
    };
    let came_in = |sampled: &str, rate: &str| json!({"trace_id": TRACE, "public_key": OTHER, "sample_rate": rate, "sample_rand": "0.999999", "sampled": sampled});
    // The rate; whose id the baggage has; what of the header is known before.
    let rows = [
        (1.0, None, Some(json!({"sampled": "true", "sample_rate": "1"}))),
        // Kept after the fact: a "no" would make the server throw it away.
        (HARDLY, None, Some(json!({"sampled": "true", "sample_rate": "1"}))),
        (HARDLY, Some(TRACE), Some(came_in("true", "1"))),
        // The context of another trace says nothing of this one.
        (1.0, Some(OTHER), None),
    ];
    for (rate, id, expected) in rows {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).traces_sample_rate(rate).build().unwrap());
        let mut request = Request::get("/orders/7").body(Body::empty()).unwrap();
        if let Some(id) = id {
            request.headers_mut().insert("sentry-trace", format!("{TRACE}-{PARENT}").parse().unwrap());
            request.headers_mut().insert("baggage", baggage(id).parse().unwrap());
        }

        serve(&client, request, 10, || async { streamed(500, stream::iter(["no"])) }).await;
        support::settle(&client).await;

        let received = relay.received();
        let (header, items) = received.iter().map(support::Received::items).find(|(_, items)| items[0].0["type"] == "transaction").unwrap();
        let kept = &items[0].1["contexts"]["trace"]["data"]["tower_sentry.kept"];
        assert_eq!(*kept, if rate < 1.0 { "failed".into() } else { Value::Null }, "{rate} {id:?}");
        let Some(expected) = expected else {
            assert_eq!(header.get("trace"), None);
            continue;
        };
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(header["trace"][name], *value, "{rate} {id:?} {name}");
        }
        assert_eq!(header["trace"]["trace_id"], items[0].1["contexts"]["trace"]["trace_id"]);
    }
}

#[tokio::test]
async fn what_users_set_is_bounded_and_steps_that_are_gone_take_no_room() {
    let (client, captured) = tower_sentry::test::client();
    let many = async {
        for number in 0..300 {
            Scope::current().set_tag(format!("tag{number}"), "x ".repeat(500));
        }
        tower_sentry::capture_message(Level::Info, "many");
    };
    client.transaction("many").run(many).await;

    // 256 KiB of them.
    let event = &captured.events()[0];
    let whole = event.tags.values().filter(|value| value.len() == 1000).count();
    assert!((250..=262).contains(&whole), "{whole} tags");
    assert_eq!((event.tags["tag0"].len(), &*event.tags["tag299"]), (1000, "[left out: 1000 bytes]"));
    for limit in [0, 5] {
        let config = tower_sentry::Config::builder().traces_sample_rate(1.0).max_breadcrumbs(limit);
        let (client, captured) = tower_sentry::test::client_with(config);
        let steps = async {
            for number in 0..600 {
                Scope::current().add_breadcrumb(Breadcrumb::new(format!("{number} {}", "x ".repeat(500))));
            }
            Scope::current().set_tag("after", "x ".repeat(1000));
            tower_sentry::capture_message(Level::Info, "noted");
        };
        client.transaction("steps").run(steps).await;

        let event = &captured.events()[0];
        assert_eq!((event.breadcrumbs.values.len(), event.tags.contains_key("after")), (limit, true));
        let last = event.breadcrumbs.values.last().map(|crumb| crumb.message.clone().unwrap().starts_with("599 "));
        assert!(last.unwrap_or(limit == 0), "the last ones are kept");
    }
    support::settle(&client).await;
}

#[tokio::test]
async fn a_context_of_a_user_takes_no_place_of_the_trace() {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let work = async {
        let scope = Scope::current();
        for name in ["trace", "os", "device", "fields"] {
            scope.set_context(name, json!({"mine": true}));
        }
        error!(order = 7, "noted");
    };

    client.transaction("work").run(work).await;
    support::settle(&client).await;

    for payload in [&relay.transactions()[0], &relay.events()[0]] {
        assert_eq!(payload["contexts"]["trace"]["op"], "task");
        for name in ["os", "device", "fields"] {
            assert_eq!(payload["contexts"][name], json!({"mine": true}), "{name}");
        }
    }
    for received in relay.received() {
        let text = String::from_utf8(received.envelope).unwrap();
        for name in ["\"os\":", "\"device\":", "\"fields\":"] {
            assert_eq!(text.matches(name).count(), 1, "no name twice: {text}");
        }
    }
}

/// The client of a thread, whose clock goes by hand, and what its subscriber records.
fn thread(relay: &Relay) -> (Client, HandClock, tracing::subscriber::DefaultGuard) {
    let config = support::config(relay).traces_sample_rate(HARDLY).max_spans(4).send_default_pii(true);
    let client = Client::from(config.build().unwrap());
    let layer = TracingLayer::new(&client).poll_times(true);
    let subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    (client, HandClock::start(), subscriber)
}

/// Sets and records all there is. Not sampled; where it fails it is kept, and ends in the middle of its body.
async fn rich(client: &Client, clock: &HandClock, fails: bool) {
    let mut request = full_request();
    let baggage = format!("sentry-trace_id={TRACE},sentry-public_key={OTHER},sentry-sample_rand=0.999999,sentry-release=other");
    request.headers_mut().insert("sentry-trace", format!("{TRACE}-{PARENT}").parse().unwrap());
    request.headers_mut().insert("baggage", baggage.parse().unwrap());
    let handler = || async {
        set_all();
        let scope = Scope::current();
        scope.set_extra("attempt", 2).set_fingerprint(["orders"]).set_level(Level::Fatal).transaction().set_name("checkout");
        scope.set_context("long", json!({"text": "x ".repeat(100 * 1024)}));
        scope.add_attachment(Attachment::new("order.json", b"{}".to_vec())).add_breadcrumb(Breadcrumb::new("by hand"));
        info!(order = 7, "charging");
        for number in 0..10 {
            let traced = info_span!("traced", number = Empty);
            traced.record("number", number);
            async { tokio::task::yield_now().await }.instrument(traced).await;
            tower_sentry::span("db.query", "SELECT 1", async { clock.advance(Duration::from_millis(3)) }).attribute("of", "rich").await;
        }
        let mut headers = HashMap::new();
        scope.inject(&mut headers);
        assert!(headers["baggage"].contains("sentry-release=other"));
        tower_sentry::capture_message(Level::Warning, "rich");
        if fails {
            tower_sentry::capture_error(&OrderError(std::io::Error::other("connection refused")));
        }
        streamed(if fails { 500 } else { 200 }, stream::iter(["one", "two"]))
    };
    serve(client, request, if fails { 1 } else { 10 }, handler).await;
    client.flush(patience()).await.unwrap();
}

/// Everything that comes of a request which says little, but for ids and times of day.
async fn plain(relay: &Relay, client: &Client, clock: &HandClock) -> Vec<Value> {
    let seen = relay.received().len();
    let told = RefCell::new(HashMap::new());
    let request = Request::get("/plain").header("host", "shop.example").body(Body::empty()).unwrap();
    let headers = serve(client, request, 10, || async {
        let step = info_span!("step", late = Empty);
        step.record("late", true);
        step.in_scope(|| clock.advance(Duration::from_millis(2)));
        tower_sentry::span("task", "own", async { clock.advance(Duration::from_millis(3)) }).await;
        // Room for it is there.
        Scope::current().set_tag("long", "x ".repeat(50 * 1024));
        tower_sentry::capture_message(Level::Warning, "noted");
        Scope::current().inject(&mut *told.borrow_mut());
        text("plain")
    })
    .await;
    client.flush(patience()).await.unwrap();

    let mut all = vec![json!({"headers": format!("{headers:?}"), "told": unlike(json!(told.into_inner()))})];
    for received in &relay.received()[seen..] {
        let (header, items) = received.items();
        all.extend(items.into_iter().filter(|(item, _)| item["type"] != "client_report").map(|(item, mut payload)| {
            // The memory of the process changes.
            payload["contexts"].as_object_mut().and_then(|contexts| contexts.remove("app"));
            if item["type"] == "transaction" {
                let start = micros(&payload["start_timestamp"]);
                payload["took"] = take_time(&mut payload, "timestamp", start).into();
                for span in payload["spans"].as_array_mut().unwrap() {
                    span["began"] = take_time(span, "start_timestamp", start).into();
                    span["ended"] = take_time(span, "timestamp", start).into();
                }
            }
            unlike(json!({"type": item["type"], "header": header["trace"], "payload": payload}))
        }));
    }
    all.sort_by_key(ToString::to_string);
    all
}

/// Takes out what differs from request to request.
fn unlike(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            for name in ["event_id", "trace_id", "span_id", "parent_span_id", "start_timestamp", "timestamp", "sample_rand", "sentry-trace"]
            {
                members.remove(name);
            }
            for (name, member) in members {
                *member = match member.as_str().filter(|_| name == "baggage") {
                    // Its names: the ids among the values differ.
                    Some(text) => text.split(',').map(|member| member.split('=').next().unwrap()).collect(),
                    None => unlike(member.take()),
                };
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| *element = unlike(element.take())),
        _ => {}
    }
    value
}

#[tokio::test]
async fn a_request_has_nothing_of_those_before_it() {
    let fresh = std::thread::spawn(|| {
        let relay = Relay::start();
        let (client, clock, _subscriber) = thread(&relay);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fresh = plain(&relay, &client, &clock).await;
            support::settle(&client).await;
            fresh
        })
    });
    let fresh = fresh.join().unwrap();
    let relay = Relay::start();
    let (client, clock, _subscriber) = thread(&relay);
    assert_eq!(fresh.len(), 3, "the response, an event and a transaction: {fresh:?}");

    for fails in [true, false, true] {
        rich(&client, &clock, fails).await;
        // Several records take turns: those of the request, of its events, and of what was put aside.
        for turn in 0..4 {
            assert_eq!(plain(&relay, &client, &clock).await, fresh, "turn {turn} after one that failed: {fails}");
        }
    }
    support::settle(&client).await;

    let transactions = client.stats().transactions;
    assert_eq!((transactions.captured, transactions.sent), (15, 14), "those that failed were kept");
}
