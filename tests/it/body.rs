//! The end of a request is the end of its body.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::response::Response;
use axum::routing::get;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::{HeaderMap, Request, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tower::{Layer as _, ServiceExt as _};
use tower_sentry::incoming::{Boxed, RouteOptions};
use tower_sentry::{Client, Level, SentryLayer};
use tracing::info_span;

use crate::support::{self, Http2, Relay, Server};

fn trace(relay: &Relay, name: &str) -> Value {
    let transactions = relay.transactions();
    let found = transactions.iter().find(|transaction| transaction["transaction"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {transactions:?}"))["contexts"]["trace"].clone()
}

/// Bytes, frames, time of the first byte and whole time in milliseconds.
type Timing = (Option<u64>, Option<u64>, Option<f64>, f64);

fn timing(relay: &Relay, name: &str) -> Timing {
    let transactions = relay.transactions();
    let transaction = transactions.iter().find(|transaction| transaction["transaction"] == name).unwrap();
    let data = &transaction["contexts"]["trace"]["data"];
    let total = (transaction["timestamp"].as_f64().unwrap() - transaction["start_timestamp"].as_f64().unwrap()) * 1000.0;
    (
        data["http.response.body.size"].as_u64(),
        data["tower_sentry.body_frames"].as_u64(),
        data["tower_sentry.first_byte_ms"].as_f64(),
        total.round(),
    )
}

#[tokio::test]
async fn streaming_is_timed() {
    let clock = std::rc::Rc::new(tower_sentry::test::HandClock::start());
    let relay = Relay::start();
    let client = support::client(&relay);
    let visit = async |name: &str, body: Body, status: StatusCode| {
        let given = std::cell::RefCell::new(Some((body, status)));
        let inner = tower::service_fn(|_: Request<()>| {
            let (body, status) = given.borrow_mut().take().unwrap();
            clock.advance(Duration::from_millis(15));
            std::future::ready(Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap()))
        });
        let layer = SentryLayer::new(&client).route(name, RouteOptions::new());
        let mut body = Box::pin(layer.layer(inner).oneshot(Request::get(name).body(()).unwrap()).await.unwrap().into_body());
        let mut hints = vec![body.size_hint().exact()];
        while futures_util::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await.is_some() {
            clock.advance(Duration::from_millis(20));
            hints.push(body.size_hint().exact());
        }
        hints
    };

    let ten = stream::iter((0..10).map(|_| Ok::<_, Infallible>("0123456789")));
    let hints = visit("/streamed", Body::from_stream(ten), StatusCode::OK).await;
    assert_eq!(hints, [None; 11], "the size of a stream is not known");
    let hints = visit("/known", Body::from("0123456789"), StatusCode::OK).await;
    assert_eq!(hints, [Some(10), Some(0)]);
    visit("/empty", Body::empty(), StatusCode::NO_CONTENT).await;
    support::settle(&client).await;

    // 15 ms to the head and the first byte; 20 ms behind each of ten frames, then the end.
    assert_eq!(timing(&relay, "GET /streamed"), (Some(100), Some(10), Some(15.0), 215.0));
    // Its only frame ends it: nothing is polled after that.
    assert_eq!(timing(&relay, "GET /known"), (Some(10), Some(1), Some(15.0), 15.0));
    assert_eq!(timing(&relay, "GET /empty"), (Some(0), Some(0), None, 15.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streaming_over_a_socket_has_the_same_shape() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let (go, gate) = tokio::sync::mpsc::unbounded_channel::<()>();
    let gate = Arc::new(std::sync::Mutex::new(Some(gate)));
    // The first frame at once, the others when the client says so.
    let streamed = move || async move {
        let gate = gate.lock().unwrap().take().unwrap();
        let frames = stream::unfold((gate, 0), |(mut gate, sent)| async move {
            if sent > 0 {
                gate.recv().await;
            }
            (sent < 10).then(|| (Ok::<_, Infallible>("0123456789"), (gate, sent + 1)))
        });
        Body::from_stream(frames)
    };
    let server = Server::start(Router::new().route("/streamed", get(streamed)).layer(SentryLayer::new(&client))).await;

    let mut over_http2 = Http2::connect(&server).await;
    let mut body = over_http2.open("/streamed").await.into_body();
    body.frame().await.unwrap().unwrap();
    // The time between frames is what is measured here, so time has to pass.
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(go);
    while body.frame().await.is_some() {}
    support::settle(&client).await;

    let (bytes, frames, first_byte, total) = timing(&relay, "GET /streamed");
    assert_eq!((bytes, frames), (Some(100), Some(10)));
    // Wall clocks are read in microseconds and rounded to whole milliseconds.
    assert!(first_byte.is_some_and(|first| first <= total - 199.0), "{total} ms, the first byte after {first_byte:?}");
}

#[tokio::test]
async fn hints_are_those_of_the_body() {
    let relay = Relay::start();
    let client = support::client(&relay);
    for (given, exact, is_end) in [
        (Body::from("hello"), Some(5), false),
        (Body::empty(), Some(0), true),
        (Body::from_stream(stream::iter([Ok::<_, Infallible>("a")])), None, false),
    ] {
        let given = std::sync::Mutex::new(Some(given));
        let inner = tower::service_fn(|_: Request<()>| {
            std::future::ready(Ok::<_, Infallible>(Response::new(given.lock().unwrap().take().unwrap())))
        });

        let body = SentryLayer::new(&client).layer(inner).oneshot(Request::new(())).await.unwrap().into_body();

        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (exact, is_end));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn context_in_stream() {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let talks = |name: &'static str| {
        move || async move {
            tower_sentry::Scope::current().set_tag("who", name);
            let words = stream::iter(0..3).then(move |word| async move {
                tokio::task::yield_now().await;
                info_span!("chunk", word).in_scope(|| tower_sentry::capture_message(Level::Error, format!("{name} {word}")));
                Ok::<_, Infallible>("word ")
            });
            Body::from_stream(words)
        }
    };
    let app = Router::new().route("/ann", get(talks("ann"))).route("/ben", get(talks("ben"))).layer(SentryLayer::new(&client));
    let server = Server::start(app).await;

    let visits = (0..20).map(|number| support::get(&server, if number % 2 == 0 { "/ann" } else { "/ben" }));
    futures_util::future::join_all(visits).await;
    support::settle(&client).await;

    let events = relay.events();
    assert_eq!(events.len(), 60);
    for event in &events {
        let who = event["logentry"]["message"].as_str().unwrap().split(' ').next().unwrap().to_owned();
        assert_eq!((&event["tags"]["who"], &event["transaction"]), (&Value::from(who.clone()), &Value::from(format!("GET /{who}"))));
    }
    let transactions = relay.transactions();
    assert!(
        transactions.iter().all(|transaction| transaction["spans"].as_array().unwrap().len() == 3),
        "spans of the stream are the request's"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_in_the_body_of_a_request_that_is_not_recorded_know_it() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).traces_sample_rate(0.0).keep_failed(false).build().unwrap());
    // A file, say, or an answer of another service: its length is known, and still it is made while it is read.
    let file = |layer: SentryLayer<Boxed>| {
        let handler = || async {
            let parts = stream::iter(0..3).map(|part| {
                if part == 1 {
                    tower_sentry::capture_message(Level::Error, "noted");
                }
                if part == 2 { Err(std::io::Error::other("the disk is gone")) } else { Ok("12345") }
            });
            ([(http::header::CONTENT_LENGTH, "15")], Body::from_stream(parts))
        };
        Router::new().route("/file", get(handler)).layer(layer)
    };

    let response = file(SentryLayer::new(&client).boxed_body()).oneshot(Request::get("/file").body(Body::empty()).unwrap()).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    support::settle(&client).await;

    let events = relay.events();
    assert_eq!((relay.transactions().len(), events.len()), (0, 1), "the failure of the body is told already");
    assert_eq!((&events[0]["transaction"], &events[0]["request"]["method"]), (&"GET /file".into(), &"GET".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_stream_is_cut_and_its_errors_still_know_it() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let events = || async {
        let words = stream::iter(0..4).map(|word| {
            if word == 3 {
                tower_sentry::capture_message(Level::Error, "late");
            }
            Ok::<_, Infallible>("word ")
        });
        Body::from_stream(words)
    };
    let app = Router::new().route("/events", get(events)).layer(SentryLayer::new(&client).max_duration(Duration::ZERO));
    let server = Server::start(app).await;

    let (_, text) = support::get(&server, "/events").await;
    support::settle(&client).await;

    assert_eq!(text, "word word word word ");
    assert_eq!(relay.transactions().len(), 1, "one transaction, however long the stream");
    let trace = trace(&relay, "GET /events");
    assert_eq!(
        (&trace["status"], &trace["data"]["tower_sentry.cut"], &trace["data"]["tower_sentry.body_frames"]),
        (&"ok".into(), &true.into(), &2.into())
    );
    let late = &relay.events()[0];
    assert_eq!((&late["transaction"], &late["contexts"]["trace"]["trace_id"]), (&"GET /events".into(), &trace["trace_id"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abort_is_told_apart() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel::<()>();
    let before = {
        let arrived = arrived.clone();
        move || async move {
            arrived.send(()).unwrap();
            std::future::pending::<()>().await;
        }
    };
    let within = move || async move {
        let frames = stream::iter([Ok::<_, Infallible>("first")]).chain(stream::pending());
        arrived.send(()).unwrap();
        Body::from_stream(frames)
    };
    let app = Router::new().route("/before", get(before)).route("/within", get(within)).layer(SentryLayer::new(&client));
    let server = Server::start(app).await;

    for path in ["/before", "/within"] {
        let mut over_http1 = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut over_http1, head.as_bytes()).await.unwrap();
        arrivals.recv().await.unwrap();
        if path == "/within" {
            let mut byte = [0; 1];
            tokio::io::AsyncReadExt::read_exact(&mut over_http1, &mut byte).await.unwrap();
        }
        drop(over_http1);

        let mut over_http2 = Http2::connect(&server).await;
        let request = tokio::spawn(async move { over_http2.open(path).await.into_body().frame().await });
        arrivals.recv().await.unwrap();
        if path == "/before" {
            request.abort();
        }
        // The body is dropped after its first frame.
        drop(request.await);
    }
    let received = tokio::task::spawn_blocking(move || {
        relay.wait_for(4);
        relay
    });
    let relay = received.await.unwrap();

    let mut seen: Vec<_> = relay
        .transactions()
        .iter()
        .map(|transaction| {
            let trace = &transaction["contexts"]["trace"];
            format!(
                "{} {} {} {}",
                transaction["transaction"],
                trace["status"],
                trace["data"]["tower_sentry.cancelled"],
                trace["data"]["http.response.status_code"]
            )
        })
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            r#""GET /before" "cancelled" "before_headers" null"#,
            r#""GET /before" "cancelled" "before_headers" null"#,
            r#""GET /within" "cancelled" "in_body" 200"#,
            r#""GET /within" "cancelled" "in_body" 200"#,
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_complete_response_is_never_cancelled() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).queue_items(20_000).queue_bytes(usize::MAX).build().unwrap());
    let streamed = || async { Body::from_stream(stream::iter([Ok::<_, Infallible>("a"), Ok("b")])) };
    let trailed = || async {
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
        let frames =
            stream::iter([Ok::<_, Infallible>(hyper::body::Frame::data(Bytes::from("data"))), Ok(hyper::body::Frame::trailers(trailers))]);
        Body::new(http_body_util::StreamBody::new(frames))
    };
    let app = Router::new()
        .route("/known", get(|| async { "hello" }))
        .route("/streamed", get(streamed))
        .route("/trailed", get(trailed))
        .route("/none", get(|| async { StatusCode::NOT_MODIFIED }))
        .layer(SentryLayer::new(&client));
    let server = Server::start(app).await;
    let paths = ["/known", "/streamed", "/trailed", "/none"];

    let over_http2 = Http2::connect(&server).await;
    for batch in 0..20 {
        let visits = (0..500).map(|number| {
            let mut connection = over_http2.clone();
            let path = paths[(batch + number) % 4];
            async move { connection.get(path).await }
        });
        futures_util::future::join_all(visits).await;
        // A part of them is what one wait can be asked for.
        client.flush(support::patience()).await.unwrap();
    }

    let statuses: std::collections::BTreeSet<_> =
        relay.transactions().iter().map(|transaction| transaction["contexts"]["trace"]["status"].to_string()).collect();
    assert_eq!((client.stats().transactions.sent, statuses.into_iter().collect::<Vec<_>>()), (10_000, vec!["\"ok\"".to_owned()]));
}

#[tokio::test]
async fn a_handshake_ends_the_transaction() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let upgrade = tower::service_fn(|_: Request<Body>| async {
        let open = Body::from_stream(stream::pending::<Result<&'static str, Infallible>>());
        Ok::<_, Infallible>(Response::builder().status(StatusCode::SWITCHING_PROTOCOLS).body(open).unwrap())
    });

    let response = SentryLayer::new(&client).layer(upgrade).oneshot(Request::get("/socket").body(Body::empty()).unwrap()).await.unwrap();

    assert_eq!(client.stats().transactions.captured, 1, "while the connection is open");
    drop(response);
    support::settle(&client).await;
    assert_eq!(relay.transactions()[0]["contexts"]["trace"]["status"], "ok");
}

/// A page whose length nobody knows before it ends.
fn page() -> Body {
    Body::from_stream(stream::iter([Ok::<_, Infallible>("a"), Ok("page")]))
}

fn request(method: &str, target: impl AsRef<str>) -> Request<Body> {
    Request::builder().method(method).uri(target.as_ref()).body(Body::empty()).unwrap()
}

/// Path, status, place of the cancellation and status code of each transaction.
fn ends(relay: &Relay) -> Vec<String> {
    let row = |transaction: &Value| {
        let (trace, data) = (&transaction["contexts"]["trace"], &transaction["contexts"]["trace"]["data"]);
        let (status, cancelled) = (trace["status"].as_str().unwrap(), &data["tower_sentry.cancelled"]);
        format!("{} {status} {cancelled} {}", data["url.path"].as_str().unwrap(), data["http.response.status_code"])
    };
    let mut rows: Vec<_> = relay.transactions().iter().map(row).collect();
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_without_a_body_is_never_cancelled() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let answer = |code: u16| Response::builder().status(code).body(page()).unwrap();
    let routed = Router::new()
        .route("/{place}/{code}", get(move |Path((_, code)): Path<(String, u16)>| async move { answer(code) }))
        .layer(SentryLayer::new(&client));
    // A layer further out answers in place of what it got, as one for `If-None-Match` does.
    let replaced = Router::new()
        .route("/replaced/{code}", get(|| async { "a page" }))
        .layer(SentryLayer::new(&client))
        .layer(axum::middleware::map_response(async |_: Response| StatusCode::NOT_MODIFIED));
    let bare = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
        let code = request.uri().path().rsplit('/').next().unwrap().parse().unwrap();
        std::future::ready(Ok::<_, Infallible>(answer(code)))
    });
    let axum = Server::start(routed.merge(replaced)).await;
    let hyper = Server::start_hyper(SentryLayer::new(&client).layer(bare)).await;
    let mut connector = legacy::Client::builder(TokioExecutor::new());
    let over_http1 = connector.build_http::<Body>();
    let over_http2 = connector.http2_only(true).build_http::<Body>();
    let rows = [("HEAD", "/head/200"), ("GET", "/get/204"), ("GET", "/get/304"), ("HEAD", "/head/304"), ("GET", "/replaced/200")];

    let visit = async |caller: &legacy::Client<_, Body>, server: &Server, (method, path): (&str, &str)| {
        let read = async {
            let response = caller.request(request(method, format!("http://{}{path}", server.address))).await.unwrap();
            response.into_body().collect().await.unwrap();
        };
        tokio::time::timeout(support::patience(), read).await.unwrap();
    };
    for row in rows {
        visit(&over_http1, &axum, row).await;
        visit(&over_http2, &axum, row).await;
        visit(&over_http1, &hyper, row).await;
    }
    let socket = Request::get("/socket/101").header("connection", "upgrade").header("upgrade", "shop");
    assert_eq!(support::request(&axum, socket).await.0, StatusCode::SWITCHING_PROTOCOLS);
    // The head may be at the caller's before the server has put the body away.
    support::until("all have ended", || client.stats().transactions.captured == 16).await;
    support::settle(&client).await;

    let mut expected: Vec<_> = rows
        .iter()
        .flat_map(|(_, path)| [path; 3].map(|path| format!("{path} ok null {}", path.rsplit('/').next().unwrap())))
        .chain(["/socket/101 ok null 101".to_owned()])
        .collect();
    expected.sort();
    assert_eq!(ends(&relay), expected);
    // A body that there cannot be is not missing.
    for transaction in relay.transactions() {
        let data = &transaction["contexts"]["trace"]["data"];
        let is_replaced = data["url.path"] == "/replaced/200";
        assert!(is_replaced || data.get("tower_sentry.body_unread").is_none(), "{data}");
    }
}

#[tokio::test]
async fn a_body_that_is_dropped_unread_is_never_cancelled() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let answer = |code: u16, body: Body| {
        let given = std::cell::RefCell::new(Some(Response::builder().status(code).body(body).unwrap()));
        tower::service_fn(move |_: Request<Body>| std::future::ready(Ok::<_, Infallible>(given.borrow_mut().take().unwrap())))
    };
    let rows = [
        ("GET", 100, page(), "ok null"),
        ("GET", 101, page(), "ok null"),
        ("GET", 102, page(), "ok null"),
        ("GET", 103, page(), "ok null"),
        ("GET", 204, page(), "ok null"),
        ("GET", 304, page(), "ok null"),
        ("HEAD", 206, page(), "ok null"),
        ("GET", 207, Body::from("a page"), "ok null"),
        ("GET", 208, Body::empty(), "ok null"),
        ("GET", 200, page(), "ok null"),
        ("GET", 302, page(), "ok null"),
    ];

    let mut expected = Vec::new();
    for (method, code, body, end) in rows {
        let service = SentryLayer::new(&client).layer(answer(code, body));
        drop(service.oneshot(request(method, format!("/{code}"))).await.unwrap());
        expected.push(format!("/{code} {end} {code}"));
    }
    support::settle(&client).await;

    expected.sort();
    assert_eq!(ends(&relay), expected);
    let unread = relay.transactions().into_iter().map(|transaction| transaction["contexts"]["trace"]["data"].clone());
    let mut unread: Vec<_> = unread.filter(|data| data["tower_sentry.body_unread"] == true).map(|data| data["url.path"].clone()).collect();
    unread.sort_by_key(Value::to_string);
    assert_eq!(unread, ["/200", "/302"], "only of these, a part is missing");
}

/// A rate under which nothing is sampled in a test, and yet not the final zero.
const HARDLY: f64 = 1e-9;

#[tokio::test]
async fn an_error_of_the_service_is_a_failure_with_an_event() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).traces_sample_rate(HARDLY).build().unwrap());
    let broken = tower::service_fn(|_: Request<Body>| async { Err::<Response, _>(std::io::Error::other("the backend is gone")) });
    let layer = SentryLayer::new(&client).route("/orders", RouteOptions::new());

    let error = layer.layer(broken).oneshot(request("GET", "/orders")).await.unwrap_err();
    support::settle(&client).await;

    assert_eq!(error.to_string(), "the backend is gone", "the error itself goes on as it is");
    assert_eq!(ends(&relay), ["/orders internal_error null null"], "kept, although nothing is sampled");
    let events: Vec<_> = relay.events().iter().map(|event| event["logentry"]["message"].clone()).collect();
    assert_eq!(events, ["GET /orders failed without a response: the backend is gone"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_off_is_a_failure_with_an_event() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).traces_sample_rate(HARDLY).build().unwrap());
    // It breaks when the caller has read the first frame.
    let has_read = Arc::new(tokio::sync::Notify::new());
    let reads = Arc::clone(&has_read);
    let breaks = || async move {
        let gone = stream::once(async move {
            reads.notified().await;
            Err(std::io::Error::other("the backend is gone"))
        });
        Body::from_stream(stream::iter([Ok("a page")]).chain(gone))
    };
    let app = Router::new().route("/pages/{id}", get(breaks)).layer(SentryLayer::new(&client));
    let server = Server::start(app).await;
    let mut connector = legacy::Client::builder(TokioExecutor::new());

    for is_http2 in [false, true] {
        let caller = connector.http2_only(is_http2).build_http::<Body>();
        let read = async {
            let mut body = caller.request(request("GET", format!("http://{}/pages/{is_http2}", server.address))).await.unwrap().into_body();
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a page");
            has_read.notify_one();
            body.collect().await
        };
        assert!(tokio::time::timeout(support::patience(), read).await.unwrap().is_err(), "the caller sees that something is missing");
    }
    support::until("both have ended", || client.stats().transactions.captured == 2).await;
    support::settle(&client).await;

    assert_eq!(ends(&relay), ["/pages/false internal_error null 200", "/pages/true internal_error null 200"]);
    let events: Vec<_> = relay.events().iter().map(|event| event["logentry"]["message"].clone()).collect();
    assert_eq!(events, ["GET /pages/{id} failed in the body of its response"; 2]);
}

#[tokio::test]
async fn callers_that_go_away_are_no_failures() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).traces_sample_rate(HARDLY).build().unwrap());
    let app = Router::new()
        .route("/waits", get(|| async { std::future::pending::<StatusCode>().await }))
        .route("/streams", get(|| async { Body::from_stream(stream::repeat(Ok::<_, Infallible>("again"))) }))
        .route("/fails", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .layer(SentryLayer::new(&client));

    let mut before_the_head = Box::pin(app.clone().oneshot(request("GET", "/waits")));
    assert!(futures_util::poll!(&mut before_the_head).is_pending());
    drop(before_the_head);
    let mut within_the_body = app.clone().oneshot(request("GET", "/streams")).await.unwrap().into_body();
    within_the_body.frame().await.unwrap().unwrap();
    drop(within_the_body);
    drop(app.oneshot(request("GET", "/fails")).await.unwrap());
    support::settle(&client).await;

    assert_eq!(ends(&relay), ["/fails internal_error null 500"], "of what nobody sampled only the failure is kept");
    assert_eq!((relay.events().len(), client.stats().transactions.captured), (1, 3));
}

#[tokio::test]
async fn a_stream_may_last_fifteen_minutes() {
    let clock = tower_sentry::test::HandClock::start();
    let limit = Duration::from_secs(15 * 60);

    for (lasts, cut) in [(limit, Value::Null), (limit + Duration::from_millis(1), true.into())] {
        let relay = Relay::start();
        let client = support::client(&relay);
        let streamed = tower::service_fn(|_: Request<Body>| {
            let frames = stream::iter(["a", "long", "page"]).map(Ok::<_, Infallible>);
            std::future::ready(Ok::<_, Infallible>(Response::new(Body::from_stream(frames))))
        });

        let mut body = SentryLayer::new(&client).layer(streamed).oneshot(request("GET", "/")).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        clock.advance(lasts);
        while body.frame().await.is_some() {}
        support::settle(&client).await;

        let data = &relay.transactions()[0]["contexts"]["trace"]["data"];
        let frames = if cut == true { 2 } else { 3 };
        assert_eq!((&data["tower_sentry.cut"], &data["tower_sentry.body_frames"]), (&cut, &frames.into()), "{lasts:?}");
    }
}
