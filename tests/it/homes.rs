//! Every span that is born inside a request leads home, recorded or not: what its task reports has the request's user.

use std::io;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use tower::ServiceExt as _;
use tower_http::trace::TraceLayer;
use tower_sentry::test::{Captured, client, client_with};
use tower_sentry::{Client, Config, Scope, SentryLayer, TracingLayer, User};
use tracing::{Instrument as _, Level, debug_span, info_span, instrument};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Identity;
use tracing_subscriber::prelude::*;

use crate::support;

async fn report(what: &'static str) {
    tokio::task::yield_now().await;
    tower_sentry::capture_error(&io::Error::other(what));
}

/// A task of its own that carries the current span.
async fn spawned(what: &'static str) {
    tokio::spawn(report(what).in_current_span()).await.unwrap();
}

#[instrument(level = "debug")]
async fn below_the_level() {
    spawned("a debug function").await;
}

#[instrument]
async fn recorded() {
    debug_span!("inner").in_scope(|| tokio::spawn(report("below a recorded one").in_current_span())).await.unwrap();
}

async fn handler() {
    Scope::current().set_user(User::id("ann"));
    below_the_level().await;
    recorded().await;
    spawned("the span around the handler").await;
    tokio::spawn(report("instrumented").instrument(debug_span!(parent: None, "of its own"))).await.unwrap();
}

async fn visit(app: Router) {
    let response = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
}

/// What was reported, each with the user and the transaction's name.
fn reports(captured: &Captured) -> Vec<String> {
    let report = |event: tower_sentry::protocol::Event| {
        let user = event.user.and_then(|user| user.id).unwrap_or_default();
        format!("{} {user} {}", event.transaction.unwrap_or_default(), event.exception.values[0].value.clone().unwrap_or_default())
    };
    captured.events().into_iter().map(report).collect()
}

const ALL: [&str; 4] =
    ["GET / ann a debug function", "GET / ann below a recorded one", "GET / ann the span around the handler", "GET / ann instrumented"];

async fn served(client: &Client, captured: &Captured) -> Vec<String> {
    support::subscribe();
    visit(Router::new().route("/", get(handler)).layer(TraceLayer::new_for_http()).layer(SentryLayer::new(client))).await;
    visit(Router::new().route("/", get(handler)).layer(SentryLayer::new(client).log_span())).await;
    reports(captured)
}

#[tokio::test]
async fn a_span_that_is_not_recorded_leads_home() {
    let (client, captured) = client();

    assert_eq!(served(&client, &captured).await, [ALL, ALL].concat());

    support::settle(&client).await;
}

#[tokio::test]
async fn so_does_a_span_of_a_request_that_is_not_recorded() {
    for keeps in [true, false] {
        let (client, captured) = client_with(Config::builder().traces_sample_rate(0.0).keep_failed(keeps));

        assert_eq!(served(&client, &captured).await, [ALL, ALL].concat(), "keep_failed({keeps})");

        support::settle(&client).await;
    }
}

#[tokio::test]
async fn so_does_a_span_beyond_the_limit() {
    support::subscribe();
    let (client, captured) = client_with(Config::builder().traces_sample_rate(1.0).max_spans(1));

    let work = async {
        Scope::current().set_user(User::id("ann"));
        let _open = info_span!("open");
        tokio::spawn(report("beyond").instrument(info_span!("beyond"))).await.unwrap();
    };
    client.transaction("work").run(work).await;

    assert_eq!(reports(&captured), ["work ann beyond"]);
}

#[tokio::test]
async fn what_a_task_of_an_ignored_request_reports_is_ignored_too() {
    support::subscribe();
    let (client, captured) = client();
    let app = Router::new().route("/", get(handler)).layer(TraceLayer::new_for_http());
    let app = app.layer(SentryLayer::new(&client).ignore(["/"]).ignore_errors());

    visit(app).await;

    assert_eq!(reports(&captured), [""; 0]);
}

#[test]
fn a_span_below_a_hidden_parent_hangs_below_the_nearest_recorded_one() {
    let (client, captured) = client();
    let layer = TracingLayer::new(&client).with_filter(filter_fn(|metadata| *metadata.level() <= Level::INFO));
    // Another layer takes all spans; without one, hidden spans would not exist.
    let subscriber = tracing_subscriber::registry().with(layer).with(Identity::new());
    let _subscriber = tracing::subscriber::set_default(subscriber);
    let work = async {
        let load = info_span!("load");
        let hidden = debug_span!(parent: &load, "hidden");
        let deeper = debug_span!(parent: &hidden, "deeper");
        info_span!(parent: &deeper, "explicit").in_scope(|| ());
        info_span!(parent: &load, "direct").in_scope(|| ());
        info_span!(parent: None, "at the root").in_scope(|| ());
        let alone = debug_span!(parent: None, "alone");
        info_span!(parent: &alone, "below none").in_scope(|| ());
    };

    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(client.transaction("work").run(work));

    let tree = captured.tree();
    let lines: Vec<_> = tree.lines().map(|line| line.trim_end_matches(" [function] ok")).collect();
    assert_eq!(lines, ["work [task] ok", "  load", "    explicit", "    direct", "  at the root", "  below none"], "{tree}");
}
