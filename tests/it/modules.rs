//! The packages of a program, in its events.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_sentry::incoming::RouteOptions;
use tower_sentry::{Client, ConfigBuilder, SentryLayer};

use crate::support::{self, Relay};

/// The names of two packages are names of secrets, and the version of a third looks like an address.
const LOCK: &str = "\
version = 4

[[package]]
name = \"password-hash\"
version = \"0.5.0\"
source = \"registry+https://github.com/rust-lang/crates.io-index\"

[[package]]
name = \"secrecy\"
version = \"0.10.3\"
source = \"registry+https://github.com/rust-lang/crates.io-index\"

[[package]]
name = \"session_types\"
version = \"10.0.0+192.0.2.9\"

[[package]]
name = \"shop\"
version = \"1.4.0\"
dependencies = [
 \"password-hash\",
]
";

/// The modules of the event of a failed request.
async fn modules(set: impl FnOnce(ConfigBuilder) -> ConfigBuilder, options: RouteOptions) -> Value {
    let relay = Relay::start();
    let client = Client::from(set(support::config(&relay).modules(LOCK)).build().unwrap());
    let app: Router = Router::new()
        .route("/orders", get(|| async { http::StatusCode::INTERNAL_SERVER_ERROR }))
        .layer(SentryLayer::new(&client).route("/orders", options));
    app.oneshot(Request::get("/orders").body(Body::empty()).unwrap()).await.unwrap();
    support::settle(&client).await;
    let events = relay.payloads("event");
    assert_eq!(events.len(), 1);
    events[0]["modules"].clone()
}

#[tokio::test]
async fn events_name_the_packages_whatever_they_are_called() {
    let all = json!({"password-hash": "0.5.0", "secrecy": "0.10.3", "session_types": "10.0.0+192.0.2.9", "shop": "1.4.0"});

    assert_eq!(modules(|config| config, RouteOptions::new()).await, all);
    assert_eq!(modules(|config| config.before_send(Some), RouteOptions::new()).await, all, "through a hook");
    assert_eq!(modules(|config| config.before_send(|_| panic!("a hook")), RouteOptions::new()).await, all, "of a hook that panics");
    assert_eq!(modules(|config| config, RouteOptions::new().sensitive()).await, all, "of a sensitive route");
}

#[test]
fn another_text_is_an_error_and_packages_without_room_a_warning() {
    let error = tower_sentry::Config::builder().modules("[dependencies]\naxum = \"0.8\"\n").build().unwrap_err();
    assert!(error.is_setting());
    assert_eq!(error.to_string(), "modules: expected the text of a `Cargo.lock`, found no list of packages");

    let many: String = (0..300).map(|i| format!("[[package]]\nname = \"package-{i:032}\"\nversion = \"1.0.0\"\n")).collect();
    let config = tower_sentry::Config::builder().modules(many).build().unwrap();
    assert_eq!(config.warnings(), ["modules: 144 of 300 packages are left out: the list has 8 KB"]);
}
