//! A small service with most features on, which records a short tour of requests.
//!
//! `cargo run --example quickstart` serves on 127.0.0.1:3000 and prints the tour to the console. It
//! then continues to serve until Ctrl-C; with `-- --once` it ends after the tour. If `SENTRY_DSN`
//! is set, it sends to that server instead.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "an example talks to its reader, and one handler panics on purpose")]

use std::fmt;
use std::time::Duration;

use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;
use tower_sentry::incoming::RouteOptions;
use tower_sentry::{CaptureError, Client, Config, Scope, SentryLayer, SpanLayer, TracingLayer, User};
use tracing::{info, instrument};
use tracing_subscriber::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let is_sent = std::env::var("SENTRY_DSN").is_ok_and(|dsn| !dsn.is_empty());
    let sentry = Config::builder()
        .from_env()
        .release(tower_sentry::release!())
        .traces_sample_rate(1.0)
        .tag("tour", "quickstart")
        .console(!is_sent)
        .init()?;
    tracing_subscriber::registry().with(TracingLayer::new(&sentry)).init();

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let address = listener.local_addr()?;
    let once = std::env::args().any(|argument| argument == "--once");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, app(&sentry)).with_graceful_shutdown(async {
        // An error means that the sender was dropped, which also means "stop".
        let _ = stopped.await;
    });
    let serving = tokio::spawn(server.into_future());

    tour::send_all(address, &sentry).await?;
    if !once {
        println!("serving on http://{address} until Ctrl-C");
        tokio::signal::ctrl_c().await?;
    }
    drop(stop);
    serving.await??;
    sentry.shutdown(Duration::from_secs(5)).await?;
    if is_sent {
        println!("sent: {:?}", sentry.stats());
    }
    Ok(())
}

fn app(sentry: &Client) -> Router {
    Router::new()
        .route("/users/{id}", get(show_user))
        .route("/reports/{year}", get(slow_report))
        .route("/orders/{id}", get(place_order))
        .route("/crash", get(crash))
        .route("/healthz", get(|| async { "ok" }))
        .layer(SpanLayer::new("auth", from_fn(auth)).op("auth"))
        .layer(SpanLayer::new("middleware.cors", CorsLayer::permissive()))
        .layer(CatchPanicLayer::new())
        .layer(SentryLayer::new(sentry).route("/healthz", RouteOptions::new().sample_rate(0.0)))
}

async fn auth(scope: Scope, request: Request, next: Next) -> Result<Response, StatusCode> {
    let account = authenticate(request.headers().get("authorization").and_then(|value| value.to_str().ok())).await;
    let account = account.ok_or(StatusCode::UNAUTHORIZED)?;
    scope.set_user(User::id(account)).set_tag("plan", "gold");
    Ok(next.run(request).await)
}

#[instrument(skip_all, fields(sentry.op = "auth"))]
async fn authenticate(header: Option<&str>) -> Option<u32> {
    tokio::time::sleep(Duration::from_millis(2)).await;
    header.map(|_| 42)
}

#[instrument]
async fn show_user(Path(id): Path<u32>) -> Json<String> {
    Json(load_name(id).await)
}

#[instrument(fields(db.system.name = "postgresql", db.query.text = "SELECT name FROM users WHERE id = $1"))]
async fn load_name(id: u32) -> String {
    tokio::time::sleep(Duration::from_millis(8)).await;
    info!(rows = 1, "user loaded");
    format!("user {id}")
}

#[instrument]
async fn slow_report(Path(year): Path<u16>) -> String {
    tokio::time::sleep(Duration::from_millis(250)).await;
    format!("report of {year}")
}

#[instrument]
async fn place_order(Path(id): Path<u32>) -> Result<String, OrderError> {
    info!(order = id, "charging");
    let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
    Err(OrderError { order: id, source: PaymentError { source: refused } })
}

#[instrument]
async fn crash() -> &'static str {
    let stock: [u32; 0] = [];
    let missing = stock.first().copied();
    missing.map(|_| "never").expect("the shelf is empty")
}

#[derive(Debug)]
struct OrderError {
    order: u32,
    source: PaymentError,
}

#[derive(Debug)]
struct PaymentError {
    source: std::io::Error,
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order {} could not be placed", self.order)
    }
}

impl fmt::Display for PaymentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the payment service did not answer")
    }
}

impl std::error::Error for OrderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl std::error::Error for PaymentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl IntoResponse for OrderError {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, CaptureError::new(self)).into_response()
    }
}

/// Sends requests with realistic credentials in headers and query, from an uninstrumented client.
mod tour {
    use std::net::SocketAddr;
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use hyper_util::rt::TokioIo;
    use tower_sentry::Client;

    const TARGETS: [&str; 6] = [
        "/users/7?tab=orders&api_key=sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "/reports/2026",
        "/orders/7?token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.dBjftJeZ4CVPmB92K27u",
        "/crash",
        "/nowhere/4711",
        "/healthz",
    ];

    pub(super) async fn send_all(address: SocketAddr, sentry: &Client) -> Result<(), Box<dyn std::error::Error>> {
        for target in TARGETS {
            let stream = tokio::net::TcpStream::connect(address).await?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            let request = Request::get(target)
                .header("host", "127.0.0.1:3000")
                .header("authorization", "Bearer c2VjcmV0LWJlYXJlci10b2tlbg")
                .header("x-api-key", "live-key-93c1e7a2")
                .header("cookie", "session=8f14e45fceea167a")
                .header("user-agent", "tour/1.0")
                .body(Body::empty())?;
            let response = sender.send_request(request).await?;
            response.into_body().collect().await?;
            // One after the other, so that the output is in the order of the requests.
            sentry.flush(Duration::from_secs(5)).await?;
        }
        Ok(())
    }
}
