//! Every situation on the guide's page about requests, as a server to call from outside.
//!
//! Run `cargo run --example situations`, then `curl http://127.0.0.1:3001/users/7`. It sends to
//! `SENTRY_DSN`, or prints to the console. Stop it with Ctrl-C.
#![expect(clippy::panic, reason = "some handlers fail on purpose")]

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::error_handling::HandleErrorLayer;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::stream::{self, StreamExt as _};
use hyper::body::Frame;
use tower::{Layer as _, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::services::ServeDir;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tower_sentry::incoming::{RouteNameLayer, RouteOptions};
use tower_sentry::{Config, SentryLayer, TracingLayer};
use tracing_subscriber::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let is_sent = std::env::var("SENTRY_DSN").is_ok_and(|dsn| !dsn.is_empty());
    let sentry = Config::builder().from_env().release(tower_sentry::release!()).traces_sample_rate(1.0).console(!is_sent).init()?;
    tracing_subscriber::registry().with(TracingLayer::new(&sentry)).init();

    let shed = HandleErrorLayer::new(|_: tower::BoxError| async { StatusCode::SERVICE_UNAVAILABLE });
    let app = Router::new()
        .route("/users/{id}", get(|| async { "Jane" }))
        .nest("/api", Router::new().route("/items/{item}", get(|| async { "a chair" })))
        .nest_service("/files", ServeDir::new("examples"))
        .route("/status/{code}", get(status))
        .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
        .route("/stream", get(|| async { Body::from_stream(stream::iter([Ok::<_, Infallible>("one "), Ok("two "), Ok("three")])) }))
        .route("/endless", get(|| async { Body::from_stream(stream::iter([Ok::<_, Infallible>("first")]).chain(stream::pending())) }))
        .route("/broken", get(|| async { Body::from_stream(stream::iter([Ok("half"), Err(std::io::Error::other("the disk is gone"))])) }))
        .route("/never", get(|| async { std::future::pending::<()>().await }))
        .route("/late", get(|| async { std::future::pending::<()>().await }).layer(late()))
        .route("/crash", get(crash))
        .route("/caught", get(crash).layer(CatchPanicLayer::new()))
        .route("/grpc", get(grpc))
        .layer(ServiceBuilder::new().layer(shed).load_shed().buffer::<axum::extract::Request>(64))
        .layer(CompressionLayer::new())
        .layer(TraceLayer::new_for_http())
        .route_layer(RouteNameLayer);
    // This layer wraps the whole router. `RouteNameLayer` inside provides the route templates;
    // `/files` has none and is named here.
    let layer = SentryLayer::new(&sentry).route("/files/{*path}", RouteOptions::new()).trace_header("x-trace-id").boxed_body();
    let service = Router::new().fallback_service(layer.layer(app)).layer(CatchPanicLayer::new());

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3001").await?;
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, service).with_graceful_shutdown(stop).await?;
    sentry.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}

fn late() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_millis(50))
}

async fn status(Path(code): Path<u16>) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST)
}

async fn crash() -> &'static str {
    panic!("on purpose")
}

/// A gRPC call that fails in its trailers, with the HTTP status 200.
async fn grpc() -> Response {
    let trailers = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static("5"))]);
    let frames = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from("message"))), Ok(Frame::trailers(trailers))]);
    ([("content-type", "application/grpc+proto")], Body::new(http_body_util::StreamBody::new(frames))).into_response()
}
