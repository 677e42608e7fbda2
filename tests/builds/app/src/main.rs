//! Fails in every way, and prints the events that it would send, one a line.

use std::fmt;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::routing::get;
use tower::ServiceExt as _;
use tower_sentry::{CaptureError, Config, SentryLayer};

#[derive(Debug)]
struct OrderError(u32);

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order {} could not be placed", self.0)
    }
}

impl std::error::Error for OrderError {}

async fn panic_a(Path(id): Path<u32>) -> StatusCode {
    panic!("shelf {id} is empty")
}

async fn panic_b(Path(id): Path<u32>) -> StatusCode {
    tokio::task::yield_now().await;
    let shelves: Vec<u32> = Vec::new();
    let first = shelves.first().map(|shelf| shelf + id).expect("a shelf");
    StatusCode::from_u16(first.try_into().unwrap_or_default()).unwrap_or_default()
}

async fn captured_a(Path(id): Path<u32>) {
    tower_sentry::capture_error(&OrderError(id));
}

async fn captured_b(Path(id): Path<u32>) {
    tokio::task::yield_now().await;
    tower_sentry::capture_error(&OrderError(id));
}

async fn returned_a(Path(id): Path<u32>) -> (StatusCode, CaptureError) {
    (StatusCode::BAD_GATEWAY, CaptureError::new(OrderError(id)))
}

async fn returned_b(Path(id): Path<u32>) -> (StatusCode, CaptureError) {
    (StatusCode::BAD_GATEWAY, CaptureError::new(OrderError(id)))
}

async fn cart(Path(id): Path<u32>) -> String {
    cart::load(id).to_string()
}

/// Fails inside a crate of others, which names its own place.
async fn library(Path(id): Path<usize>) -> String {
    smallvec::SmallVec::<[u8; 4]>::new().remove(id).to_string()
}

async fn anyhow_a(Path(id): Path<u32>) -> Result<(), CaptureError> {
    let read: anyhow::Result<()> = Err(anyhow::Error::new(OrderError(id)));
    Ok(read?)
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let print = |envelope: &[u8]| {
        let lines = envelope.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
        for event in lines.filter(|line| line.get("exception").is_some()) {
            println!("{event}");
        }
    };
    let is_trimmed = std::env::var_os("UNTRIMMED").is_none();
    let sentry = Config::builder().traces_sample_rate(0.0).trim_backtraces(is_trimmed).transport(print).init().unwrap();
    let app = Router::new()
        .route("/panic-a/{id}", get(panic_a))
        .route("/panic-b/{id}", get(panic_b))
        .route(
            "/panic-closure/{id}",
            get(|Path(id): Path<u32>| async move {
                if id < 1_000 {
                    panic!("in a closure")
                }
            }),
        )
        .route("/captured-a/{id}", get(captured_a))
        .route("/captured-b/{id}", get(captured_b))
        .route("/returned-a/{id}", get(returned_a))
        .route("/returned-b/{id}", get(returned_b))
        .route("/cart/{id}", get(cart))
        .route("/library/{id}", get(library))
        .route("/anyhow-a/{id}", get(anyhow_a))
        .layer(SentryLayer::new(&sentry));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for path in std::env::args().skip(1) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        // A task catches the panic, as a server does.
        let answer = runtime.block_on(runtime.spawn(app.clone().oneshot(request)));
        drop(answer);
    }
    drop(sentry);
}
