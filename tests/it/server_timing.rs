//! The durations of a request in its `Server-Timing` header.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use tower::ServiceExt as _;
use tower_sentry::{SentryLayer, SpanLayer};
use tracing::{Instrument as _, info_span};

use crate::support::{self, Relay};
use crate::trees::by_hand;

#[tokio::test]
async fn browsers_get_the_time_of_each_kind_of_work_where_asked_for() {
    support::subscribe();
    let (client, _captured) = tower_sentry::test::client();
    let pass = by_hand();
    let (of_auth, of_handler) = (Arc::clone(&pass), Arc::clone(&pass));
    let auth = move |request: Request, next: Next| {
        let pass = Arc::clone(&of_auth);
        async move {
            pass(15);
            let response: Response = next.run(request).await;
            pass(1);
            response
        }
    };
    let show = move || {
        let pass = Arc::clone(&of_handler);
        let of_work = Arc::clone(&pass);
        let query = |millis| {
            let pass = Arc::clone(&of_work);
            tower_sentry::span("db.query", "SELECT name", async move {
                pass(millis);
                tokio::task::yield_now().await;
            })
        };
        let queries = (query(20), query(5));
        async move {
            // At the same time: what they take together counts once.
            tokio::join!(queries.0, queries.1);
            // A kind that is not known may be data, and one of the program must be a token.
            drop(info_span!("secret", sentry.op = "canary-7f3a").entered());
            tower_sentry::span_sync("two words", "work", || pass(3));
            [("server-timing", "app;dur=2")]
        }
        .instrument(info_span!("show"))
    };
    let app = Router::new().route("/", get(show)).layer(SpanLayer::new("auth", from_fn(auth)).op("auth"));
    let timed = app.clone().layer(SentryLayer::new(&client).server_timing_durations());
    let silent = app.layer(SentryLayer::new(&client));

    let lines = async |app: Router| {
        let response = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        response.headers().get_all("server-timing").iter().map(|line| line.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };

    assert_eq!(lines(timed).await, ["app;dur=2", "total;dur=44, auth;dur=16, handler;dur=28, db;dur=25"]);
    assert_eq!(lines(silent).await, ["app;dur=2"]);
    support::settle(&client).await;
}

/// Reads a header by the grammar of the specification: tokens, and parameters that are tokens.
fn metrics(line: &str) -> Option<Vec<(String, f64)>> {
    let is_token =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    let metric = |metric: &str| {
        let (name, value) = metric.trim().split_once(";dur=")?;
        (is_token(name) && is_token(value)).then_some(())?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    line.split(',').map(metric).collect()
}

#[tokio::test]
async fn the_kinds_of_work_in_a_header_are_bounded_and_tokens() {
    const OPS: [&str; 19] = [
        "a.1",
        "b",
        "c",
        "d",
        "e",
        "f",
        "g;x",
        "h\r\nx: y",
        "i,j",
        "k",
        "l",
        "m",
        "n",
        "o",
        "p",
        "q",
        "",
        "\u{e4}",
        "abcdefghijklmnopqrstuvwxyz0123456789",
    ];
    let relay = Relay::start();
    let client = support::client(&relay);
    let show = async || {
        for op in OPS {
            tower_sentry::span_sync(op, "work", || ());
        }
    };
    let app = Router::new().route("/", get(show)).layer(SentryLayer::new(&client).server_timing().server_timing_durations());

    let answer = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    let lines: Vec<_> = answer.headers().get_all("server-timing").iter().map(|line| line.to_str().unwrap().to_owned()).collect();
    drop(answer);
    support::settle(&client).await;

    let trace = relay.transactions()[0]["contexts"]["trace"]["trace_id"].as_str().unwrap().to_owned();
    assert!(lines[0].starts_with(&format!("sentry-trace;desc=\"{trace}-")), "{lines:?}");
    let names: Vec<_> = metrics(&lines[1]).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["total", "a", "b", "c", "d", "e", "f", "k", "l", "m", "n", "o", "p"]);
}
