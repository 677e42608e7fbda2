//! Spans beyond the request: outgoing requests, a queue, a worker and a cron job.
//!
//! A service calls another one and queues a job, which a worker takes. All this is one trace; the
//! cron job has its own. `cargo run --example worker` prints the recorded data, or sends it if
//! `SENTRY_DSN` is set.

use std::collections::HashMap;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::{get, post};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;
use tower::{Service as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_sentry::job::{JobInfo, JobLayer};
use tower_sentry::outgoing::OutgoingLayer;
use tower_sentry::protocol::Monitor;
use tower_sentry::{Config, Scope, SentryLayer, TracingLayer, cache};
use tracing_subscriber::prelude::*;

struct Email {
    id: u64,
    attempt: u32,
    headers: HashMap<String, String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let is_sent = std::env::var("SENTRY_DSN").is_ok_and(|dsn| !dsn.is_empty());
    let config = Config::builder().from_env().traces_sample_rate(1.0).console(!is_sent);
    // No host receives trace headers unless it is listed.
    let sentry = config.trace_propagation_targets(["127.0.0.1"]).init()?;
    tracing_subscriber::registry().with(TracingLayer::new(&sentry)).init();

    // The other service, the queue, and the shop that uses both.
    let stock = serve(Router::new().route("/items/{id}", get(|| async { "12" })).layer(SentryLayer::new(&sentry))).await?;
    let (queue, mut jobs) = mpsc::unbounded_channel();
    let http = ServiceBuilder::new().layer(OutgoingLayer::new()).service(HttpClient::builder(TokioExecutor::new()).build_http::<Body>());
    let order = move |Path(item): Path<u64>| order(item, stock, http.clone(), queue.clone());
    let shop = Router::new().route("/orders/{item}", post(order)).layer(SentryLayer::new(&sentry));
    drop(shop.oneshot(axum::extract::Request::post("/orders/7").body(Body::empty())?).await?);

    // The worker: a transaction for each job. Only the last attempt reports its errors as events.
    let describe = |job: &Email| JobInfo::new("email.send").queue("mail").id(job.id).attempt(job.attempt, 3).continue_trace(&job.headers);
    let layer = JobLayer::new(&sentry, describe).report_last_attempt_only();
    let mut worker = ServiceBuilder::new().layer(layer).service(service_fn(send));
    if let Some(mut job) = jobs.recv().await {
        for attempt in 1..=3 {
            job = Email { attempt, ..job };
            let again = Email { headers: job.headers.clone(), ..job };
            let _ = worker.ready().await?.call(again).await;
        }
    }

    // A cron job: the server raises an issue if a run is missed, takes too long or fails.
    let schedule = Monitor::crontab("5 2 * * *").max_runtime(30);
    sentry.transaction("nightly-report").op("cron").run(sentry.check_in("nightly-report", schedule).run(report())).await;
    sentry.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}

async fn serve(app: Router) -> std::io::Result<std::net::SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

#[tracing::instrument(skip_all, fields(item))]
async fn order<C>(item: u64, stock: std::net::SocketAddr, mut http: C, queue: mpsc::UnboundedSender<Email>) -> &'static str
where
    C: tower::Service<http::Request<Body>, Response = http::Response<hyper::body::Incoming>>,
{
    if cache::get("price:7", async { None::<u32> }).await.is_none() {
        tower_sentry::span("db.query", "SELECT price FROM items WHERE id = 7", tokio::task::yield_now()).await;
    }
    let request = http::Request::get(format!("http://{stock}/items/{item}?token=secret")).body(Body::empty());
    if let Ok(request) = request {
        drop(http.call(request).await);
    }
    let publish = async {
        let mut job = Email { id: item, attempt: 1, headers: HashMap::new() };
        // The worker's transaction continues this trace, below this span.
        Scope::current().inject(&mut job.headers);
        drop(queue.send(job));
    };
    tower_sentry::span("queue.publish", "mail", publish).attribute("messaging.destination.name", "mail").await;
    "ordered"
}

async fn send(job: Email) -> Result<(), std::io::Error> {
    Scope::current().set_tag("template", "receipt");
    tower_sentry::span("smtp", "deliver", tokio::task::yield_now()).await;
    if job.attempt < 3 {
        Err(std::io::Error::other("the mail server is busy"))
    } else {
        Err(std::io::Error::other("the mail server is gone"))
    }
}

async fn report() {
    tower_sentry::span("db.query", "SELECT count(*) FROM orders WHERE day = '2026-11-20'", tokio::task::yield_now()).await;
}
