//! Calls of gRPC: how they went is in their trailers, and some of their codes are failures.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request};
use axum::response::Response;
use axum::routing::post;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::sync::mpsc;
use tower::ServiceExt as _;
use tower_sentry::test::{Captured, client_with};
use tower_sentry::{CaptureError, Client, Config, SentryLayer};

use crate::support::{Server, patience, payloads_in, settle};

/// gRPC's codes, the status of the span that the protocol gives each, and whether it is a failure: as OpenTelemetry counts, but a method that does
/// not exist is the client's fault.
const CODES: [(u64, &str, bool); 17] = [
    (0, "ok", false),
    (1, "cancelled", false),
    (2, "unknown", true),
    (3, "invalid_argument", false),
    (4, "deadline_exceeded", true),
    (5, "not_found", false),
    (6, "already_exists", false),
    (7, "permission_denied", false),
    (8, "resource_exhausted", false),
    (9, "failed_precondition", false),
    (10, "aborted", false),
    (11, "out_of_range", false),
    (12, "unimplemented", false),
    (13, "internal_error", true),
    (14, "unavailable", true),
    (15, "data_loss", true),
    (16, "unauthenticated", false),
];

/// A rate under which nothing is sampled in a test, and yet not the final zero.
const HARDLY: f64 = 1e-9;

fn status_header(code: &str) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), code.parse().unwrap())])
}

fn grpc(body: Body) -> Response {
    Response::builder().header("content-type", "application/grpc+proto").body(body).unwrap()
}

/// Sends each message back as it comes, then the code in trailers. `InHead` answers at once, with the code in the head and no body.
async fn echo(Path((way, code)): Path<(String, String)>, request: Request) -> Response {
    if way == "InHead" {
        let mut response = grpc(Body::empty());
        response.headers_mut().extend(status_header(&code));
        return response;
    }
    let messages = request.into_body().into_data_stream().map(|message| message.map(Frame::data));
    let trailers = stream::once(async move { Ok(Frame::trailers(status_header(&code))) });
    grpc(Body::new(StreamBody::new(messages.chain(trailers))))
}

/// Calls and reads the head. The sender takes the messages of the request.
async fn open(connection: &mut SendRequest<Body>, path: &str) -> (mpsc::UnboundedSender<Bytes>, hyper::Response<hyper::body::Incoming>) {
    let (messages, mut sent) = mpsc::unbounded_channel();
    let body = Body::from_stream(stream::poll_fn(move |cx| sent.poll_recv(cx)).map(Ok::<_, axum::Error>));
    let request = Request::post(format!("http://shop.example{path}")).header("content-type", "application/grpc+proto").body(body);
    (messages, connection.send_request(request.unwrap()).await.unwrap())
}

/// A call in which each message is sent after the answer to the one before; the code it ended with.
async fn converse(connection: &mut SendRequest<Body>, client: &Client, path: &str) -> String {
    let (messages, response) = open(connection, path).await;
    let ended = client.stats().transactions.captured;
    let (head, mut body) = response.into_parts();
    if let Some(code) = head.headers.get("grpc-status") {
        return code.to_str().unwrap().to_owned();
    }
    for message in ["\0\0\0\0\x01a", "\0\0\0\0\x02bc"] {
        messages.send(message.into()).unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), message);
        assert_eq!(client.stats().transactions.captured, ended, "the call goes on");
    }
    drop(messages);
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    trailers["grpc-status"].to_str().unwrap().to_owned()
}

/// The payloads of one type as they would be sent. The official types, which `Relay` asks as well, do not know the status `unknown`.
fn documents(captured: &Captured, kind: &str) -> Vec<Value> {
    payloads_in(&captured.envelopes(), kind)
}

/// Name, status and code of each transaction.
fn ends(captured: &Captured) -> Vec<String> {
    let row = |transaction: Value| {
        let trace = &transaction["contexts"]["trace"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        format!("{} {} {}", text(&transaction["transaction"]), text(&trace["status"]), trace["data"]["rpc.grpc.status_code"])
    };
    documents(captured, "transaction").into_iter().map(row).collect()
}

fn messages(captured: &Captured) -> Vec<String> {
    documents(captured, "event").iter().map(|event| event["logentry"]["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status() {
    for (way, rate) in [("InTrailers", 1.0), ("InHead", 1.0), ("InTrailers", HARDLY), ("InHead", HARDLY)] {
        let (client, captured) = client_with(Config::builder().traces_sample_rate(rate));
        let app = Router::new().route("/shop.Orders/{way}/{code}", post(echo)).layer(SentryLayer::new(&client));
        let server = Server::start(app).await;
        let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let (mut connection, driver) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(driver);

        for (code, ..) in CODES {
            let path = format!("/shop.Orders/{way}/{code}");
            let call = converse(&mut connection, &client, &path);
            assert_eq!(tokio::time::timeout(patience(), call).await.unwrap(), code.to_string(), "the caller gets it");
        }

        let name = "POST /shop.Orders/{way}/{code}";
        let failures = CODES.into_iter().filter(|(.., is_failure)| *is_failure);
        let kept = CODES.into_iter().filter(|(.., is_failure)| *is_failure || rate > HARDLY);
        let kept = kept.map(|(code, status, _)| format!("{name} {status} {code}"));
        assert_eq!(ends(&captured), kept.collect::<Vec<_>>(), "{way} {rate}");
        let told = failures.map(|(code, ..)| format!("{name} answered with status {code} of gRPC"));
        assert_eq!(messages(&captured), told.collect::<Vec<_>>(), "{way} {rate}");
    }
}

/// How a call ended: path, name and status of the transaction with its code, the text of its event.
type End = (&'static str, &'static str, Option<&'static str>);

#[tokio::test]
async fn a_call_without_a_code_of_grpc_is_unknown_or_has_the_status_of_http() {
    let (client, captured) = client_with(Config::builder().traces_sample_rate(1.0));
    let ends_with = |status: u16, kind: &'static str, code: Option<&'static str>| {
        post(move || async move {
            let trailers = code.map(status_header).unwrap_or_default();
            let frames = [Ok::<_, axum::Error>(Frame::data(Bytes::from("message"))), Ok(Frame::trailers(trailers))];
            let body = Body::new(StreamBody::new(stream::iter(frames)));
            Response::builder().status(status).header("content-type", kind).body(body).unwrap()
        })
    };
    let app = Router::new()
        .route("/silent", ends_with(200, "application/grpc", None))
        .route("/strange", ends_with(200, "application/grpc", Some("99")))
        .route("/unreadable", ends_with(200, "application/grpc", Some("x")))
        .route("/proxy", ends_with(503, "application/grpc", None))
        .route("/nowhere", ends_with(404, "application/grpc", None))
        .route("/web", ends_with(200, "application/grpc-web", Some("13")))
        .route("/json", ends_with(200, "application/json", Some("13")))
        .layer(SentryLayer::new(&client));
    let expected: [End; 7] = [
        ("/silent", "unknown 2", Some("answered with status 2 of gRPC")),
        ("/strange", "unknown 99", Some("answered with status 99 of gRPC")),
        ("/unreadable", "unknown 2", Some("answered with status 2 of gRPC")),
        ("/proxy", "unavailable null", Some("answered 503")),
        ("/nowhere", "not_found null", None),
        ("/web", "ok null", None),
        ("/json", "ok null", None),
    ];

    for (path, ..) in expected {
        let response = app.clone().oneshot(Request::post(path).body(Body::empty()).unwrap()).await.unwrap();
        response.into_body().collect().await.unwrap();
    }

    assert_eq!(ends(&captured), expected.map(|(path, end, _)| format!("POST {path} {end}")));
    let told = expected.iter().filter_map(|(path, _, told)| told.map(|told| format!("POST {path} {told}")));
    assert_eq!(messages(&captured), told.collect::<Vec<_>>());
    settle(&client).await;
}

#[tokio::test]
async fn an_error_on_a_call_of_grpc_waits_for_the_trailers() {
    let (client, captured) = client_with(Config::builder().traces_sample_rate(1.0));
    let answer = |code: &'static str| {
        post(move |request: Request| async move {
            let mut response = echo(Path(("InTrailers".to_owned(), code.to_owned())), request).await;
            response.extensions_mut().insert(CaptureError::new(std::io::Error::other("the disk is full")));
            response
        })
    };
    let app = Router::new().route("/fine", answer("0")).route("/broken", answer("13")).layer(SentryLayer::new(&client));

    for path in ["/fine", "/broken"] {
        let response = app.clone().oneshot(Request::post(path).body(Body::from("message")).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body().collect().await.unwrap();
    }

    let errors: Vec<_> = captured.events().into_iter().map(|event| (event.transaction, event.exception.values[0].value.clone())).collect();
    assert_eq!(errors, [(Some("POST /broken".to_owned()), Some("the disk is full".to_owned()))]);
    settle(&client).await;
}
