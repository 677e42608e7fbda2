//! How the service ends: requests are answered, jobs are done, and what they recorded arrives. And its limits before that.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tower_sentry::Preset;

use crate::program::in_environment;
use crate::support::{PATIENCE, Receiver, Scene, donation, send};

const CHECKPOINTS: &str = "/api/v1/checkpoints";
const WEBHOOKS: &str = "/api/v1/webhooks/stripe";

/// A stand-in that answers only when it may.
struct Held {
    address: String,
    asked: mpsc::UnboundedReceiver<()>,
    allowed: Arc<Semaphore>,
}

impl Held {
    async fn start() -> Self {
        let (calls, asked) = mpsc::unbounded_channel();
        let allowed = Arc::new(Semaphore::new(0));
        let may = Arc::clone(&allowed);
        let answer = move || {
            let may = Arc::clone(&may);
            calls.send(()).unwrap();
            async move {
                may.acquire().await.unwrap().forget();
                Json(json!({ "id": "ch_1", "status": "succeeded" }))
            }
        };
        let routes = Router::new()
            .route("/{provider}/charges", post(answer.clone()))
            .route("/{provider}/charges/{id}", get(answer.clone()))
            .route("/checkpoints/{root}", put(answer));
        Self { address: amply::stand_in::serve(routes).await.unwrap(), asked, allowed }
    }

    /// Waits until the next request is there.
    async fn is_asked(&mut self) {
        tokio::time::timeout(PATIENCE, self.asked.recv()).await.expect("a request").unwrap();
    }
}

/// The names and statuses of the transactions, in order.
fn ends(receiver: &Receiver) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let transactions = receiver.transactions();
    let mut ends: Vec<_> =
        transactions.iter().map(|item| (text(&item["transaction"]), text(&item["contexts"]["trace"]["status"]))).collect();
    ends.sort();
    ends
}

/// The names of the events, and what they say, in order.
fn lost(receiver: &Receiver) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let events = receiver.events();
    let mut lost: Vec<_> =
        events.iter().map(|event| (text(&event["transaction"]), text(&event["exception"]["values"][0]["value"]))).collect();
    lost.sort();
    lost
}

fn end(name: &str, status: &str) -> (String, String) {
    (name.to_owned(), status.to_owned())
}

/// A connection that has had an answer, and could have another one. What it asked for is not recorded.
async fn idle_connection(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /static/sentry.js HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"window.Sentry={}") {
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut answer)).await.expect("an answer").unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
    }
    stream
}

#[tokio::test]
async fn requests_and_jobs_that_run_are_done_before_the_end() {
    let mut held = Held::start().await;
    let Scene { amply, backend, .. } = Scene::with(Preset::Staging, held.address.clone()).await;
    let address = amply.address();
    let body = donation("stripe", "10").to_string();
    let mut idle = idle_connection(address).await;

    let donating = tokio::spawn(async move { send(address, Method::POST, "/api/v1/donations", &[], body.as_bytes()).await });
    held.is_asked().await;
    send(address, Method::POST, CHECKPOINTS, &[], b"").await;
    held.is_asked().await;
    let ending = tokio::spawn(amply.shutdown());
    // It closes the connections that wait for another request, so its end has begun.
    let closed = tokio::time::timeout(PATIENCE, idle.read(&mut [0])).await.expect("the end of the connection");
    assert_eq!(closed.unwrap(), 0);
    // The donation first. Then only the checkpoint is left, and there is time to forget it.
    held.allowed.add_permits(1);
    assert_eq!(donating.await.unwrap().0, StatusCode::CREATED);
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    held.allowed.add_permits(1);

    tokio::time::timeout(PATIENCE, ending).await.expect("an end in time").unwrap().unwrap();
    let expected = [end("amply::checkpoint::create", "ok"), end("amply::donations::create", "ok"), end("generate_checkpoint", "ok")];
    assert_eq!(ends(&backend), expected);
}

#[tokio::test]
async fn what_never_ends_is_given_up_and_recorded_as_cancelled() {
    let mut held = Held::start().await;
    let scene = Scene::changed(Preset::Staging, held.address.clone(), |settings| settings.grace = Duration::ZERO).await;
    let Scene { amply, backend, .. } = scene;
    let address = amply.address();
    let body = donation("stripe", "10").to_string();
    send(address, Method::POST, CHECKPOINTS, &[], b"").await;
    held.is_asked().await;
    let donating = tokio::spawn(async move { send(address, Method::POST, "/api/v1/donations", &[], body.as_bytes()).await });
    held.is_asked().await;

    tokio::time::timeout(PATIENCE, amply.shutdown()).await.expect("an end in time").unwrap();

    assert_eq!(donating.await.unwrap().0, StatusCode::SERVICE_UNAVAILABLE);
    for name in ["amply::donations::create", "generate_checkpoint"] {
        assert!(ends(&backend).contains(&end(name, "cancelled")), "{:?}", ends(&backend));
    }
    assert_eq!(lost(&backend), [end("generate_checkpoint", "the service ended before this job was done")]);
}

#[tokio::test]
async fn a_job_that_did_not_begin_before_the_end_is_an_event() {
    let mut held = Held::start().await;
    let change = |settings: &mut amply::monitoring::Settings| (settings.grace, settings.most_jobs) = (Duration::ZERO, 1);
    let Scene { amply, backend, .. } = Scene::changed(Preset::Staging, held.address.clone(), change).await;
    send(amply.address(), Method::POST, CHECKPOINTS, &[], b"").await;
    held.is_asked().await;
    send(amply.address(), Method::POST, WEBHOOKS, &[], br#"{"webhook_id":"wh_1","charge":"ch_1"}"#).await;

    tokio::time::timeout(PATIENCE, amply.shutdown()).await.expect("an end in time").unwrap();

    let cut_off = end("generate_checkpoint", "the service ended before this job was done");
    assert_eq!(lost(&backend), [cut_off, end("process_webhook", "the service ended before this job began")]);
}

#[tokio::test]
async fn a_webhook_that_waits_for_its_next_attempt_has_its_last_one_at_the_end() {
    let hour = Duration::from_secs(3600);
    let stand_in = amply::stand_in::start().await.unwrap();
    let Scene { amply, backend, .. } = Scene::changed(Preset::Staging, stand_in, |settings| settings.retry_after = hour).await;
    send(amply.address(), Method::POST, WEBHOOKS, &[], br#"{"webhook_id":"wh_1","charge":"ch_unknown"}"#).await;
    // The request and the first attempt.
    backend.wait_for("transaction", 2).await;

    tokio::time::timeout(PATIENCE, amply.shutdown()).await.expect("an end in time").unwrap();

    let events = backend.events();
    let attempts: Vec<_> = events.iter().map(|event| (&event["transaction"], &event["tags"]["job.attempt"])).collect();
    assert_eq!(attempts, [(&json!("process_webhook"), &json!("2"))]);
}

#[tokio::test]
async fn more_jobs_than_there_is_room_for_are_refused_until_one_is_done() {
    let mut held = Held::start().await;
    let scene = Scene::changed(Preset::Staging, held.address.clone(), |settings| settings.most_jobs = 1).await;
    let webhook = async || scene.send(Method::POST, WEBHOOKS, &[], r#"{"webhook_id":"wh_1","charge":"ch_1"}"#).await.0;

    let runs = webhook().await;
    held.is_asked().await;
    let waits = webhook().await;
    let refused = [webhook().await, scene.send(Method::POST, CHECKPOINTS, &[], "").await.0];
    held.allowed.add_permits(1);
    held.is_asked().await;
    let later = webhook().await;

    assert_eq!([runs, waits, later], [StatusCode::ACCEPTED; 3]);
    assert_eq!(refused, [StatusCode::SERVICE_UNAVAILABLE; 2]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_counts_before_anything_waits_for_it() {
    let stop = amply::serve::stop_signal().unwrap();

    assert!(Command::new("kill").arg(std::process::id().to_string()).status().unwrap().success());

    tokio::time::timeout(PATIENCE, stop).await.expect("the signal");
}

#[cfg(unix)]
#[test]
fn the_program_ends_in_order_after_sigterm() {
    let receiver = Receiver::start('e');
    let mut command = Command::new(env!("CARGO_BIN_EXE_amply"));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = in_environment(command, &[("SENTRY_DSN", &receiver.dsn), ("ENVIRONMENT", "staging")]).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let serving =
        lines.find_map(|line| line.unwrap().strip_prefix("Serving http://")?.split_once('/').map(|(address, _)| address.to_owned()));
    let address = serving.unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (status, _) = runtime.block_on(send(address, Method::GET, "/api/v1/organisations/10", &[], b""));

    assert!(Command::new("kill").arg(process.id().to_string()).status().unwrap().success());
    let ended = process.wait().unwrap();

    assert!(status == StatusCode::OK && ended.success(), "{ended}");
    let has = |item: &Value| item["request"]["url"].as_str().is_some_and(|url| url.ends_with("/organisations/10"));
    assert!(receiver.transactions().iter().any(has), "what was recorded last has arrived");
}
