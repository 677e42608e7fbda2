//! Each mistake is marked with the words that the compiler must say at it.

use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use tower_sentry::job::{JobInfo, JobLayer};
use tower_sentry::{CaptureError, Client, ResultExt as _};

/// Not an error of the standard library's trait.
struct Refusal;

fn main() {
    // says: `Refusal` is not an error that can be captured
    // says: call `CaptureError::from_message::<Type>(text)`
    CaptureError::new(Refusal);
    tower_sentry::capture_error(&Refusal);
    // says: `Result<(), Refusal>` does not say whether the work failed
    let _ = Err::<(), _>(Refusal).capture();
}

async fn spans() {
    // says: is not a future, so `span` cannot record it
    // says: call `span_sync(op, description, || ..)`
    tower_sentry::span("db", "x", || 7);
}

fn jobs(sentry: &Client) {
    let service =
        JobLayer::new(sentry, |_: &u8| JobInfo::new("mail")).layer(service_fn(|_: u8| async { Err::<(), _>(anyhow::anyhow!("no")) }));
    // says: a `JobLayer` needs `.boxed_errors()`
    is_service(service);
}

fn is_service(service: impl Service<u8>) {
    let _ = service.map_response(|_| ());
}

async fn results(sentry: &Client) {
    // says: call `run_infallible` instead of `run`
    sentry.transaction("count").run(async { 7 }).await;
}

/// These are no mistakes any more.
fn well(error: anyhow::Error) {
    tower_sentry::capture_error(&error);
    CaptureError::new(error);
}
