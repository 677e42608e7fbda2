//! The end of a request is the end of its body.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::get;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::{HeaderMap, Request, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::{Layer as _, ServiceExt as _};
use tower_sentry::incoming::Boxed;
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
        let layer = SentryLayer::new(&client).route(name, tower_sentry::incoming::RouteOptions::new());
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
    let gate = std::sync::Arc::new(std::sync::Mutex::new(Some(gate)));
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
    }
    client.flush(support::patience()).await.unwrap();

    let statuses: std::collections::BTreeSet<_> =
        relay.transactions().iter().map(|transaction| transaction["contexts"]["trace"]["status"].to_string()).collect();
    assert_eq!((client.stats().transactions.sent, statuses.into_iter().collect::<Vec<_>>()), (10_000, vec!["\"ok\"".to_owned()]));
}

#[tokio::test]
async fn grpc_tells_in_its_trailers_how_it_went() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let answers = |code: Option<&'static str>, in_head: bool| {
        move || async move {
            let status = code.map(|code| ("grpc-status".parse().unwrap(), code.parse().unwrap()));
            let trailers = HeaderMap::from_iter(status.clone());
            let frames =
                [Ok::<_, Infallible>(hyper::body::Frame::data(Bytes::from("message"))), Ok(hyper::body::Frame::trailers(trailers))];
            let body = if in_head { Body::empty() } else { Body::new(http_body_util::StreamBody::new(stream::iter(frames))) };
            let mut response = Response::new(body);
            response.headers_mut().insert("content-type", "application/grpc+proto".parse().unwrap());
            if in_head {
                response.headers_mut().extend(status);
            }
            response
        }
    };
    let app = Router::new()
        .route("/fine", get(answers(Some("0"), false)))
        .route("/missing", get(answers(Some("5"), false)))
        .route("/broken", get(answers(Some("13"), false)))
        .route("/refused", get(answers(Some("7"), true)))
        .layer(SentryLayer::new(&client));

    for path in ["/fine", "/missing", "/broken", "/refused"] {
        let response = app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    support::settle(&client).await;

    let of = |name: &str| {
        let trace = trace(&relay, name);
        format!("{} {}", trace["status"].as_str().unwrap(), trace["data"]["rpc.grpc.status_code"])
    };
    let seen = ["GET /fine", "GET /missing", "GET /broken", "GET /refused"].map(of);
    assert_eq!(seen, ["ok 0", "not_found 5", "internal_error 13", "permission_denied 7"]);
    let messages: Vec<_> = relay.events().iter().map(|event| event["logentry"]["message"].clone()).collect();
    assert_eq!(messages, ["GET /broken answered with status 13 of gRPC"]);
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

#[tokio::test]
async fn an_error_on_a_call_of_grpc_waits_for_the_trailers() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let answers = |code: &'static str| {
        move || async move {
            let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), code.parse().unwrap())]);
            let frames =
                [Ok::<_, Infallible>(hyper::body::Frame::data(Bytes::from("message"))), Ok(hyper::body::Frame::trailers(trailers))];
            let mut response = Response::new(Body::new(http_body_util::StreamBody::new(stream::iter(frames))));
            response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
            response.extensions_mut().insert(tower_sentry::CaptureError::new(std::io::Error::other("the disk is full")));
            response
        }
    };
    let app = Router::new().route("/fine", get(answers("0"))).route("/broken", get(answers("13"))).layer(SentryLayer::new(&client));

    for path in ["/fine", "/broken"] {
        let response = app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    support::settle(&client).await;

    let events: Vec<_> =
        relay.events().iter().map(|event| (event["transaction"].clone(), event["exception"]["values"][0]["value"].clone())).collect();
    assert_eq!(events, [("GET /broken".into(), "the disk is full".into())]);
}
