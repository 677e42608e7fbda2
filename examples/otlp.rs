//! The same spans in Sentry and in an OpenTelemetry collector.
//!
//! `cargo run --example otlp --features otlp` sends two requests to the project of `SENTRY_DSN` and to the collector at
//! `OTEL_EXPORTER_OTLP_ENDPOINT` (`http://localhost:4318` if it is not set).
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::routing::get;
use tower::ServiceExt as _;
use tower_sentry::otlp::Otlp;
use tower_sentry::{Config, SentryLayer, TracingLayer};
use tracing_subscriber::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::builder().from_env().release(tower_sentry::release!()).traces_sample_rate(1.0);
    let sentry = config.otlp(Otlp::from_env().service_name("shop")).init()?;
    tracing_subscriber::registry().with(TracingLayer::new(&sentry)).init();

    let app = Router::new().route("/orders/{id}", get(order)).layer(SentryLayer::new(&sentry));
    for path in ["/orders/7?api_key=live-key-93c1e7a2", "/orders/0"] {
        let response = app.clone().oneshot(Request::get(path).header("user-agent", "curl/8").body(Body::empty())?).await?;
        println!("{path}: {}", response.status());
    }

    sentry.shutdown(Duration::from_secs(10)).await?;
    let spans = sentry.stats().otlp;
    println!("spans that the collector took: {} of {}", spans.sent, spans.captured);
    Ok(())
}

#[tracing::instrument(fields(card = "4111 1111 1111 1111"))]
async fn order(Path(id): Path<u32>) -> StatusCode {
    tower_sentry::span("db.query", "SELECT * FROM orders WHERE id = $1", async {}).await;
    if id == 0 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}
