//! Executors: who keeps a thread busy, and what log lines say of the request.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::Request;
use http_body_util::BodyExt as _;
use tower::{Layer as _, Service as _};
use tower_sentry::{Client, SentryLayer, TracingLayer};
use tracing_subscriber::prelude::*;

use crate::support::{self, Relay, Server, Shown, in_child};

fn shown() -> Shown {
    let shown = Shown::default();
    let fmt = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(shown.clone());
    let off = tower_sentry::Config::builder().build().unwrap();
    tracing_subscriber::registry().with(fmt).with(TracingLayer::new(off)).init();
    shown
}

#[test]
fn all() {
    if in_child("runtime::all", &[]) {
        return;
    }
    let shown = shown();
    let relay = Relay::start();
    let client = support::client(&relay);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let blocks = || async {
            tokio::task::yield_now().await;
            std::thread::sleep(Duration::from_millis(1_210));
        };
        let waits = || async { tokio::time::sleep(Duration::from_millis(1_210)).await };
        let app = Router::new().route("/waits/{id}", get(waits)).route("/blocks/{id}", get(blocks)).layer(SentryLayer::new(&client));
        let server = Server::start(app).await;
        support::get(&server, "/waits/1").await;
        assert!(!shown.text().contains("blocked"), "{}", shown.text());
        support::get(&server, "/blocks/2").await;
        support::settle(&client).await;
    });

    let text = shown.text();
    let warning = text.lines().find(|line| line.contains("blocked its thread")).unwrap_or_else(|| panic!("{text}"));
    assert!(warning.contains("WARN") && warning.contains("GET /blocks/{id} blocked its thread for "), "{warning}");
    let data = |name: &str| {
        let transactions = relay.transactions();
        let transaction = transactions.iter().find(|transaction| transaction["transaction"] == name).unwrap().clone();
        transaction["contexts"]["trace"]["data"].clone()
    };
    let number = |data: &serde_json::Value, name: &str| data[name].as_f64().unwrap();
    let (waits, blocks) = (data("GET /waits/{id}"), data("GET /blocks/{id}"));
    assert!(number(&waits, "tower_sentry.longest_poll_ms") < 1_000.0 && number(&waits, "tower_sentry.busy_ms") < 1_000.0, "{waits}");
    assert!(number(&blocks, "tower_sentry.longest_poll_ms") >= 1_210.0 && number(&blocks, "tower_sentry.polls") >= 2.0, "{blocks}");
}

#[test]
fn lines_of_other_layers_say_which_trace_they_belong_to() {
    if in_child("runtime::lines_of_other_layers_say_which_trace_they_belong_to", &[]) {
        return;
    }
    let shown = shown();
    let relay = Relay::start();
    let client = support::client(&relay);
    #[tracing::instrument]
    async fn charge() {
        tokio::task::yield_now().await;
        tracing::info!("charging");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let app = Router::new().route("/", get(charge)).layer(SentryLayer::new(&client).log_span());
        support::get(&Server::start(app).await, "/").await;
        support::settle(&client).await;
    });

    let transaction = &relay.transactions()[0];
    let line =
        format!("request{{trace_id={}}}:charge: it::runtime: charging", transaction["contexts"]["trace"]["trace_id"].as_str().unwrap());
    assert!(shown.text().contains(&line), "{}", shown.text());
    assert_eq!(support::tree(transaction), "GET / [http.server] ok\n  charge [function] ok\n", "it is no span of the transaction");
}

#[tokio::test]
async fn a_panic_that_unwinds_through_the_layer_is_a_crash_also_without_the_hook() {
    fn crash() -> &'static str {
        let crashes = std::hint::black_box(true);
        assert!(!crashes, "a crash");
        "never"
    }
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).release("shop@1.4.0").build().unwrap());
    let service = SentryLayer::new(&client).layer(tower::service_fn(|request: Request<Body>| {
        let path = request.uri().path().to_owned();
        if path == "/in-the-call" {
            crash();
        }
        async move {
            if path == "/in-the-future" {
                crash();
            }
            let words =
                stream::iter(["a", "word"]).map(move |word| Ok::<_, Infallible>(if path == "/in-the-body" { crash() } else { word }));
            Ok::<_, Infallible>(Response::new(Body::from_stream(words)))
        }
    }));

    let paths = ["/in-the-call", "/in-the-future", "/in-the-body", "/fine"];
    let mut panicked = Vec::new();
    for path in paths {
        let mut service = service.clone();
        let visit = async move {
            let response = service.call(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
            response.into_body().collect().await.unwrap();
        };
        panicked.push(AssertUnwindSafe(visit).catch_unwind().await.is_err());
    }
    support::settle(&client).await;

    assert_eq!(panicked, [true, true, true, false], "the panic goes on");
    let minutes: Vec<_> =
        relay.payloads("sessions").iter().flat_map(|sessions| sessions["aggregates"].as_array().unwrap().clone()).collect();
    let count = |name: &str| minutes.iter().filter_map(|minute| minute[name].as_u64()).sum::<u64>();
    assert_eq!((count("crashed"), count("errored"), count("exited")), (3, 0, 1));
}
