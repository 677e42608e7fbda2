//! Failures: once each, with their whole chain.

use std::fmt;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;
use tower_http::catch_panic::CatchPanicLayer;
use tower_sentry::{Breadcrumb, CaptureError, Level, Scope, SentryLayer, User};
use tracing::info;

use crate::support::{self, Relay, Server, in_child};

#[derive(Debug)]
struct OrderError(PaymentError);
#[derive(Debug)]
struct PaymentError(std::io::Error);

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the order could not be placed")
    }
}

impl fmt::Display for PaymentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the payment service did not answer")
    }
}

impl std::error::Error for OrderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl std::error::Error for PaymentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn order_error() -> OrderError {
    OrderError(PaymentError(std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused")))
}

impl IntoResponse for OrderError {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, CaptureError::new(self)).into_response()
    }
}

fn chain(event: &Value) -> Vec<(String, String)> {
    let values = event["exception"]["values"].as_array().unwrap();
    values.iter().rev().map(|value| (value["type"].as_str().unwrap().to_owned(), value["value"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn status_5xx_with_cause() {
    // A process of its own: while names are read for the first time, other errors get no frames.
    if !in_child("errors::status_5xx_with_cause", &[]) {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(fails_with_cause());
    }
}

async fn fails_with_cause() {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let fail = || async {
        Scope::current().set_user(User::id(42)).set_tag("plan", "gold").set_context("order", serde_json::json!({"id": 7}));
        Scope::current().add_breadcrumb(Breadcrumb::new("by hand").category("payment"));
        info!(order = 7, "charging");
        Err::<(), _>(order_error())
    };
    let refuse = || async { (StatusCode::NOT_FOUND, CaptureError::new(order_error())) };
    let app = Router::new().route("/orders/{id}", get(fail)).route("/missing", get(refuse)).layer(SentryLayer::new(&client));
    let server = Server::start(app).await;

    assert_eq!(support::get(&server, "/orders/7").await.0, 500);
    assert_eq!(support::get(&server, "/missing").await.0, 404);
    support::settle(&client).await;

    let events = relay.events();
    assert_eq!(events.len(), 1, "the 404 makes none");
    let event = &events[0];
    let expected = [
        ("OrderError", "the order could not be placed"),
        ("PaymentError", "the payment service did not answer"),
        ("io::Error", "connection refused"),
    ];
    assert_eq!(chain(event), expected.map(|(kind, value)| (kind.to_owned(), value.to_owned())));
    let outermost = event["exception"]["values"].as_array().unwrap().last().unwrap();
    assert_eq!(outermost["module"], "it::errors");
    assert_eq!(outermost["mechanism"], serde_json::json!({"type": "auto.http.tower", "handled": true, "exception_id": 0}));
    let ids: Vec<_> =
        event["exception"]["values"].as_array().unwrap().iter().map(|value| value["mechanism"]["exception_id"].clone()).collect();
    assert_eq!(ids, [2, 1, 0], "each has a number of its own");
    let own = outermost["stacktrace"]["frames"].as_array().unwrap().iter().rfind(|frame| frame["in_app"] == true).unwrap();
    assert_eq!(own["filename"], "tests/it/errors.rs", "the innermost frame of the application's own");
    assert_eq!((&event["transaction"], &event["level"]), (&"GET /orders/{id}".into(), &"error".into()));
    assert_eq!(
        (&event["user"]["id"], &event["tags"]["plan"], &event["contexts"]["order"]["id"]),
        (&"42".into(), &"gold".into(), &7.into())
    );
    let crumbs: Vec<_> =
        event["breadcrumbs"]["values"].as_array().unwrap().iter().map(|crumb| (&crumb["message"], &crumb["category"])).collect();
    assert_eq!(crumbs, [(&"by hand".into(), &"payment".into()), (&"charging".into(), &"it::errors".into())]);
    let transaction = relay.transactions().into_iter().find(|transaction| transaction["transaction"] == "GET /orders/{id}").unwrap();
    assert_eq!(event["contexts"]["trace"]["trace_id"], transaction["contexts"]["trace"]["trace_id"]);
    assert_eq!(transaction["contexts"]["trace"]["status"], "internal_error");
}

#[tokio::test]
async fn manual_capture() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let (ids, seen) = std::sync::mpsc::channel();
    let twice = move || {
        let ids = ids.clone();
        async move {
            let error = order_error();
            ids.send(tower_sentry::capture_error(&error)).unwrap();
            Err::<(), _>(error)
        }
    };
    let message = || async {
        tower_sentry::capture_message(Level::Warning, "unusual activity");
        "ok"
    };
    let app = Router::new().route("/twice", get(twice)).route("/message", get(message)).layer(SentryLayer::new(&client));
    let server = Server::start(app).await;

    support::get(&server, "/twice").await;
    support::get(&server, "/message").await;
    support::settle(&client).await;

    let events = relay.events();
    assert_eq!(events.len(), 2, "captured and returned is one event");
    let error = events.iter().find(|event| event["transaction"] == "GET /twice").unwrap();
    assert_eq!(error["event_id"], seen.recv().unwrap().to_string(), "the first id survives");
    assert_eq!(error["exception"]["values"][2]["module"], "it::errors", "the richer report wins");
    let message = events.iter().find(|event| event["transaction"] == "GET /message").unwrap();
    assert_eq!((&message["level"], &message["logentry"]["message"]), (&"warning".into(), &"unusual activity".into()));
}

/// The status and the body of a GET; none where the connection broke.
async fn survived(address: std::net::SocketAddr, path: &str) -> Option<(StatusCode, axum::body::Bytes)> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::get(path).header("host", "shop.example").body(axum::body::Body::empty()).unwrap();
    let response = sender.send_request(request).await.ok()?;
    let status = response.status();
    Some((status, http_body_util::BodyExt::collect(response.into_body()).await.ok()?.to_bytes()))
}

#[test]
fn panic_once() {
    if in_child("errors::panic_once", &[]) {
        return;
    }
    #[tracing::instrument]
    async fn crash() -> &'static str {
        Scope::current().set_user(User::id(42));
        tokio::task::yield_now().await;
        panic!("the shelf is empty")
    }
    async fn crash_outside(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
        if request.uri().path() == "/middleware" {
            crash().await;
        }
        next.run(request).await
    }
    let body = || async {
        let frames = futures_util::stream::once(async { Ok::<_, std::io::Error>("first") });
        let then = futures_util::stream::once(async { Ok(crash().await) });
        axum::body::Body::from_stream(futures_util::StreamExt::chain(frames, then))
    };
    std::panic::set_hook(Box::new(|_| {}));
    support::subscribe();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for catches in ["inside", "outside", "nowhere"] {
        runtime.block_on(async {
            let relay = Relay::start();
            let client = tower_sentry::Client::from(support::config(&relay).panic_hook(true).build().unwrap());
            let routes = Router::new().route("/handler", get(crash)).route("/middleware", get(|| async { "ok" })).route("/body", get(body));
            let app = routes.route("/lives", get(|| async { "lives" })).layer(axum::middleware::from_fn(crash_outside));
            let app = match catches {
                "inside" => app.layer(CatchPanicLayer::new()).layer(SentryLayer::new(&client)),
                "outside" => app.layer(SentryLayer::new(&client)).layer(CatchPanicLayer::new()),
                _ => app.layer(SentryLayer::new(&client)),
            };
            let address = Server::start(app).await.address;

            for place in ["handler", "middleware", "body"] {
                let answer = survived(address, &format!("/{place}")).await;
                let status = answer.map(|(status, _)| status.as_u16());
                // A head that is sent cannot be taken back: what panics in a body breaks the connection.
                assert_eq!(status, if catches == "nowhere" || place == "body" { None } else { Some(500) }, "{catches} {place}");
            }
            assert_eq!(survived(address, "/lives").await.unwrap(), (StatusCode::OK, "lives".into()), "the process lives");
            // The task of a broken connection ends by itself.
            relay.wait_for(7);
            support::settle(&client).await;

            let (events, transactions) = (relay.events(), relay.transactions());
            assert_eq!((events.len(), transactions.len()), (3, 4), "{catches}");
            for place in ["handler", "middleware", "body"] {
                let name = Value::from(format!("GET /{place}"));
                let event = events.iter().find(|event| event["transaction"] == name).unwrap();
                let panic = &event["exception"]["values"][0];
                assert_eq!(
                    (&panic["type"], &panic["mechanism"]["type"], &panic["mechanism"]["handled"]),
                    (&"panic".into(), &"panic".into(), &false.into())
                );
                assert_eq!(panic["value"], "the shelf is empty");
                let innermost = panic["stacktrace"]["frames"].as_array().unwrap().last().unwrap();
                assert!(innermost["function"].as_str().unwrap().contains("crash"), "{catches} {place}: {innermost}");
                assert_eq!(innermost["context_line"], "        panic!(\"the shelf is empty\")", "{catches} {place}: {innermost}");
                assert_eq!((&event["user"]["id"], &event["level"]), (&"42".into(), &"fatal".into()));
                let transaction = transactions.iter().find(|transaction| transaction["transaction"] == name).unwrap();
                let tree = support::tree(transaction);
                assert_eq!(tree, format!("GET /{place} [http.server] internal_error\n  crash [function] internal_error\n"), "{catches}");
            }
        });
    }
}

#[test]
fn a_panic_of_code_that_we_call_is_not_a_crash_and_hides_none() {
    if in_child("errors::a_panic_of_code_that_we_call_is_not_a_crash_and_hides_none", &[]) {
        return;
    }
    #[derive(Debug)]
    struct Panics;
    impl fmt::Display for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("in Display")
        }
    }
    impl std::error::Error for Panics {}
    std::panic::set_hook(Box::new(|_| {}));
    let handler = || async {
        tower_sentry::capture_error(&Panics);
        let caught = std::panic::catch_unwind(|| panic!("the shelf is empty"));
        assert!(caught.is_err());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let relay = Relay::start();
        let client = tower_sentry::Client::from(support::config(&relay).panic_hook(true).build().unwrap());
        let app = Router::new().fallback(handler).layer(SentryLayer::new(&client).name(|_| panic!("in the function that names")));

        support::get(&Server::start(app).await, "/").await;
        support::settle(&client).await;

        let mut seen: Vec<_> =
            relay.events().iter().map(|event| event["exception"]["values"][0]["value"].as_str().unwrap().to_owned()).collect();
        seen.sort_unstable();
        assert_eq!(seen, ["<the error's Display panicked>", "the shelf is empty"]);
    });
}

#[tokio::test]
async fn late_events_of_a_finished_request_still_know_it() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let (go, gate) = tokio::sync::oneshot::channel::<()>();
    let gate = std::sync::Arc::new(std::sync::Mutex::new(Some(gate)));
    let (done, mut finished) = tokio::sync::mpsc::unbounded_channel::<()>();
    let handler = move || {
        let (gate, done) = (gate.lock().unwrap().take().unwrap(), done.clone());
        async move {
            Scope::current().set_tag("kind", "late");
            tokio::spawn(Scope::current().bind(async move {
                gate.await.unwrap();
                tower_sentry::capture_message(Level::Info, "afterwards");
                done.send(()).unwrap();
            }));
            "ok"
        }
    };
    let server = Server::start(Router::new().route("/late", get(handler)).layer(SentryLayer::new(&client))).await;

    support::get(&server, "/late").await;
    relay.wait_for(1);
    go.send(()).unwrap();
    finished.recv().await.unwrap();
    support::settle(&client).await;

    let event = &relay.events()[0];
    assert_eq!((&event["transaction"], &event["tags"]["kind"]), (&"GET /late".into(), &"late".into()));
    assert_eq!(event["request"]["url"], "http://shop.example/late");
    assert_eq!(event["contexts"]["trace"]["trace_id"], relay.transactions()[0]["contexts"]["trace"]["trace_id"]);
}

/// What one request of each kind captures: the events' level, message and types, in the order they came.
async fn captured(app: impl Fn(&tower_sentry::Client) -> Router) -> Vec<String> {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let server = Server::start(app(&client)).await;
    support::get(&server, "/orders/7").await;
    support::settle(&client).await;
    let shown = |event: &Value| {
        assert_eq!((&event["transaction"], &event["request"]["method"]), (&"GET /orders/{id}".into(), &"GET".into()));
        let values = event["exception"]["values"].as_array().cloned().unwrap_or_default();
        let types: Vec<_> = values.iter().map(|value| value["type"].as_str().unwrap()).collect();
        format!("{} {} {}", event["level"].as_str().unwrap(), event["logentry"]["message"].as_str().unwrap_or("-"), types.join(" < "))
    };
    let mut events: Vec<_> = relay.events().iter().map(shown).collect();
    // Several are on their way at once.
    events.sort_unstable();
    events
}

#[tokio::test]
async fn each_failure_is_one_event() {
    use axum::response::IntoResponse as _;
    use http::StatusCode;
    use tower_http::trace::TraceLayer;

    const CHAIN: &str = "io::Error < PaymentError < OrderError";
    let plain = || async { StatusCode::INTERNAL_SERVER_ERROR };
    let logged = || async {
        let error = order_error();
        tracing::error!(error = &error as &dyn std::error::Error, order = 7, "placing the order failed");
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let as_text = || async {
        tracing::error!("placing the order failed: {}", order_error());
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let three_times = || async {
        let error = order_error();
        tracing::error!("placing the order failed: {error}");
        tower_sentry::capture_error(&error);
        tracing::error!(error = &error as &dyn std::error::Error, "once more");
        (StatusCode::INTERNAL_SERVER_ERROR, CaptureError::new(error)).into_response()
    };
    #[tracing::instrument(err)]
    async fn instrumented() -> Result<(), OrderError> {
        Err(order_error())
    }
    let by_instrument = || async {
        let Err(error) = instrumented().await else { return StatusCode::OK.into_response() };
        (StatusCode::INTERNAL_SERVER_ERROR, CaptureError::new(error)).into_response()
    };
    let fine_after_all = || async {
        tracing::error!("the cache is gone");
        StatusCode::OK
    };
    let two = || async {
        tracing::error!("the cache is gone");
        tower_sentry::capture_error(&order_error());
        StatusCode::INTERNAL_SERVER_ERROR
    };
    // A text this short stands in a log by chance.
    let short = || async {
        tracing::error!("the radio is off");
        tower_sentry::capture_error(&std::io::Error::other("io"));
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let refused = || async { StatusCode::NOT_FOUND };
    let on = |handler: axum::routing::MethodRouter| {
        move |client: &tower_sentry::Client| Router::new().route("/orders/{id}", handler.clone()).layer(SentryLayer::new(client))
    };
    let traced = |handler: axum::routing::MethodRouter| {
        move |client: &tower_sentry::Client| {
            let inside = Router::new().route("/orders/{id}", handler.clone()).layer(TraceLayer::new_for_http());
            inside.layer(SentryLayer::new(client)).layer(TraceLayer::new_for_http())
        }
    };

    assert_eq!(captured(on(get(plain))).await, ["error GET /orders/{id} answered 500 "]);
    assert_eq!(captured(on(get(logged))).await, [format!("error placing the order failed {CHAIN}")]);
    assert_eq!(captured(on(get(as_text))).await, ["error placing the order failed: the order could not be placed "]);
    assert_eq!(captured(on(get(three_times))).await, [format!("error placing the order failed: the order could not be placed {CHAIN}")]);
    assert_eq!(captured(on(get(by_instrument))).await, [format!("error the order could not be placed {CHAIN}")]);
    assert_eq!(captured(on(get(fine_after_all))).await, ["error the cache is gone "]);
    assert_eq!(captured(on(get(two))).await, [format!("error - {CHAIN}"), "error the cache is gone ".to_owned()]);
    assert_eq!(captured(on(get(short))).await, ["error - io::Error", "error the radio is off "]);
    assert!(captured(on(get(refused))).await.is_empty());
    assert_eq!(captured(traced(get(plain))).await, ["error GET /orders/{id} answered 500 "]);
    assert_eq!(captured(traced(get(three_times))).await.len(), 1);
}

#[tokio::test]
async fn an_event_of_a_log_has_its_fields_and_its_place() {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let handler = || async {
        tracing::error!(order = 7, password = "hunter2", "placing failed");
        "kept the old one"
    };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));

    support::get(&Server::start(app).await, "/").await;
    support::settle(&client).await;

    let event = &relay.events()[0];
    let fields = &event["contexts"]["fields"];
    assert_eq!((&event["logger"], &fields["order"], &fields["password"]), (&"it::errors".into(), &7.into(), &"[Filtered]".into()));
    assert!(fields["code.file.path"].as_str().unwrap().ends_with("errors.rs") && fields["code.line.number"].is_number());
    assert_eq!(event["exception"]["values"].as_array().map_or(0, Vec::len), 0);
}

#[tokio::test]
async fn an_invented_method_is_not_in_messages() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let app = Router::new().fallback(|| async { StatusCode::BAD_GATEWAY }).layer(SentryLayer::new(&client));
    let request = http::Request::builder().method("BREW-4711").uri("/x").body(axum::body::Body::empty()).unwrap();

    drop(tower::ServiceExt::oneshot(app, request).await.unwrap());
    support::settle(&client).await;

    assert_eq!(relay.events()[0]["logentry"]["message"], "_OTHER <unmatched> answered 502");
}

#[tokio::test]
async fn an_outage_is_not_a_flood() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let app = Router::new().route("/", get(|| async { StatusCode::SERVICE_UNAVAILABLE })).layer(SentryLayer::new(&client));

    // The clock of this thread stands still until it is told to go on.
    let clock = tower_sentry::test::HandClock::start();
    let fail = async |times| {
        for _ in 0..times {
            let request = http::Request::get("/").body(axum::body::Body::empty()).unwrap();
            drop(tower::ServiceExt::oneshot(app.clone(), request).await.unwrap());
        }
    };
    fail(300).await;
    clock.advance(std::time::Duration::from_secs(1));
    fail(200).await;
    support::settle(&client).await;

    let errors = client.stats().errors;
    assert_eq!((errors.captured, errors.sent), (500, 110), "a hundred at once, then ten a second; the rest is counted: {errors:?}");
}

#[test]
fn an_error_outside_of_requests_has_the_tags_of_the_process() {
    if in_child("errors::an_error_outside_of_requests_has_the_tags_of_the_process", &[]) {
        return;
    }
    use tracing_subscriber::prelude::*;
    let relay = Relay::start();
    let guard = support::config(&relay).tag("process", "worker").init().unwrap();
    tracing_subscriber::registry().with(tower_sentry::TracingLayer::new(&guard)).init();

    tracing::error!(error = &order_error() as &dyn std::error::Error, "the nightly run failed");
    tracing::warn!("only a warning");
    drop(guard);

    let events = relay.events();
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0]["tags"]["process"], &events[0]["logentry"]["message"]), (&"worker".into(), &"the nightly run failed".into()));
    assert_eq!((chain(&events[0]).len(), events[0].get("request")), (3, None));
}

#[tokio::test]
async fn a_level_holds_until_it_is_taken_back() {
    let (client, captured) = tower_sentry::test::client();
    let work = async {
        for level in [None, Some(Level::Fatal), None] {
            Scope::current().set_level(level);
            tower_sentry::capture_message(Level::Warning, "noted");
        }
    };
    client.transaction("work").run(work).await;

    let levels: Vec<_> = captured.events().iter().map(|event| event.level).collect();
    assert_eq!(levels, [Level::Warning, Level::Fatal, Level::Warning]);
    support::settle(&client).await;
}

#[tokio::test]
async fn at_most_ten_files_ride_on_an_event_and_an_empty_one_counts() {
    let relay = Relay::start();
    let client = tower_sentry::Client::from(
        support::config(&relay).before_send(|event| Some(event).filter(|event| event.level != Level::Debug)).build().unwrap(),
    );
    let work = async {
        let scope = Scope::current();
        for number in 0..12 {
            scope.add_attachment(tower_sentry::protocol::Attachment::new(format!("{number}.txt"), "x y".to_owned()));
        }
        tower_sentry::capture_message(Level::Info, "with files");
        scope.clear_attachments();
        tower_sentry::capture_message(Level::Info, "without");
        scope.add_attachment(tower_sentry::protocol::Attachment::new("empty.txt", Vec::new()));
        tower_sentry::capture_message(Level::Debug, "dropped");
    };

    client.transaction("work").run(work).await;
    support::settle(&client).await;

    let mut files = std::collections::HashMap::new();
    for (_, items) in relay.received().iter().map(support::Received::items) {
        if let Some(message) = items[0].1["logentry"]["message"].as_str() {
            let names: Vec<_> = items.iter().filter_map(|(item, _)| item["filename"].as_str().map(str::to_owned)).collect();
            files.insert(message.to_owned(), names);
        }
    }
    assert_eq!(files["with files"], (0..10).map(|number| format!("{number}.txt")).collect::<Vec<_>>());
    assert_eq!((files["without"].len(), files.len()), (0, 2));
    let bytes = client.stats().attachment_bytes;
    assert_eq!(
        (bytes.sent, bytes.dropped_total()),
        (30, 6 + 1),
        "two files too many, and the empty one of an event that was dropped: {bytes:?}"
    );
}
