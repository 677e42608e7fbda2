//! Release health: each request is a session.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use serde_json::Value;
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_sentry::{Client, Level, SentryLayer};

use crate::support::{self, Relay};

fn app(client: &Client) -> Router {
    let errs = || async { tower_sentry::capture_error(&std::io::Error::other("noted")).to_string() };
    let says = || async { tower_sentry::capture_message(Level::Error, "only a message").to_string() };
    let crash = || async {
        let crashes = std::hint::black_box(true);
        assert!(!crashes, "a crash");
        "never"
    };
    let recovers = || async {
        let crash = || assert!(std::hint::black_box(false), "a crash that is caught");
        assert!(std::panic::catch_unwind(crash).is_err());
        tower_sentry::capture_error(&std::io::Error::other("went on")).to_string()
    };
    let fails = || async { http::StatusCode::INTERNAL_SERVER_ERROR };
    let logs = || async { tracing::error!("only a log") };
    Router::new()
        .route("/fails", get(fails))
        .route("/logs", get(logs))
        .route("/waits", get(std::future::pending::<()>))
        .route("/fine", get(|| async { "ok" }))
        .route("/errs", get(errs))
        .route("/says", get(says))
        .route("/crash", get(crash))
        .route("/recovers", get(recovers))
        .route("/healthz", get(|| async { "ok" }))
        .layer(CatchPanicLayer::new())
        .layer(SentryLayer::new(client).ignore(["/healthz"]))
}

/// The sessions that arrived, all minutes together: went well, errored, crashed.
fn counted(relay: &Relay) -> (u64, u64, u64) {
    let mut sum = (0, 0, 0);
    for payload in relay.payloads("sessions") {
        assert_eq!(payload["attrs"], serde_json::json!({"release": "shop@1.4.0", "environment": "production"}));
        for minute in payload["aggregates"].as_array().unwrap() {
            let count = |name: &str| minute.get(name).and_then(Value::as_u64).unwrap_or(0);
            assert!(minute["started"].as_str().unwrap().ends_with(":00Z"), "{minute}");
            sum = (sum.0 + count("exited"), sum.1 + count("errored"), sum.2 + count("crashed"));
        }
    }
    sum
}

#[test]
fn sessions() {
    if support::in_child("release::sessions", &[]) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let relay = Relay::start();
    // Nothing is sampled: sessions are counted all the same.
    let config = support::to(relay.dsn()).release("shop@1.4.0").traces_sample_rate(0.0);
    let guard = config.init().unwrap();

    runtime.block_on(async {
        let app = app(&guard);
        // One thread serves all of them, and requests that go well follow those that fail.
        let paths = ["/errs"; 5].into_iter().chain(["/fine"; 48]).chain(["/crash"; 3]).chain(["/fine"; 48]);
        let paths = paths.chain(["/recovers"; 2]).chain(["/fine"]).chain(["/says"; 3]).chain(["/healthz"; 10]);
        for path in paths {
            drop(app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap());
        }
        support::settle(&guard).await;
    });

    // A message of level error is an event of that level.
    assert_eq!(counted(&relay), (97, 8, 5));
}

#[test]
fn a_service_that_fails_is_not_healthy() {
    if support::in_child("release::a_service_that_fails_is_not_healthy", &[]) {
        return;
    }
    support::subscribe();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let relay = Relay::start();
    let guard = support::to(relay.dsn()).release("shop@1.4.0").traces_sample_rate(0.0).init().unwrap();

    runtime.block_on(async {
        let app = app(&guard);
        // More than the budget of events for failed responses: all of them count.
        let paths = ["/fails"; 133].into_iter().chain(["/fine"; 40]).chain(["/logs"; 4]).chain(["/crash"; 2]).chain(["/missing"]);
        for path in paths {
            drop(app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap());
        }
        // A client that leaves is not a failure.
        let mut left = Box::pin(app.oneshot(Request::get("/waits").body(Body::empty()).unwrap()));
        assert!(futures_util::poll!(&mut left).is_pending());
        drop(left);
        support::settle(&guard).await;
    });

    assert_eq!(counted(&relay), (42, 137, 2));
}

#[tokio::test]
async fn without_a_release_or_when_off_there_are_none() {
    let relay = Relay::start();
    let nameless = support::client(&relay);
    let silent = Client::from(support::config(&relay).release("shop@1.4.0").auto_session_tracking(false).build().unwrap());

    for client in [&nameless, &silent] {
        drop(app(client).oneshot(Request::get("/fine").body(Body::empty()).unwrap()).await.unwrap());
        support::settle(client).await;
    }

    assert_eq!((relay.transactions().len(), relay.payloads("sessions").len()), (2, 0));
}

#[tokio::test]
async fn sessions_that_the_server_refuses_hold_up_no_shutdown() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).release("shop@1.4.0").build().unwrap());
    relay.answer_all(support::Answer::status(429));
    let visit = || async { drop(app(&client).oneshot(Request::get("/fine").body(Body::empty()).unwrap()).await.unwrap()) };
    visit().await;
    client.flush(support::patience()).await.unwrap();
    visit().await;

    let start = Instant::now();
    client.shutdown(support::patience()).await.unwrap();

    // A shutdown that waited in vain would take all of its time.
    assert!(start.elapsed() < support::patience(), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_flush_waits_for_the_sessions_it_sends() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).release("shop@1.4.0").traces_sample_rate(0.0).build().unwrap());

    relay.answer_all(support::Answer::Late(Duration::from_millis(300)));
    drop(app(&client).oneshot(Request::get("/fine").body(Body::empty()).unwrap()).await.unwrap());
    let start = Instant::now();
    client.flush(support::patience()).await.unwrap();

    assert_eq!(counted(&relay), (1, 0, 0));
    assert!(start.elapsed() >= Duration::from_millis(300), "until the server has answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_under_traffic_sends_sessions_once() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).release("shop@1.4.0").traces_sample_rate(0.0).build().unwrap());
    relay.answer_all(support::Answer::Late(Duration::from_millis(100)));
    let app = app(&client);
    let traffic = tokio::spawn(async move {
        loop {
            drop(app.clone().oneshot(Request::get("/fine").body(Body::empty()).unwrap()).await.unwrap());
            tokio::task::yield_now().await;
        }
    });

    // Not before there is some.
    while client.stats().transactions.captured == 0 {
        tokio::task::yield_now().await;
    }
    let start = Instant::now();
    client.shutdown(support::patience()).await.unwrap();
    traffic.abort();

    assert!(start.elapsed() < support::patience(), "{:?}", start.elapsed());
    assert_eq!(relay.payloads("sessions").len(), 1);
}
