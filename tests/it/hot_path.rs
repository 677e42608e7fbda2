//! What a request allocates: nothing of ours, whatever is recorded.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use http::Request;
use tower::{Service as _, ServiceExt as _};
use tower_http::map_response_body::MapResponseBodyLayer;
use tower_sentry::sampling::Budget;
use tower_sentry::{Client, Config, ConfigBuilder, SentryLayer, TracingLayer};
use tracing::{info, info_span, instrument};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::support::in_child;

#[instrument(skip_all, fields(user_id = user, cache = "miss", statement = %"SELECT id FROM orders WHERE user_id = $1"))]
async fn query(user: u64) {
    tokio::task::yield_now().await;
}

/// As many spans as the path says, and two events.
async fn work(Path(spans): Path<u64>) -> &'static str {
    info!(spans, "begins");
    for user in 0..spans {
        query(user).await;
    }
    info!(status = "shipped", "done");
    "done"
}

/// Under our layer, or under one that does nothing to the request. Like ours that has a field (axum clones it for each request, which is
/// free only for a layer without any), and it gives the response a body of another type, which axum boxes.
fn app(client: Option<&Client>) -> Router {
    let router = Router::new().route("/work/{spans}", get(work));
    let limit = std::hint::black_box(usize::MAX);
    match client {
        Some(client) => router.layer(SentryLayer::new(client)),
        None => router.layer(MapResponseBodyLayer::new(move |body: Body| http_body_util::Limited::new(body, limit))),
    }
}

fn request(spans: u64) -> Request<Body> {
    request_to(&format!("/work/{spans}"))
}

fn request_to(path: &str) -> Request<Body> {
    let request = Request::get(path).header("host", "shop.example").header("authorization", "Bearer abc");
    request.header("user-agent", "curl/8").body(Body::empty()).unwrap()
}

fn serve(runtime: &tokio::runtime::Runtime, app: &Router, request: Request<Body>) {
    runtime.block_on(async {
        let response = app.clone().oneshot(request).await.unwrap();
        axum::body::to_bytes(response.into_body(), 1024).await.unwrap()
    });
}

/// Redacted and serialised, then thrown away.
fn sink() -> ConfigBuilder {
    Config::builder().transport(|_: &[u8]| ()).panic_hook(false)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[test]
fn a_request_allocates_nothing_of_ours() {
    if in_child("hot_path::a_request_allocates_nothing_of_ours", &[]) {
        return;
    }
    let budget = Budget::transactions().per_second(1_000_000).per_day(1_000_000).per_month(1_000_000);
    let clients = [
        ("recorded", sink().traces_sample_rate(1.0)),
        ("rate 0", sink().traces_sample_rate(0.0)),
        ("not recorded", sink().traces_sample_rate(0.0).keep_failed(false)),
        ("within a budget", sink().traces_sample_rate(1.0).budget(budget)),
        ("off", Config::builder()),
    ]
    .map(|(name, config)| (name, Client::from(config.build().unwrap())));
    tracing_subscriber::registry().with(TracingLayer::new(&clients[0].1)).init();
    let runtime = runtime();
    let count = |app: &Router, client: Option<&Client>, path: &str| {
        // Two records take turns; both have grown by then, and the one that is next has come back from the exporter.
        for _ in 0..4 {
            serve(&runtime, app, request_to(path));
            if let Some(client) = client {
                runtime.block_on(client.flush(crate::support::patience())).unwrap();
            }
        }
        let request = request_to(path);
        allocation_counter::measure(|| serve(&runtime, app, request)).count_total
    };

    for path in ["/work/0", "/work/5", "/work/20", "/unmatched"] {
        let nothing = count(&app(None), None, path);
        for (name, client) in &clients {
            assert_eq!(count(&app(Some(client)), Some(client), path), nothing, "{name}, {path}");
        }
    }
    assert_eq!(clients[0].1.stats().transactions.captured, 20, "the first was recorded and handed over each time");
}

#[test]
fn an_incoming_trace_costs_one_allocation_whatever_its_headers_contain() {
    if in_child("hot_path::an_incoming_trace_costs_one_allocation_whatever_its_headers_contain", &[]) {
        return;
    }
    let client = Client::from(sink().traces_sample_rate(0.0).keep_failed(false).build().unwrap());
    let app = app(Some(&client));
    let runtime = runtime();
    let members = |count: usize| (0..count).map(|number| format!("sentry-m{number}={number}")).collect::<Vec<_>>().join(",");
    let count = |baggage: Option<String>| {
        let request = || {
            let mut request = request(0);
            if let Some(baggage) = &baggage {
                let headers = request.headers_mut();
                headers.insert("sentry-trace", "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1".parse().unwrap());
                headers.insert("baggage", baggage.parse().unwrap());
            }
            request
        };
        (0..4).for_each(|_| serve(&runtime, &app, request()));
        let request = request();
        allocation_counter::measure(|| serve(&runtime, &app, request)).count_total
    };

    let none = count(None);

    assert_eq!(count(Some(members(5))) - none, 1);
    assert_eq!(count(Some(members(64))) - none, 1, "as many as W3C allows");
    assert_eq!(count(Some(members(500))) - none, 1, "more are not read");
    assert_eq!(count(Some("x".repeat(8000))) - none, 0, "nothing of Sentry's, nothing kept");
}

/// A request whose handler never answers, polled once.
fn open(app: &Router) -> Pin<Box<dyn Future<Output = ()>>> {
    let mut app = app.clone();
    let mut future = Box::pin(async move {
        app.call(Request::get("/open").body(Body::empty()).unwrap()).await.unwrap();
    });
    assert!(matches!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    future
}

#[test]
fn ten_thousand_open_requests_take_two_kibibytes_each() {
    if in_child("hot_path::ten_thousand_open_requests_take_two_kibibytes_each", &[]) {
        return;
    }
    let client = Client::from(sink().traces_sample_rate(1.0).build().unwrap());
    tracing_subscriber::registry().with(TracingLayer::new(&client)).init();
    let router = Router::new().route("/open", get(|| async { std::future::pending::<()>().await }));
    let taken = |app: &Router| {
        let mut futures = Vec::new();
        let info = allocation_counter::measure(|| futures = (0..10_000).map(|_| open(app)).collect());
        info.bytes_current
    };

    let (bare, ours) = (taken(&router), taken(&router.clone().layer(SentryLayer::new(&client))));
    let each = (ours - bare) / 10_000;
    assert!(each <= 2048, "{each} bytes");
    assert!(each > 256, "a record is at least that: the count sees it");
}

#[test]
fn a_sink_that_never_answers_does_not_make_memory_grow() {
    if in_child("hot_path::a_sink_that_never_answers_does_not_make_memory_grow", &[]) {
        return;
    }
    // Never returns while the test runs: nothing is exported after the first.
    let (release, hangs) = std::sync::mpsc::channel::<()>();
    let hangs = std::sync::Mutex::new(hangs);
    let stuck = Config::builder()
        .transport(move |_: &[u8]| {
            // An error when the test is over.
            let _ = hangs.lock().unwrap().recv();
        })
        .panic_hook(false);
    let client = Client::from(stuck.traces_sample_rate(1.0).queue_bytes(1024 * 1024).build().unwrap());
    tracing_subscriber::registry().with(TracingLayer::new(&client)).init();
    let (runtime, app) = (runtime(), app(Some(&client)));
    let serve_many = |count| (0..count).for_each(|_| serve(&runtime, &app, request(5)));

    serve_many(2_000);
    let growth = allocation_counter::measure(|| serve_many(10_000)).bytes_current;

    assert!(growth < 64 * 1024, "grew by {growth} bytes");
    let stats = client.stats();
    assert_eq!(stats.transactions.captured, 12_000);
    assert!(stats.transactions.dropped.iter().map(|(_, count)| count).sum::<u64>() > 10_000, "the rest was dropped and counted: {stats:?}");
    drop(release);
}

#[test]
fn spans_outside_of_requests_are_not_made_in_exclusive_mode() {
    if in_child("hot_path::spans_outside_of_requests_are_not_made_in_exclusive_mode", &[]) {
        return;
    }
    let (rates, names) = std::sync::mpsc::channel();
    let seen = Config::builder().panic_hook(false).traces_sample_rate(1.0).before_send_transaction(move |transaction| {
        rates.send(transaction.spans.iter().map(|span| span.description.clone().unwrap_or_default()).collect::<Vec<_>>()).unwrap();
        None
    });
    let recorded = Client::from(seen.transport(|_: &[u8]| ()).build().unwrap());
    let unrecorded = Client::from(sink().traces_sample_rate(0.0).keep_failed(false).build().unwrap());
    tracing_subscriber::registry().with(TracingLayer::new(&recorded).exclusive()).init();
    let runtime = runtime();
    let handler = || async { info_span!("inside").is_disabled().to_string() };
    let answer = |client: &Client| {
        let app: Router = Router::new().route("/", get(handler)).layer(SentryLayer::new(client));
        runtime.block_on(async {
            let response = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
            String::from_utf8(axum::body::to_bytes(response.into_body(), 64).await.unwrap().to_vec()).unwrap()
        })
    };

    let outside = info_span!("outside").is_disabled();

    assert_eq!((outside, answer(&recorded).as_str(), answer(&unrecorded).as_str()), (true, "false", "true"));
    runtime.block_on(recorded.flush(crate::support::patience())).unwrap();
    assert_eq!(names.try_iter().collect::<Vec<_>>(), [["inside"]]);
}
