//! Requests as proxies, nested routers and other protocols show them.

use std::convert::Infallible;
use std::io;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::Response;
use axum::routing::{any, get};
use futures_util::stream;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::Value;
use tower::{Layer as _, ServiceExt as _};
use tower_sentry::incoming::RouteOptions;
use tower_sentry::test::{Captured, client, client_with};
use tower_sentry::{Config, SentryLayer};
use tracing::error;

use crate::support::{self, payloads_in};

fn request(path: &str) -> Request<Body> {
    Request::get(path).header("host", "shop.example").body(Body::empty()).unwrap()
}

async fn visit(app: &Router, request: Request<Body>) -> StatusCode {
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let _ = response.into_body().collect().await;
    status
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

fn transactions(captured: &Captured) -> Vec<Value> {
    payloads_in(&captured.envelopes(), "transaction")
}

fn events(captured: &Captured) -> Vec<Value> {
    payloads_in(&captured.envelopes(), "event")
}

fn names(captured: &Captured) -> Vec<String> {
    transactions(captured).iter().map(|found| text(&found["transaction"])).collect()
}

fn statuses(captured: &Captured) -> Vec<String> {
    transactions(captured).iter().map(|found| text(&found["contexts"]["trace"]["status"])).collect()
}

fn call(path: &str, kind: &str) -> Request<Body> {
    Request::post(path).header(CONTENT_TYPE, kind).body(Body::empty()).unwrap()
}

fn grpc_trailers(code: u16, message: &'static str) -> Response {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.to_string().parse().unwrap());
    trailers.insert("grpc-message", message.parse().unwrap());
    let frames = [Ok::<_, Infallible>(Frame::data(Bytes::from("m"))), Ok(Frame::trailers(trailers))];
    Response::builder().header(CONTENT_TYPE, "application/grpc").body(Body::new(StreamBody::new(stream::iter(frames)))).unwrap()
}

#[tokio::test]
async fn a_method_of_grpc_is_ignored_by_the_name_it_has() {
    let (client, captured) = client();
    // As tonic's `Routes::into_axum_router` has it.
    let router = || {
        Router::new()
            .route("/grpc.health.v1.Health/{*rest}", any(async || grpc_trailers(0, "")))
            .route("/shop.Orders/{*rest}", any(async || grpc_trailers(13, "broken")))
    };
    let layer = SentryLayer::new(&client).ignore(["/grpc.health.v1.Health/Check"]);
    visit(&router().layer(layer.clone()), call("/grpc.health.v1.Health/Check", "application/grpc")).await;
    visit(&Router::new().fallback_service(router()).layer(layer), call("/grpc.health.v1.Health/Check", "application/grpc")).await;
    assert_eq!(names(&captured), [""; 0], "in the router, then around it");
}

#[tokio::test]
async fn rows_below_a_nested_service_are_whole_paths() {
    let (client, captured) = client();
    let service = SentryLayer::new(&client).route("/assets/{*file}", RouteOptions::new()).layer(any(async || "file"));
    visit(&Router::new().nest_service("/assets", service), request("/assets/a.css")).await;
    assert_eq!(names(&captured), ["GET /assets/{*file}"]);
}

#[tokio::test]
async fn a_body_that_is_shorter_than_its_header_says_has_failed() {
    let (client, captured) = client();
    let layer = SentryLayer::new(&client);
    let app = Router::new()
        .route("/sized", get(async || ([(CONTENT_LENGTH, "10")], "five!")))
        .route("/empty", get(async || ([(CONTENT_LENGTH, "10")], Body::empty())))
        .route(
            "/partial",
            get(async || {
                (StatusCode::PARTIAL_CONTENT, [(CONTENT_LENGTH, "10")], Body::from_stream(stream::iter([Ok::<_, Infallible>("five!")])))
            }),
        )
        .route("/not-modified", get(async || (StatusCode::NOT_MODIFIED, [(CONTENT_LENGTH, "10")], Body::empty())))
        .route("/nothing", get(async || ([(CONTENT_LENGTH, "10")], Body::from_stream(stream::iter([Ok::<_, Infallible>("")])))))
        .layer(layer);
    let mut found = Vec::new();
    for path in ["/sized", "/empty", "/partial", "/not-modified", "/nothing"] {
        visit(&app, request(path)).await;
        found.push(format!("{path} {}", statuses(&captured).pop().unwrap()));
    }
    assert_eq!(
        found,
        ["/sized internal_error", "/empty internal_error", "/partial internal_error", "/not-modified ok", "/nothing internal_error"]
    );
}

#[tokio::test]
async fn the_scheme_of_a_websocket_is_that_of_its_request() {
    for value in ["https", "wss", "HTTPS", "https,http"] {
        let (client, captured) =
            client_with(Config::builder().traces_sample_rate(1.0).trusted_hops(if value.contains(',') { 2 } else { 1 }));
        let app = Router::new().route("/", get(async || "ok")).layer(SentryLayer::new(&client));
        let mut with = request("/");
        with.headers_mut().insert("x-forwarded-proto", value.parse().unwrap());
        visit(&app, with).await;
        let url = text(&transactions(&captured)[0]["request"]["url"]);
        assert!(!url.starts_with("http://"), "{value}: {url}");
    }
}

#[tokio::test]
async fn no_response_has_the_id_of_an_event_that_is_not_sent() {
    type Set = fn(tower_sentry::ConfigBuilder) -> tower_sentry::ConfigBuilder;
    let rows: [(&str, Set); 5] = [
        ("type", |c| c.ignore_error_types(["Error", "std::io::Error", "io::Error", "std::io::error::Error", "Custom"])),
        ("message", |c| c.ignore_error_messages(["disk"])),
        ("status", |c| c.ignore_error_statuses([500])),
        ("target", |c| c.ignore_error_targets(["it::walk15"])),
        ("sample rate", |c| c.error_sample_rate(0.0)),
    ];
    support::subscribe();
    let mut wrong = Vec::new();
    for (what, set) in rows {
        let (client, captured) = client_with(set(Config::builder().traces_sample_rate(1.0)));
        let handler = move || async move {
            if what == "target" {
                error!("the disk is full");
            } else {
                tower_sentry::capture_error(&io::Error::other("the disk is full"));
            }
            StatusCode::INTERNAL_SERVER_ERROR
        };
        let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client).event_header("x-error-id"));
        let response = app.oneshot(request("/")).await.unwrap();
        let id = response.headers().get("x-error-id").map(|id| id.to_str().unwrap().to_owned());
        drop(response);
        let sent: Vec<_> = events(&captured).iter().map(|event| text(&event["event_id"])).collect();
        if id.is_some_and(|id| !sent.contains(&id)) {
            wrong.push(what);
        }
    }
    assert_eq!(wrong, [""; 0]);
}
