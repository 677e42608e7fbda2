//! Ids for the caller: what a client is told is what the server knows.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_sentry::{CaptureError, Client, SentryLayer};

use crate::support::{self, Relay};

/// `problem+json` with the id of the event.
fn problem() -> Response {
    let error = CaptureError::new(std::io::Error::other("the disk is full"));
    let body = Json(json!({"title": "storage", "instance": error.event_id()}));
    (StatusCode::INTERNAL_SERVER_ERROR, error, body).into_response()
}

#[tokio::test]
async fn all() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let twice = || async {
        tower_sentry::capture_error(&std::io::Error::other("the disk is full"));
        problem()
    };
    let own = || async { [("x-trace-id", "mine")] };
    let layer = SentryLayer::new(&client).trace_header("x-trace-id").event_header("x-error-id").event_header("x-error-id").server_timing();
    let app = Router::new()
        .route("/fine", get(|| async { "ok" }))
        .route("/fails", get(|| async { problem() }))
        .route("/twice", get(twice))
        .route("/own", get(own))
        .layer(layer);

    let mut answers = Vec::new();
    for path in ["/fine", "/fails", "/twice", "/own"] {
        let response = app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (trace, error, timing) = (header("x-trace-id"), header("x-error-id"), header("server-timing").unwrap());
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        let instance = serde_json::from_slice::<Value>(&body).ok().and_then(|body| body["instance"].as_str().map(str::to_owned));
        answers.push((path, trace, error, timing, instance));
    }
    support::settle(&client).await;

    let transactions = relay.transactions();
    let events = relay.events();
    assert_eq!(events.len(), 2, "captured and returned is one event");
    for (path, trace, error, timing, instance) in answers {
        let context =
            &transactions.iter().find(|transaction| transaction["transaction"] == format!("GET {path}")).unwrap()["contexts"]["trace"];
        let known = context["trace_id"].as_str().unwrap();
        assert_eq!(trace.as_deref(), Some(if path == "/own" { "mine" } else { known }), "{path}");
        assert_eq!(timing, format!("sentry-trace;desc=\"{known}-{}-1\"", context["span_id"].as_str().unwrap()));
        let event =
            events.iter().find(|event| event["transaction"] == format!("GET {path}")).map(|event| event["event_id"].as_str().unwrap());
        assert_eq!((error.as_deref(), instance.as_deref()), (event, event), "{path}");
    }
}

#[tokio::test]
async fn an_announced_id_is_the_id_of_the_event() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let told_first = || async {
        let error = std::io::Error::other("the disk is full");
        let told = CaptureError::new(std::io::Error::other("the disk is full"));
        let id = told.event_id();
        assert_eq!(tower_sentry::capture_error(&error), id);
        (StatusCode::INTERNAL_SERVER_ERROR, told, id.to_string()).into_response()
    };
    let app = Router::new().route("/", get(told_first)).layer(SentryLayer::new(&client));

    let response = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    let told = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
    support::settle(&client).await;

    let sent: Vec<_> = relay.events().iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(sent, [String::from_utf8(told.to_vec()).unwrap()]);
}

#[tokio::test]
async fn an_error_that_is_cloned_is_an_event_in_each_response() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let cached = std::sync::Arc::new(std::sync::OnceLock::new());
    let answer = move || {
        let cached = std::sync::Arc::clone(&cached);
        async move {
            let error: &CaptureError = cached.get_or_init(|| CaptureError::new(std::io::Error::other("the disk is full")));
            (StatusCode::INTERNAL_SERVER_ERROR, error.clone()).into_response()
        }
    };
    let app = Router::new().route("/", get(answer)).layer(SentryLayer::new(&client));

    for _ in 0..3 {
        drop(app.clone().oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap());
    }
    support::settle(&client).await;

    let ids: std::collections::BTreeSet<_> = relay.events().iter().map(|event| event["event_id"].to_string()).collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn the_header_of_the_error_needs_none_of_the_others() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let layer = SentryLayer::new(&client).event_header("x-error-id");
    let app = Router::new().route("/fine", get(|| async { "ok" })).route("/fails", get(|| async { problem() })).layer(layer);

    let visit = async |path: &str| app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let (fine, fails) = (visit("/fine").await, visit("/fails").await);
    support::settle(&client).await;

    let events = relay.events();
    assert_eq!(fine.headers().get("x-error-id"), None);
    assert_eq!((fails.headers()["x-error-id"].to_str().ok(), events.len()), (events[0]["event_id"].as_str(), 1));
}

#[tokio::test]
async fn browsers_get_the_decision_beside_what_the_application_has_measured() {
    // Under the lower rate nothing is sampled, but a failure is kept.
    for (rate, sampled) in [(1.0, 1), (1e-9, 0)] {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).traces_sample_rate(rate).build().unwrap());
        let fails = || async { (StatusCode::INTERNAL_SERVER_ERROR, [("server-timing", "db;dur=53")]) };
        let app = Router::new().route("/", get(fails)).layer(SentryLayer::new(&client).server_timing());

        let response = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        let timing: Vec<_> = response.headers().get_all("server-timing").iter().map(|line| line.to_str().unwrap().to_owned()).collect();
        drop(response);
        support::settle(&client).await;

        let trace = &relay.transactions()[0]["contexts"]["trace"];
        let (trace_id, span_id) = (trace["trace_id"].as_str().unwrap(), trace["span_id"].as_str().unwrap());
        assert_eq!(timing, ["db;dur=53".to_owned(), format!("sentry-trace;desc=\"{trace_id}-{span_id}-{sampled}\"")]);
    }
}

#[test]
fn an_error_that_is_made_in_a_spawned_task_is_reported_under_its_id() {
    if support::in_child("ids::an_error_that_is_made_in_a_spawned_task_is_reported_under_its_id", &[]) {
        return;
    }
    let relay = Relay::start();
    let guard = support::config(&relay).init().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let told = runtime.block_on(async {
        let spawns = || async {
            // The task knows of no request.
            let error = tokio::spawn(async { CaptureError::new(std::io::Error::other("the disk is full")) }).await.unwrap();
            let id = error.event_id().to_string();
            (StatusCode::INTERNAL_SERVER_ERROR, error, id)
        };
        let app = Router::new().route("/", get(spawns)).layer(SentryLayer::new(&guard));
        let response = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        let told = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
        support::settle(&guard).await;
        String::from_utf8(told.to_vec()).unwrap()
    });

    let events = relay.events();
    assert_eq!(events.len(), 1);
    assert_eq!(
        (&events[0]["event_id"], &events[0]["exception"]["values"][0]["value"], &events[0]["transaction"]),
        (&told.into(), &"the disk is full".into(), &"GET /".into())
    );
}

#[tokio::test]
async fn no_caller_gets_the_id_of_an_event_that_a_rule_ignores() {
    let relay = Relay::start();
    let config = support::config(&relay).ignore_error_messages(["timed out"]).ignore_error_statuses([503]);
    let client = Client::from(config.build().unwrap());
    let fails = |errors: &'static [&'static str], status: StatusCode| async move {
        for error in errors {
            tower_sentry::capture_error(&std::io::Error::other(*error));
        }
        status
    };
    let error = StatusCode::INTERNAL_SERVER_ERROR;
    let app = Router::new()
        .route("/ignored", get(move || fails(&["it timed out"], error)))
        .route("/second", get(move || fails(&["it timed out", "the disk is full", "it timed out again"], error)))
        .route("/status", get(move || fails(&["the disk is full"], StatusCode::SERVICE_UNAVAILABLE)))
        .layer(SentryLayer::new(&client).event_header("x-error-id"));

    let mut given = Vec::new();
    for path in ["/ignored", "/second", "/status"] {
        let response = app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        given.push(response.headers().get("x-error-id").map(|id| id.to_str().unwrap().to_owned()));
    }
    support::settle(&client).await;

    let sent: Vec<_> = relay.events().iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((given, sent.len()), (vec![None, Some(sent[0].clone()), None], 1), "{sent:?}");
    assert_eq!(relay.events()[0]["exception"]["values"][0]["value"], "the disk is full");
}
