//! Routes that fail on purpose.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tower_sentry::{Client, ConfigBuilder, SentryLayer, debug_routes};

use crate::support::{self, Relay, patience};

fn app(client: &Client) -> Router {
    Router::new().nest("/api/v1/debug", debug_routes::routes(client)).layer(SentryLayer::new(client))
}

/// The status and the text of an answer.
async fn visit(client: &Client, path: &str) -> (StatusCode, String) {
    let response = app(client).oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

/// `debug` is a setting of the process.
#[tokio::test]
async fn all() {
    if support::in_child("debug_routes::all", &[]) {
        return;
    }
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).environment("development").debug(true).build().unwrap());
    let mut answers = Vec::new();
    for kind in ["division", "value", "api_key"] {
        answers.push(visit(&client, &format!("/api/v1/debug/sentry-test/?type={kind}")).await);
    }
    let unknown = visit(&client, "/api/v1/debug/sentry-test?type=no").await;
    client.flush(patience()).await.unwrap();

    let events = relay.events();
    let shown: Vec<_> = events
        .iter()
        .map(|event| {
            let values = event["exception"]["values"].as_array().unwrap();
            let outermost = values.last().unwrap();
            (outermost["type"].as_str().unwrap(), outermost["value"].as_str().unwrap(), values.len())
        })
        .collect();
    let expected = [
        ("DivisionError", "division by zero", 1),
        ("ValueError", "expected a number, found 'seven'", 2),
        ("AuthenticationError", "Failed to authenticate with key: [REDACTED_TOKEN]", 1),
    ];
    assert_eq!(shown, expected);
    for ((status, text), event) in answers.iter().zip(&events) {
        // A place in the standard library would not count.
        let fingerprint = event["fingerprint"].as_array().unwrap();
        assert!(fingerprint.iter().any(|part| part.as_str().unwrap().starts_with("src/debug_routes.rs:")), "{fingerprint:?}");
        assert_eq!(*status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(text.contains(event["event_id"].as_str().unwrap()), "{text}");
    }
    let start = answers[2].1.trim_end().rsplit(' ').next().unwrap();
    assert_eq!(start.len(), 8);
    let sent: Vec<_> = relay.received().into_iter().flat_map(|received| received.envelope).collect();
    assert!(!String::from_utf8_lossy(&sent).contains(start), "the key has left");
    assert_eq!(unknown.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn they_exist_only_with_debug_and_outside_of_production() {
    if support::in_child("debug_routes::they_exist_only_with_debug_and_outside_of_production", &[]) {
        return;
    }
    let relay = Relay::start();
    let status = async |settings: fn(ConfigBuilder) -> ConfigBuilder| {
        let client = Client::from(settings(support::config(&relay)).build().unwrap());
        visit(&client, "/api/v1/debug/sentry-test?type=division").await.0
    };

    assert_eq!(status(|config| config.environment("staging").debug(true)).await, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(status(|config| config.environment("staging").debug(false)).await, StatusCode::NOT_FOUND);
    for production in ["production", "Production", "prod"] {
        let client = Client::from(support::config(&relay).environment(production).debug(true).build().unwrap());
        assert_eq!(visit(&client, "/api/v1/debug/sentry-test?type=division").await.0, StatusCode::NOT_FOUND, "{production}");
    }
}
