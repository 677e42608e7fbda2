//! A transport of your own: envelopes over hyper instead of reqwest.
//!
//! Run it with `cargo run --example transport`, or without reqwest in the build:
//! `cargo run --example transport --no-default-features`. Without `SENTRY_DSN`, it sends to a small
//! server of its own.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use axum::Router;
use http_body_util::{BodyExt as _, Collected, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower_sentry::transport::{BoxFuture, EnvelopeRequest, Transport, TransportError, TransportResponse};
use tower_sentry::{Config, Level};

struct OverHyper {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Transport for OverHyper {
    fn send(&self, request: EnvelopeRequest) -> BoxFuture<'_, Result<TransportResponse, TransportError>> {
        Box::pin(async move {
            let request = request.into_http().ok_or_else(|| TransportError::unreachable("there is no DSN"))?;
            let response = self.client.request(request.map(Full::new)).await.map_err(|error| {
                if error.is_connect() { TransportError::unreachable(error) } else { TransportError::interrupted(error) }
            })?;
            let (head, body) = response.into_parts();
            // The server has answered, so this is not an error, even if the body breaks off.
            let body = Limited::new(body, 64 * 1024).collect().await.map(Collected::to_bytes).unwrap_or_default();
            Ok(TransportResponse::new(head.status, head.headers, body))
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let local = format!("http://0123456789abcdef0123456789abcdef@{}/1", listener.local_addr()?);
    let received = |body: Bytes| async move { println!("the server received {} bytes", body.len()) };
    tokio::spawn(axum::serve(listener, Router::new().fallback(received)).into_future());

    let dsn = std::env::var("SENTRY_DSN").unwrap_or(local);
    let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(4)).build_http();
    let sentry = Config::builder().dsn(dsn).transport(OverHyper { client }).init()?;
    tower_sentry::capture_message(Level::Info, "hello");
    sentry.shutdown(Duration::from_secs(5)).await?;
    println!("{:?}", sentry.stats().errors);
    Ok(())
}
