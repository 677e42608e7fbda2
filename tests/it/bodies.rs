//! The beginning of request and response bodies, for the events of requests that fail.

use std::convert::Infallible;
use std::io::Write as _;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_sentry::incoming::{BodyLayer, RouteOptions};
use tower_sentry::redaction::Redaction;
use tower_sentry::{CaptureError, Client, SentryLayer};

use crate::support::{self, Relay};

const N: usize = 4096;

/// Reads the whole body, and answers with a hash of it, after an error of its own.
async fn handler(request: Request) -> Response {
    let (mut length, mut sum) = (0_u64, 0_u64);
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        for byte in frame.unwrap().data_ref().unwrap() {
            (length, sum) = (length + 1, sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        }
    }
    let answer = format!("{length} bytes, sum {sum}");
    (StatusCode::INTERNAL_SERVER_ERROR, CaptureError::new(std::io::Error::other("it failed")), answer).into_response()
}

/// What arrives of a request with this body: the event, and what the client got.
async fn sent(layer: BodyLayer, headers: &[(&str, &str)], body: impl Into<Body>, rules: Redaction) -> (Value, String) {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).redaction(rules).build().unwrap());
    let app = Router::new().route("/orders", post(handler)).layer(layer).layer(SentryLayer::new(&client));
    let mut request = Request::post("/orders");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = app.oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let got = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    support::settle(&client).await;
    assert!(relay.transactions().iter().all(|transaction| transaction["request"].get("data").is_none()), "on errors only");
    (relay.events().remove(0), String::from_utf8(got.to_vec()).unwrap())
}

async fn data(kind: &str, body: impl Into<Body>) -> Value {
    let layer = BodyLayer::new().max_request_body_size(N);
    shown(&sent(layer, &[("content-type", kind)], body, Redaction::default()).await.0["request"]["data"])
}

/// The JSON in a text, or the text.
fn shown(data: &Value) -> Value {
    data.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| data.clone())
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

#[tokio::test]
async fn request_capture() {
    let order = json!({ "items": [{ "sku": "a-1", "gift": { "api_key": "k-1", "note": "with love" } }], "password": "hunter2", "card": "4111111111111111" });
    let hidden = json!({ "items": [{ "sku": "a-1", "gift": { "api_key": "[Filtered]", "note": "with love" } }], "password": "[Filtered]", "card": "[Filtered]" });
    assert_eq!(data("application/json", order.to_string()).await, hidden);
    assert_eq!(data("application/problem+json; charset=utf-8", order.to_string()).await, hidden);

    let form = "user=jane&pass%77ord=hunter2&note=a+b%21&tag=1&tag=2&card=4111+1111+1111+1111";
    let hidden = json!({ "user": "jane", "password": "[Filtered]", "note": "a b!", "tag": ["1", "2"], "card": "[Filtered]" });
    assert_eq!(data("application/x-www-form-urlencoded", form).await, hidden);

    let part = |head: &str, content: &str| format!("--b1\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n");
    let parts = [
        part("name=\"user\"", "jane"),
        part("name=\"password\"", "hunter2"),
        part("name=\"photo\"; filename=\"me.png\"\r\nContent-Type: image/png", "PNG hunter2"),
    ];
    let hidden = json!({ "user": "jane", "password": "[Filtered]", "photo": { "file": "me.png", "type": "image/png", "bytes": 11 } });
    assert_eq!(data("multipart/form-data; boundary=b1", parts.concat() + "--b1--\r\n").await, hidden);

    assert_eq!(data("text/plain", "two words, token=abc123").await, "two words, token=[Filtered]");
    assert_eq!(data("image/png", "PNG hunter2").await, "[left out: 11 bytes of image/png]");
    assert_eq!(data("", "some bytes").await, "[left out: 10 bytes of an unknown type]");
    assert_eq!(data("application/json", Body::empty()).await, Value::Null);

    let packed = |encoding| [("content-type", "application/json"), ("content-encoding", encoding)];
    let layer = BodyLayer::new().max_request_body_size(N);
    for (encoding, expected) in [("gzip", json!({ "password": "[Filtered]" })), ("br", json!("[left out: 42 bytes of application/json]"))] {
        let body = gzip(&json!({ "password": "hunter2" }).to_string());
        let (event, got) = sent(layer, &packed(encoding), body.clone(), Redaction::default()).await;
        let expected = expected.as_str().map_or_else(|| expected.clone(), |text| text.replace("42", &body.len().to_string()).into());
        assert_eq!(shown(&event["request"]["data"]), expected);
        assert!(got.starts_with(&format!("{} bytes", body.len())), "{got}");
    }

    // The control: without redaction, the same texts arrive.
    let (event, _) = sent(layer, &[("content-type", "application/json")], order.to_string(), tower_sentry::test::unredacted()).await;
    assert_eq!(shown(&event["request"]["data"]), order);
}

#[tokio::test]
async fn a_body_that_is_cut_ends_before_the_word_at_the_cut() {
    let layer = BodyLayer::new().max_request_body_size(60);
    let json = json!({ "note": "a text of some words", "zz": "ghp_0123456789abcdefghij0123456789abcdef" }).to_string();
    let (event, _) = sent(layer, &[("content-type", "application/json")], json, Redaction::default()).await;
    assert_eq!(event["request"]["data"], "{\"note\":\"a text of some…");

    let form = "note=a+text&zz=ghp_0123456789abcdefghij0123456789abcdef012345678901234";
    let (event, _) = sent(layer, &[("content-type", "application/x-www-form-urlencoded")], form, Redaction::default()).await;
    assert_eq!(shown(&event["request"]["data"]), json!({ "note": "a text", "…": "…" }));
}

#[tokio::test]
async fn a_gigabyte_passes_unchanged_and_adds_no_more_than_the_limit() {
    static BLOCK: [u8; 1 << 20] = [b'x'; 1 << 20];
    let blocks = || futures_util::stream::iter((0..1024).map(|_| Ok::<_, Infallible>(Bytes::from_static(&BLOCK))));
    // The handler hashes each byte, which takes long in a debug build: this one counts.
    let counted = post(async |request: Request| {
        let mut body = request.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame.unwrap().data_ref().unwrap().len();
        }
        (StatusCode::INTERNAL_SERVER_ERROR, length.to_string())
    });
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).build().unwrap());
    let layer = BodyLayer::new().max_request_body_size(N).max_response_body_size(N);
    let app = Router::new().route("/upload", counted).layer(layer).layer(SentryLayer::new(&client));

    let request = Request::post("/upload").header("content-type", "text/plain").body(Body::from_stream(blocks())).unwrap();
    let response = app.oneshot(request).await.unwrap();
    let got = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
    support::settle(&client).await;

    assert_eq!(got, (1024_u64 << 20).to_string());
    let event = &relay.events()[0];
    let data = event["request"]["data"].as_str().unwrap();
    assert!(data.len() <= N + "…".len() && data.ends_with('…'), "{} bytes", data.len());
}

#[tokio::test]
async fn response_capture() {
    let relay = Relay::start();
    let hook = |event: tower_sentry::protocol::Event| {
        let document = serde_json::to_value(&event).unwrap();
        let headers = document["contexts"]["response"]["headers"].to_string();
        assert!(!headers.contains("hunter2") && !headers.contains("plain words"), "a hook sees no credential: {headers}");
        Some(event)
    };
    let config = support::config(&relay).before_send(hook).redaction(Redaction::default().header("x-till"));
    let client = Client::from(config.build().unwrap());
    let fail = async || {
        let body = json!({ "title": "no stock", "token": "hunter2" }).to_string();
        let till = http::HeaderName::from_static("x-till");
        let headers = [
            (header::CONTENT_TYPE, "application/problem+json"),
            (header::SET_COOKIE, "session=hunter2"),
            (header::ETAG, "\"v1\""),
            (till, "till-hunter2"),
        ];
        let mut marked = http::HeaderValue::from_static("plain words");
        marked.set_sensitive(true);
        let marked = [("x-note", marked)];
        (StatusCode::INTERNAL_SERVER_ERROR, headers, marked, CaptureError::new(std::io::Error::other("it failed")), body)
    };
    let stream = async || {
        let frames = futures_util::stream::iter(["one ", "two"].map(Ok::<_, Infallible>));
        (StatusCode::INTERNAL_SERVER_ERROR, Body::from_stream(frames))
    };
    let app = Router::new()
        .route("/fail", post(fail))
        .route("/stream", post(stream))
        .route("/patients", post(fail))
        .route("/fine", post(async || "fine"))
        .layer(BodyLayer::new().max_request_body_size(N).max_response_body_size(N))
        .layer(SentryLayer::new(&client).route("/patients", RouteOptions::new().sensitive()));
    let mut answers = Vec::new();
    for path in ["/fail", "/stream", "/patients", "/fine"] {
        let response = app.clone().oneshot(Request::post(path).body(Body::empty()).unwrap()).await.unwrap();
        answers.push((response.headers().get("content-length").cloned(), response.into_body().collect().await.unwrap().to_bytes()));
    }
    support::settle(&client).await;

    let text = json!({ "title": "no stock", "token": "hunter2" }).to_string();
    let length = text.len();
    let got: Vec<_> = answers.iter().map(|(_, body)| std::str::from_utf8(body).unwrap()).collect();
    assert_eq!(got, [text.as_str(), "one two", text.as_str(), "fine"], "the client gets the same bytes");
    assert_eq!(answers[0].0.as_ref().map(|length| length.to_str().unwrap().parse().unwrap()), Some(length));
    let events = relay.events();
    let responses: Vec<_> = events.iter().map(|event| &event["contexts"]["response"]).collect();
    assert_eq!(responses.len(), 3);
    let shown = responses[0];
    assert_eq!((&shown["status_code"], &shown["body_size"]), (&500.into(), &length.into()));
    assert_eq!(self::shown(&shown["data"]), json!({ "title": "no stock", "token": "[Filtered]" }));
    assert_eq!((&shown["headers"]["etag"], &shown["headers"]["set-cookie"]), (&"\"v1\"".into(), &"[Filtered]".into()));
    assert_eq!((&shown["headers"]["x-till"], &shown["headers"]["x-note"]), (&"[Filtered]".into(), &"[Filtered]".into()));
    assert_eq!(shown["headers"]["content-type"], "application/problem+json");
    assert!(responses[1].get("data").is_none(), "a stream is not waited for: {}", responses[1]);
    assert_eq!(responses[2], &json!({ "status_code": 500 }), "nothing of a sensitive route");
    assert!(relay.transactions().iter().all(|transaction| transaction["contexts"]["response"].get("data").is_none()));
}
