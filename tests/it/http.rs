//! One layer, one transaction per request: any host, any place.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::extract::{ConnectInfo, Path};
use axum::http::{HeaderMap, Request, StatusCode, Version};
use axum::response::Response;
use axum::routing::get;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use serde_json::Value;
use tower::util::option_layer;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::normalize_path::NormalizePathLayer;
use tower_http::services::ServeDir;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tower_sentry::incoming::{Boxed, RouteOptions, StatusCodes};
use tower_sentry::redaction::Redaction;
use tower_sentry::{Client, Config, Level, Scope, SentryLayer};

use crate::support::{self, Http2, Relay, Server, patience};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_tx_per_request() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let app = Router::new().route("/users/{id}", get(|Path(id): Path<u32>| async move { id.to_string() })).layer(SentryLayer::new(&client));
    let server = Server::start(app).await;

    let over_http2 = Http2::connect(&server).await;
    let second = join_all((0..900).map(|id| {
        let mut connection = over_http2.clone();
        async move { connection.get(&format!("/users/{id}")).await }
    }));
    let first = join_all((900..1000).map(|id| {
        let server = &server;
        async move { support::get(server, &format!("/users/{id}")).await.0 }
    }));
    let (second, first) = tokio::join!(second, first);
    support::settle(&client).await;

    assert!(second.into_iter().chain(first).all(|status| status == StatusCode::OK));
    let transactions = relay.transactions();
    let distinct =
        |path: fn(&Value) -> &Value| transactions.iter().map(|transaction| path(transaction).to_string()).collect::<HashSet<_>>().len();
    assert_eq!(transactions.len(), 1000);
    assert_eq!(distinct(|transaction| &transaction["event_id"]), 1000, "event ids");
    assert_eq!(distinct(|transaction| &transaction["contexts"]["trace"]["trace_id"]), 1000, "trace ids");
    assert_eq!(distinct(|transaction| &transaction["transaction"]), 1, "names");
    assert_eq!(client.stats().transactions.sent, 1000);
}

/// A document without what differs from request to request.
fn shape(mut transaction: Value) -> Value {
    for name in ["event_id", "start_timestamp", "timestamp"] {
        transaction[name] = Value::Null;
    }
    transaction["contexts"]["trace"]["data"]["tower_sentry.first_byte_ms"] = Value::Null;
    for name in ["trace_id", "span_id"] {
        transaction["contexts"]["trace"][name] = Value::Null;
    }
    transaction
}

#[tokio::test]
async fn three_hosts() {
    let layer = |relay: &Relay| SentryLayer::new(support::config(relay).build().unwrap()).route("/users/{id}", RouteOptions::new());
    let handler = tower::service_fn(|_: Request<_>| async { Ok::<_, Infallible>(Response::new(Body::from("Jane"))) });
    let (on_axum, on_hyper, on_tower) = (Relay::start(), Relay::start(), Relay::start());

    let axum = Server::start(Router::new().route("/users/{id}", get(|| async { "Jane" })).layer(layer(&on_axum))).await;
    let hyper = Server::start_hyper(layer(&on_hyper).layer(handler)).await;
    let bare =
        layer(&on_tower).layer(tower::service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::from("Jane"))) }));
    support::get(&axum, "/users/7?tab=orders").await;
    support::get(&hyper, "/users/7?tab=orders").await;
    let request = Request::get("/users/7?tab=orders").header("host", "shop.example").body(Body::empty()).unwrap();
    let response = bare.oneshot(request).await.unwrap();
    axum::body::to_bytes(Body::new(response.into_body()), 100).await.unwrap();

    let documents: Vec<_> =
        [on_axum, on_hyper, on_tower].iter().map(|relay| (relay.wait_for(1), shape(relay.transactions()[0].clone())).1).collect();
    assert_eq!(documents[0]["transaction"], "GET /users/{id}");
    assert_eq!(documents[0]["request"]["url"], "http://shop.example/users/7");
    assert_eq!(documents[0], documents[1]);
    assert_eq!(documents[0], documents[2]);
}

#[tokio::test]
async fn the_one_liner_fits_a_route_a_nested_router_and_the_whole() {
    let relay = Relay::start();
    let cfg = support::config(&relay).build().unwrap();
    let handler = || get(|| async { "ok" });

    let inner = Router::new().route("/items/{id}", handler()).layer(SentryLayer::new(cfg.clone()));
    let parts = Router::new()
        .route("/one/{id}", handler().layer(SentryLayer::new(cfg.clone())))
        .nest("/nested", inner)
        .route("/two/{id}", handler())
        .route_layer(SentryLayer::new(cfg.clone()));
    let whole = Router::new().route("/whole/{id}", handler()).layer(SentryLayer::new(cfg.clone()));
    let maybe = Router::new().route("/maybe/{id}", handler()).layer(option_layer(Some(SentryLayer::new(cfg.clone()).boxed_body())));
    let built = Router::new()
        .route("/built/{id}", handler())
        .layer(ServiceBuilder::new().layer(SentryLayer::new(&cfg)).layer(CorsLayer::permissive()));
    let inside = Router::new()
        .route("/inside/{id}", handler())
        .layer(SentryLayer::new(&cfg))
        .layer(CorsLayer::permissive())
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, patience()));
    let app = parts.merge(whole).merge(maybe).merge(built).merge(inside);
    let server = Server::start(app).await;
    for path in ["/one/1", "/nested/items/1", "/two/1", "/whole/1", "/maybe/1", "/built/1", "/inside/1"] {
        assert_eq!(support::get(&server, path).await, (StatusCode::OK, "ok".to_owned()), "{path}");
    }

    relay.wait_for(7);
    let mut names: Vec<_> =
        relay.transactions().iter().map(|transaction| transaction["transaction"].as_str().unwrap().to_owned()).collect();
    names.sort();
    let expected = ["/built/{id}", "/inside/{id}", "/maybe/{id}", "/nested/items/{id}", "/one/{id}", "/two/{id}", "/whole/{id}"];
    assert_eq!(names, expected.map(|name| format!("GET {name}")), "exactly one each, also where two layers stand");
}

#[tokio::test]
async fn a_second_layer_is_a_span_and_never_a_second_transaction() {
    for rate in [1.0, 0.0] {
        let relay = Relay::start();
        let config = support::config(&relay).traces_sample_rate(rate).build().unwrap();
        let client = Client::from(&config);
        let app = Router::new().route("/", get(|| async { "ok" })).layer(SentryLayer::new(&config)).layer(SentryLayer::new(&config));
        let server = Server::start(app).await;

        support::get(&server, "/").await;
        support::settle(&client).await;

        assert_eq!(client.stats().transactions.captured, 1, "at rate {rate}");
        let trees: Vec<_> = relay.transactions().iter().map(support::tree).collect();
        let expected: &[&str] = if rate > 0.0 { &["GET / [http.server] ok\n  GET / [http.server] ok\n"] } else { &[] };
        assert_eq!(trees, expected);
    }
}

#[tokio::test]
async fn around_a_whole_router_the_table_gives_the_name() {
    let relay = Relay::start();
    let config = support::config(&relay).build().unwrap();
    let router = Router::new().route("/users/{id}", get(|| async { "Jane" }));
    let layer = SentryLayer::new(&config).route("/users/{id}", RouteOptions::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server { address: listener.local_addr().unwrap() };
    tokio::spawn(axum::serve(listener, layer.layer(router).into_make_service()).into_future());

    support::get(&server, "/users/7").await;
    support::get(&server, "/nowhere/4711").await;

    relay.wait_for(2);
    let names: Vec<_> = relay.transactions().iter().map(|transaction| transaction["transaction"].clone()).collect();
    assert_eq!(names, ["GET /users/{id}", "GET <unmatched>"]);
}

#[tokio::test]
async fn a_dropped_response_future_is_cancelled_without_a_status() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let never = tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>());
    let service = SentryLayer::new(&client).layer(never);

    let mut future = Box::pin(service.oneshot(Request::get("/").body(Body::empty()).unwrap()));
    assert!(futures_util::poll!(&mut future).is_pending());
    drop(future);
    support::settle(&client).await;

    let transaction = &relay.transactions()[0];
    let trace = &transaction["contexts"]["trace"];
    assert_eq!((&trace["status"], &trace["data"]["tower_sentry.cancelled"]), (&"cancelled".into(), &"before_headers".into()));
    assert_eq!(trace["data"].get("http.response.status_code"), None);
}

#[tokio::test]
async fn the_end_is_the_end_of_the_body() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let (frames, body) = tokio::sync::mpsc::unbounded_channel::<Result<&'static str, Infallible>>();
    let body = Mutex::new(Some(body));
    let stream = tower::service_fn(move |_: Request<Body>| {
        let mut body = body.lock().unwrap().take().unwrap();
        let stream = futures_util::stream::poll_fn(move |cx| body.poll_recv(cx));
        async move { Ok::<_, Infallible>(Response::new(Body::from_stream(stream))) }
    });
    let mut service = SentryLayer::new(&client).layer(stream);

    let response = tower::Service::call(&mut service, Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(client.stats().transactions.captured, 0, "not at the head");
    frames.send(Ok("hello ")).unwrap();
    frames.send(Ok("world")).unwrap();
    drop(frames);
    let body = axum::body::to_bytes(Body::new(response.into_body()), 100).await.unwrap();
    support::settle(&client).await;

    let data = &relay.transactions()[0]["contexts"]["trace"]["data"];
    assert_eq!(body, "hello world");
    assert_eq!(data["http.response.body.size"], 11);
}

#[tokio::test]
async fn a_body_dropped_in_the_middle_is_cancelled_and_an_unread_one_of_known_length_is_not() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let endless = tower::service_fn(|_: Request<Body>| async {
        let stream = futures_util::stream::repeat(Ok::<_, Infallible>("again"));
        Ok::<_, Infallible>(Response::new(Body::from_stream(stream)))
    });
    let known = tower::service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::from("known"))) });
    let request = |path: &str| Request::get(path).body(Body::empty()).unwrap();

    let response =
        SentryLayer::new(&client).route("/endless", RouteOptions::new()).layer(endless).oneshot(request("/endless")).await.unwrap();
    let mut body = Box::pin(response.into_body());
    let frame = futures_util::future::poll_fn(|cx| hyper::body::Body::poll_frame(body.as_mut(), cx)).await;
    assert!(frame.is_some());
    drop(body);
    let response = SentryLayer::new(&client).route("/known", RouteOptions::new()).layer(known).oneshot(request("/known")).await.unwrap();
    drop(response);
    support::settle(&client).await;

    let transactions = relay.transactions();
    let of = |name: &str| transactions.iter().find(|transaction| transaction["transaction"] == name).unwrap()["contexts"]["trace"].clone();
    assert_eq!(of("GET /endless")["status"], "cancelled");
    assert_eq!(of("GET /endless")["data"]["tower_sentry.cancelled"], "in_body");
    assert_eq!(of("GET /endless")["data"]["http.response.status_code"], 200);
    assert_eq!(of("GET /known")["status"], "ok");
}

#[test]
fn handles_can_be_sent_and_shared() {
    fn check<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    check::<Client>();
    check::<Config>();
    check::<Scope>();
    check::<SentryLayer>();
    check::<tower_sentry::CaptureError>();
    check::<tower_sentry::Error>();
    check::<tower_sentry::FlushError>();
}

#[tokio::test]
async fn a_stream_of_known_length_or_with_trailers_is_delivered_and_not_cancelled() {
    use hyper::body::{Bytes, Frame};

    let relay = Relay::start();
    let client = support::client(&relay);
    // Like a file or a proxied answer: the length stands in the header only, and the stream never says that it has ended.
    let known = || async {
        let chunks = futures_util::stream::iter([Ok::<_, Infallible>("hello "), Ok("world")]);
        let never_ends = chunks.chain(futures_util::stream::pending());
        ([("content-length", "11")], Body::from_stream(never_ends))
    };
    let trailed = || async {
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
        let frames = futures_util::stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from("data"))), Ok(Frame::trailers(trailers))]);
        Body::new(http_body_util::StreamBody::new(frames.chain(futures_util::stream::pending())))
    };
    let app = Router::new().route("/known", get(known)).route("/trailed", get(trailed)).layer(SentryLayer::new(&client));
    let server = Server::start(app).await;

    assert_eq!(support::get(&server, "/known").await.1, "hello world");
    let mut over_http2 = Http2::connect(&server).await;
    over_http2.get("/trailed").await;
    relay.wait_for(2);
    support::settle(&client).await;

    let statuses: Vec<_> = relay.transactions().iter().map(|transaction| transaction["contexts"]["trace"]["status"].clone()).collect();
    assert_eq!(statuses, ["ok", "ok"]);
}

#[tokio::test]
async fn an_authority_leaves_without_user_and_password() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let service =
        SentryLayer::new(&client).layer(tower::service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) }));

    let request = Request::get("http://user:pa55word@shop.example/x").body(Body::empty()).unwrap();
    service.oneshot(request).await.unwrap();
    support::settle(&client).await;

    let transaction = relay.transactions()[0].to_string();
    assert!(transaction.contains("http://shop.example/x") && !transaction.contains("pa55word"), "{transaction}");
}

#[tokio::test]
async fn a_scope_outside_any_request_swallows_none() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let app = Router::new().route("/", get(|| async { "ok" })).layer(SentryLayer::new(&client));

    let request = || Request::get("/").body(Body::empty()).unwrap();
    let bound = Scope::current().bind(async { app.clone().oneshot(request()).await.unwrap().status() });
    assert_eq!(bound.await, 200);
    support::settle(&client).await;

    assert_eq!(client.stats().transactions.sent, 1);
}

#[tokio::test]
async fn work_that_is_bound_to_a_finished_request_begins_a_request_of_its_own() {
    let (client, captured) = tower_sentry::test::client();
    let (scopes, held) = std::sync::mpsc::channel();
    let leaves = |scope: Scope| async move { scopes.send(scope).unwrap() };
    let app = Router::new().route("/first", get(leaves)).route("/second", get(|| async { "ok" })).layer(SentryLayer::new(&client));
    let request = |path: &str| Request::get(path).body(Body::empty()).unwrap();

    drop(app.clone().oneshot(request("/first")).await.unwrap());
    let later = async { drop(app.oneshot(request("/second")).await.unwrap()) };
    held.recv().unwrap().bind(later).await;

    assert_eq!(captured.tree(), "GET /first [http.server] ok\nGET /second [http.server] ok\n");
    support::settle(&client).await;
}

#[tokio::test]
async fn an_ignored_route_is_silent_to_the_end_of_its_body() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let talks = || async {
        let words = futures_util::stream::iter(["a", "b"]).map(|word| {
            tower_sentry::capture_message(Level::Error, word);
            Ok::<_, Infallible>(word)
        });
        Body::from_stream(words)
    };
    let app = Router::new()
        .route("/quiet", get(talks))
        .route("/loud", get(talks))
        .layer(SentryLayer::new(&client).ignore(["/quiet"]).ignore_errors());
    let server = Server::start(app).await;

    support::get(&server, "/quiet").await;
    support::get(&server, "/loud").await;
    support::settle(&client).await;

    let places: Vec<_> = relay.events().iter().map(|event| event["transaction"].clone()).collect();
    assert_eq!(places, ["GET /loud", "GET /loud"]);
}

/// Every place a layer can have, with what a request to it is called.
fn stacks(client: &Client) -> Vec<(&'static str, Router, &'static str, &'static str)> {
    let sentry = || SentryLayer::new(client);
    let boxed = || SentryLayer::new(client).boxed_body();
    let plain = || Router::new().route("/users/{id}", get(|| async { "Jane" }));
    let calm = |_: tower::BoxError| async { StatusCode::SERVICE_UNAVAILABLE };
    let shed = || ServiceBuilder::new().layer(HandleErrorLayer::new(calm)).load_shed().buffer::<axum::extract::Request>(64);
    let late = || TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, patience());
    let normal = |router: Router| Router::new().fallback_service(NormalizePathLayer::trim_trailing_slash().layer(router));
    let user = "GET /users/{id}";
    vec![
        ("outermost", plain().layer(TraceLayer::new_for_http()).layer(CatchPanicLayer::new()).layer(sentry()), "/users/7", user),
        ("innermost", plain().layer(sentry()).layer(late()).layer(CompressionLayer::new()), "/users/7", user),
        ("route_layer", plain().route_layer(sentry()), "/users/7", user),
        ("a method router", Router::new().route("/users/{id}", get(|| async { "Jane" }).layer(sentry())), "/users/7", user),
        ("nested", Router::new().nest("/api", plain().layer(sentry())), "/api/users/7", "GET /api/users/{id}"),
        ("merged", Router::new().merge(plain().layer(sentry())), "/users/7", user),
        ("twice", plain().layer(sentry()).layer(sentry()), "/users/7", user),
        ("around TraceLayer", plain().layer(TraceLayer::new_for_http()).layer(sentry()), "/users/7", user),
        ("inside TraceLayer", plain().layer(sentry()).layer(TraceLayer::new_for_http()), "/users/7", user),
        ("around CatchPanicLayer", plain().layer(CatchPanicLayer::new()).layer(sentry()), "/users/7", user),
        ("inside CatchPanicLayer", plain().layer(sentry()).layer(CatchPanicLayer::new()), "/users/7", user),
        ("around TimeoutLayer", plain().layer(late()).layer(sentry()), "/users/7", user),
        ("inside TimeoutLayer", plain().layer(sentry()).layer(late()), "/users/7", user),
        ("around CompressionLayer", plain().layer(CompressionLayer::new()).layer(sentry()), "/users/7", user),
        ("inside CompressionLayer", plain().layer(sentry()).layer(CompressionLayer::new()), "/users/7", user),
        ("around load shed and buffer", plain().layer(shed()).layer(sentry()), "/users/7", user),
        ("inside load shed and buffer", plain().layer(sentry()).layer(shed()), "/users/7", user),
        ("NormalizePath around the router", normal(plain().layer(sentry())), "/users/7/", user),
        ("option_layer", plain().layer(option_layer(Some(boxed()))), "/users/7", user),
        ("option_layer of none", plain().layer(option_layer(None::<SentryLayer<Boxed>>)).layer(sentry()), "/users/7", user),
        (
            "nest_service",
            Router::new().nest_service("/files", ServeDir::new("tests")).layer(sentry()),
            "/files/golden/boot.txt",
            "GET <fallback>",
        ),
        ("fallback", Router::new().fallback(|| async { "fallback" }).layer(sentry()), "/anything", "GET <fallback>"),
    ]
}

#[test]
fn every_position_no_leak() {
    if support::in_child("http::every_position_no_leak", &[]) {
        return;
    }
    support::subscribe();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (names, received) = std::sync::mpsc::channel();
    // The exporter stops at this gate while it is held.
    let gate = Arc::new(Mutex::new(()));
    let passed = Arc::clone(&gate);
    let keep = Config::builder().panic_hook(false).traces_sample_rate(1.0).before_send_transaction(move |transaction| {
        drop(passed.lock().unwrap());
        names.send((transaction.name.clone(), transaction.spans.len())).unwrap();
        Some(transaction)
    });
    let client = Client::from(keep.transport(|_: &[u8]| ()).queue_items(100_000).queue_bytes(usize::MAX).build().unwrap());

    let _guard = runtime.enter();
    for (place, app, path, name) in stacks(&client) {
        let visit = |count: usize| {
            runtime.block_on(async {
                for number in 1..=count {
                    let response = app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
                    assert_eq!(response.status(), 200, "{place}");
                    axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
                    if number % 100 == 0 {
                        client.flush(patience()).await.unwrap();
                    }
                }
            });
        };
        // A hundred records are on their way at once. Later there are never more, so none is made.
        let held = gate.lock().unwrap();
        visit(99);
        drop(held);
        visit(101);
        let grown = allocation_counter::measure(|| visit(1000)).bytes_current;
        let seen: Vec<_> = received.try_iter().collect();
        assert_eq!(seen.len(), 1200, "{place}: one transaction each");
        assert!(seen.iter().all(|(seen, _)| seen == name), "{place}: {:?}", seen.first());
        assert!(seen.iter().all(|(_, spans)| *spans == usize::from(place == "twice")), "{place}: a second layer is a span");
        // Some buffers grow later. 48 bytes a request would be more than this.
        assert!(grown < 32 * 1024, "{place}: {grown} bytes more are alive after 1,000 requests");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_position_over_sockets() {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let mut expected = Vec::new();
    for (place, app, path, name) in stacks(&client) {
        let server = Server::start(app).await;
        assert_eq!(support::get(&server, path).await.0, 200, "{place}");
        let mut over_http2 = Http2::connect(&server).await;
        assert_eq!(over_http2.get(path).await, 200, "{place}");
        expected.extend([name, name]);
    }
    support::settle(&client).await;

    let transactions = relay.transactions();
    let mut seen: Vec<_> = transactions.iter().map(|transaction| transaction["transaction"].as_str().unwrap()).collect();
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
    for transaction in &transactions {
        let trace = &transaction["contexts"]["trace"];
        assert_eq!((&trace["status"], &trace["data"]["http.response.status_code"]), (&"ok".into(), &200.into()), "{transaction}");
    }
}

/// The protocol's table (part 4.4), for all codes from 100 to 599.
const STATUSES: [(RangeInclusive<u16>, &str); 20] = [
    (100..=399, "ok"),
    (400..=400, "invalid_argument"),
    (401..=401, "unauthenticated"),
    (402..=402, "invalid_argument"),
    (403..=403, "permission_denied"),
    (404..=404, "not_found"),
    (405..=408, "invalid_argument"),
    (409..=409, "already_exists"),
    (410..=412, "invalid_argument"),
    (413..=413, "failed_precondition"),
    (414..=428, "invalid_argument"),
    (429..=429, "resource_exhausted"),
    (430..=498, "invalid_argument"),
    (499..=499, "cancelled"),
    (500..=500, "internal_error"),
    (501..=501, "unimplemented"),
    (502..=502, "internal_error"),
    (503..=503, "unavailable"),
    (504..=504, "deadline_exceeded"),
    (505..=599, "internal_error"),
];

#[tokio::test]
async fn status_table() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).queue_items(2000).build().unwrap());
    let answer = |Path(code): Path<u16>| async move { StatusCode::from_u16(code).unwrap() };
    let app = Router::new().route("/{code}", get(answer)).layer(SentryLayer::new(&client));

    for code in 100..600 {
        let request = Request::get(format!("/{code}")).body(Body::empty()).unwrap();
        drop(app.clone().oneshot(request).await.unwrap());
    }
    support::settle(&client).await;

    let transactions = relay.transactions();
    assert_eq!(transactions.len(), 500);
    let seen: BTreeMap<_, _> = transactions
        .iter()
        .map(|transaction| {
            let trace = &transaction["contexts"]["trace"];
            (trace["data"]["http.response.status_code"].as_u64().unwrap() as u16, trace["status"].as_str().unwrap())
        })
        .collect();
    let expected: BTreeMap<_, _> = STATUSES.into_iter().flat_map(|(codes, status)| codes.map(move |code| (code, status))).collect();
    assert_eq!(seen, expected);
    // The same by those who wrote it down from Sentry's own SDKs. Where two disagree the first is the document.
    let vectors: Value = serde_json::from_str(include_str!("../fixtures/vectors/http_status.json")).unwrap();
    for (code, status) in vectors["static"].as_object().unwrap() {
        let documented = status.as_str().unwrap().split(' ').next().unwrap();
        assert_eq!(seen[&code.parse().unwrap()], documented, "{code}");
    }
}

#[tokio::test]
async fn which_codes_failed_is_for_the_layer_and_the_route_to_say() {
    let relay = Relay::start();
    // Only what failed is kept.
    let client = Client::from(support::config(&relay).traces_sample_rate(1e-12).build().unwrap());
    let answer = |Path(code): Path<u16>| async move { StatusCode::from_u16(code).unwrap() };
    let strict = RouteOptions::new().failed_status_codes(StatusCodes::from(404).with(501..=502));
    let layer = SentryLayer::new(&client).failed_status_codes(500..=501).route("/strict/{code}", strict);
    let app = Router::new().route("/{code}", get(answer)).route("/strict/{code}", get(answer)).layer(layer);

    for path in ["/500", "/501", "/502", "/404", "/strict/404", "/strict/500", "/strict/502"] {
        drop(app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap());
    }
    support::settle(&client).await;

    let kept = relay.transactions();
    let paths: std::collections::BTreeSet<_> =
        kept.iter().map(|transaction| transaction["contexts"]["trace"]["data"]["url.path"].as_str().unwrap()).collect();
    assert_eq!(paths.into_iter().collect::<Vec<_>>(), ["/500", "/501", "/strict/404", "/strict/502"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_is_bounded_and_readable() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let relay = Relay::start();
    let client = support::client(&relay);
    let server = Server::start(Router::new().fallback(|| async { "ok" }).layer(SentryLayer::new(&client))).await;
    let many = (0..90).map(|number| format!("x-h{number}: v\r\n")).collect::<String>();
    let long = "a".repeat(100 * 1024);
    let requests: [Vec<u8>; 8] = [
        b"GET /%ff%00%e2%80%ae HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"GET /\xc3\x28\xa0\xff HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nhost: x\r\nx-odd: \xff\xfe\xc3\x28\r\n\r\n".to_vec(),
        b"CONNECT shop.example:443 HTTP/1.1\r\nhost: shop.example:443\r\n\r\n".to_vec(),
        b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        format!("GET /many HTTP/1.1\r\nhost: x\r\n{many}\r\n").into_bytes(),
        format!("GET /long HTTP/1.1\r\nhost: x\r\nx-long: {long}\r\n\r\n").into_bytes(),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "p".repeat(60_000)).into_bytes(),
    ];

    for request in &requests {
        let mut socket = tokio::net::TcpStream::connect(server.address).await.unwrap();
        socket.write_all(request).await.unwrap();
        let mut answer = [0; 12];
        // hyper refuses some of these by itself; what it lets through is ours.
        assert!(socket.read(&mut answer).await.unwrap() > 0);
    }
    support::settle(&client).await;

    let received = relay.received();
    assert!(received.len() >= 5, "{}", received.len());
    for transaction in relay.transactions() {
        let headers = transaction["request"]["headers"].as_object().unwrap();
        assert!(headers.len() <= 50 && headers.values().all(|value| value.as_str().unwrap().len() <= 1100));
        assert!(transaction.to_string().len() < 64 * 1024, "{}", transaction.to_string().len());
    }
}

#[tokio::test]
async fn the_url_of_a_target_without_a_path_is_the_host() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let app = Router::new().layer(SentryLayer::new(&client));
    for (method, target) in [("OPTIONS", "*"), ("CONNECT", "shop.example:443")] {
        let request = Request::builder().method(method).uri(target).header("host", "shop.example");
        drop(app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap());
    }
    support::settle(&client).await;

    let mut urls: Vec<_> =
        relay.transactions().iter().map(|transaction| transaction["request"]["url"].as_str().unwrap().to_owned()).collect();
    urls.sort_unstable();
    assert_eq!(urls, ["http://shop.example", "http://shop.example:443"]);
}

#[tokio::test]
async fn a_trace_behind_the_fiftieth_header_is_continued() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let app = Router::new().route("/", get(|| async { "ok" })).layer(SentryLayer::new(&client));
    let mut request = Request::get("/");
    for number in 0..60 {
        request = request.header(format!("x-{number}"), "v");
    }
    let request = request.header("host", "shop.example").header("sentry-trace", "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1");

    drop(app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap());
    support::settle(&client).await;

    let transaction = &relay.transactions()[0];
    assert_eq!(transaction["contexts"]["trace"]["trace_id"], "771a43a4192642f0b136d5159a501700");
    assert_eq!(
        (&transaction["request"]["url"], transaction["request"]["headers"].as_object().unwrap().len()),
        (&"http://shop.example/".into(), 50)
    );
}

#[tokio::test]
async fn a_header_that_is_sent_twice_is_one_attribute() {
    let (envelopes, received) = std::sync::mpsc::channel();
    let transport = move |envelope: &[u8]| envelopes.send(String::from_utf8(envelope.to_vec()).unwrap()).unwrap();
    let client = Client::from(Config::builder().transport(transport).panic_hook(false).traces_sample_rate(1.0).build().unwrap());
    let app = Router::new().route("/", get(|| async { "ok" })).layer(SentryLayer::new(&client));
    let request = Request::get("/").header("user-agent", "one").header("user-agent", "two").body(Body::empty()).unwrap();

    drop(app.oneshot(request).await.unwrap());
    client.flush(patience()).await.unwrap();

    assert_eq!(received.recv().unwrap().matches("user_agent.original").count(), 1);
}

#[tokio::test]
async fn credentials_are_not_even_shown_to_a_hook() {
    let (shown, hooks) = std::sync::mpsc::channel();
    let of_events = shown.clone();
    let config = Config::builder()
        .traces_sample_rate(1.0)
        .redaction(Redaction::default().header("X-Shop-Key").header("user-agent"))
        .before_send(move |event| {
            of_events.send(serde_json::to_value(&event).unwrap()).unwrap();
            Some(event)
        })
        .before_send_transaction(move |transaction| {
            shown.send(serde_json::to_value(&transaction).unwrap()).unwrap();
            Some(transaction)
        });
    let (client, captured) = tower_sentry::test::client_with(config);
    let says = || async { tower_sentry::capture_message(Level::Error, "noted").to_string() };
    let app = Router::new().route("/", get(says)).layer(SentryLayer::new(&client));
    let secret = ["authorization", "cookie", "proxy-authorization", "x-api-key", "x-shop-key", "user-agent"];
    let request = secret.into_iter().fold(Request::get("/").header("x-plain", "shown"), |request, name| request.header(name, "canary"));

    drop(app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap());
    let sent = captured.envelopes();

    let shown: Vec<Value> = hooks.try_iter().collect();
    assert_eq!(shown.len(), 2);
    for document in shown {
        let headers = &document["request"]["headers"];
        assert!(secret.iter().all(|name| headers[name] == "[Filtered]") && headers["x-plain"] == "shown", "{headers}");
        assert!(!document.to_string().contains("canary"), "{document}");
    }
    assert!(!sent.iter().any(|envelope| String::from_utf8_lossy(envelope).contains("canary")));
    support::settle(&client).await;
}

/// HTTP/2 lets a client send each cookie in a line of its own.
#[tokio::test]
async fn cookies_in_lines_of_their_own_are_judged_one_by_one() {
    let (client, captured) = tower_sentry::test::client_with(Config::builder().traces_sample_rate(1.0));
    let app = Router::new().route("/", get(|| async { "ok" })).layer(SentryLayer::new(&client));
    let request = Request::get("/").header("cookie", "theme=dark-blue").header("cookie", "login=drei; lang=en").header("cookie", "page=2");

    drop(app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap());

    let headers = captured.transactions()[0].request.clone().unwrap().headers;
    assert_eq!(headers["cookie"], "theme=dark-blue; login=[Filtered]; lang=en; page=2");
    support::settle(&client).await;
}

#[tokio::test]
async fn the_url_has_the_scheme_that_the_request_names() {
    let (client, captured) = tower_sentry::test::client();
    let app = Router::new().route("/x", get(|| async { "ok" })).layer(SentryLayer::new(&client));
    let rows = [
        (Version::HTTP_2, "https://shop.example/x", "https://shop.example/x"),
        (Version::HTTP_2, "http://shop.example/x", "http://shop.example/x"),
        (Version::HTTP_11, "/x", "http://shop.example/x"),
    ];

    for (version, target, _) in rows {
        let request = Request::get(target).version(version).header("host", "shop.example").body(Body::empty()).unwrap();
        drop(app.clone().oneshot(request).await.unwrap());
    }

    let urls: Vec<_> = captured.transactions().iter().map(|transaction| transaction.request.clone().unwrap().url.unwrap()).collect();
    assert_eq!(urls, rows.map(|(.., url)| url));
    support::settle(&client).await;
}

#[tokio::test]
async fn an_address_in_the_form_of_ipv6_is_the_one_of_ipv4() {
    let (client, captured) = tower_sentry::test::client_with(Config::builder().traces_sample_rate(1.0).send_default_pii(true));
    let app = Router::new().route("/", get(|| async { "ok" })).layer(SentryLayer::new(&client));
    // What a socket says that listens for both.
    let rows = [("[::ffff:203.0.113.7]:4711", "203.0.113.7"), ("203.0.113.8:4711", "203.0.113.8"), ("[2001:db8::1]:4711", "2001:db8::1")];

    for (peer, _) in rows {
        let mut request = Request::get("/").body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        drop(app.clone().oneshot(request).await.unwrap());
    }

    for (transaction, (_, address)) in captured.transactions().iter().zip(rows) {
        assert_eq!(transaction.user.as_ref().unwrap().ip_address.as_deref(), Some(address));
        assert_eq!(transaction.contexts.trace.as_ref().unwrap().data["client.address"], address);
    }
    assert_eq!(captured.transactions().len(), 3);
    support::settle(&client).await;
}

#[tokio::test]
async fn without_keep_failed_the_sampled_have_their_headers_and_the_others_do_not() {
    for (rate, header) in [(1.0, Value::from("7")), (1e-9, Value::Null)] {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).traces_sample_rate(rate).keep_failed(false).build().unwrap());
        let says = || async { tower_sentry::capture_message(Level::Error, "noted").to_string() };
        let app = Router::new().route("/", get(says)).layer(SentryLayer::new(&client));

        drop(app.oneshot(Request::get("/").header("x-shop", "7").body(Body::empty()).unwrap()).await.unwrap());
        support::settle(&client).await;

        assert_eq!((relay.transactions().len(), relay.events().len()), (usize::from(header.is_string()), 1));
        for document in relay.transactions().iter().chain(&relay.events()) {
            assert_eq!((&document["request"]["method"], &document["request"]["headers"]["x-shop"]), (&"GET".into(), &header), "{rate}");
        }
    }
}
