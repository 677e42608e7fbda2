//! A service that is moving: both SDKs record it, each for a project of its own. It prints what each of them sends.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use sentry::integrations::tower::{NewSentryLayer, SentryHttpLayer};
use tower::{ServiceBuilder, ServiceExt as _};
use tower_sentry::{Config, SentryLayer, TracingLayer};
use tracing_subscriber::prelude::*;

const DSN: &str = "http://0123456789abcdef0123456789abcdef@sentry.invalid/1";

/// Prints the type of each item, and the messages of an event.
fn print(sdk: &str, envelope: &[u8]) {
    let text = String::from_utf8_lossy(envelope);
    for failure in ["the shelf is empty", "placing the order failed", "out of paper"] {
        // Not in the lines of the source around a frame, where quotes are escaped.
        let is_of = |name: &str| text.contains(&format!(r#""{name}":"{failure}""#));
        if text.contains(r#"{"type":"event""#) && (is_of("value") || is_of("message")) {
            println!("{sdk}: event: {failure}");
        }
    }
    if text.contains(r#"{"type":"transaction""#) {
        println!("{sdk}: transaction");
    }
}

struct Official;

impl sentry::Transport for Official {
    fn send_envelope(&self, envelope: sentry::Envelope) {
        let mut bytes = Vec::new();
        if envelope.to_writer(&mut bytes).is_ok() {
            print("sentry", &bytes);
        }
    }
}

async fn handle(request: Request<String>) -> Result<Response<String>, std::io::Error> {
    match request.uri().path() {
        "/logged" => tracing::error!("placing the order failed"),
        "/captured" => {
            let error = std::io::Error::other("out of paper");
            // As long as both record this route, each has its own call.
            sentry::capture_error(&error);
            tower_sentry::capture_error(&error);
        }
        _ => panic!("the shelf is empty"),
    }
    Ok(Response::new(String::new()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The official SDK first: each panic hook calls the one before it.
    let _guard = sentry::init(sentry::ClientOptions::new().dsn(DSN).traces_sample_rate(1.0).transport(Arc::new(Official)));
    let ours = Config::builder().traces_sample_rate(1.0).transport(|envelope: &[u8]| print("tower-sentry", envelope)).init()?;
    tracing_subscriber::registry().with(sentry::integrations::tracing::ErrorLayer::new()).with(TracingLayer::new(&ours)).init();

    let service = ServiceBuilder::new()
        .layer(NewSentryLayer::new_from_top())
        .layer(SentryHttpLayer::new().enable_transaction())
        .layer(SentryLayer::new(&ours))
        .service(tower::service_fn(handle));
    for path in ["/logged", "/captured", "/crash"] {
        let request = Request::get(path).body(String::new())?;
        // In a task, as a server runs a request: a panic ends the task alone.
        let _ = tokio::spawn(service.clone().oneshot(request)).await;
    }
    ours.shutdown(Duration::from_secs(60)).await?;
    Ok(())
}
