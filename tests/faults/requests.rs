//! What requests feel of a server, be it well or not.

use std::hash::{DefaultHasher, Hasher as _};
use std::hint::black_box;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::get;
use tower::ServiceExt as _;
use tower_sentry::SentryLayer;

use super::server::{Behaviour, FaultServer};
use super::{Row, config, errors, memory, row, wait};

const PAIRS: u32 = 20;
const REQUESTS: u32 = 200;

/// As much work as `rounds` say. Every tenth request fails.
fn service(rounds: u32) -> Router {
    let handler = async move |request: Request| {
        work(rounds);
        if request.uri().query() == Some("n=0") { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
    };
    Router::new().route("/", get(handler))
}

fn work(rounds: u32) {
    let mut hasher = DefaultHasher::new();
    (0..rounds).for_each(|round| hasher.write_u32(black_box(round)));
    black_box(hasher.finish());
}

/// The rounds that take a millisecond.
fn rounds_of_a_millisecond() -> u32 {
    let mut rounds = 1000;
    loop {
        let begun = Instant::now();
        work(rounds);
        if begun.elapsed() >= Duration::from_millis(1) {
            return rounds;
        }
        rounds += rounds / 20;
    }
}

async fn ask(service: &Router, times: &mut Vec<Duration>) {
    for number in 0..REQUESTS {
        let request = Request::builder().uri(format!("/?n={}", number % 10)).body(Body::empty()).unwrap();
        let begun = Instant::now();
        let response = service.clone().oneshot(request).await.unwrap();
        // The body ends the transaction.
        drop(black_box(response));
        times.push(begun.elapsed());
    }
}

/// The ratio of two medians, or of two 99th percentiles.
fn ratio(ours: &mut [Duration], bare: &mut [Duration], percentile: usize) -> f64 {
    let of = |times: &mut [Duration]| {
        times.sort_unstable();
        times[times.len() * percentile / 100].as_secs_f64()
    };
    of(ours) / of(bare)
}

pub fn beside_a_well_server() -> Row {
    beside("requests of 1 ms beside a well server", &FaultServer::start(Behaviour::default()))
}

pub fn beside_a_black_hole() -> Row {
    beside("requests of 1 ms beside a black hole", &FaultServer::start(Behaviour { hangs: 1.0, ..Behaviour::default() }))
}

pub fn beside_one_bad_backend() -> Row {
    beside("requests of 1 ms beside one bad backend", &FaultServer::start(Behaviour { hangs: 0.2, ..Behaviour::default() }))
}

pub fn beside_resets() -> Row {
    beside("requests of 1 ms beside 50 % resets", &FaultServer::start(Behaviour { resets: 0.5, ..Behaviour::default() }))
}

pub fn in_an_outage() -> Row {
    let server = FaultServer::start(Behaviour::default());
    server.go_away();
    beside("requests of 1 ms in an outage", &server)
}

/// Requests of a millisecond, with and without the layer in turns.
fn beside(name: &'static str, server: &FaultServer) -> Row {
    let sentry = config(server).init().unwrap();
    let bare = service(rounds_of_a_millisecond());
    let ours = bare.clone().layer(SentryLayer::new(&sentry));
    let (mut with, mut without, mut warm) = (Vec::new(), Vec::new(), Vec::new());
    let grown = wait(async {
        for _ in 0..5 {
            ask(&ours, &mut warm).await;
        }
        let before = memory();
        for _ in 0..PAIRS {
            ask(&bare, &mut without).await;
            ask(&ours, &mut with).await;
        }
        memory() - before
    });
    let (half, most) = (ratio(&mut with, &mut without, 50), ratio(&mut with, &mut without, 99));
    let slope = grown * 1000.0 / f64::from(PAIRS * REQUESTS);
    let row = row(name, &sentry, server, errors);
    Row {
        figures: format!("p50 x{half:.3}, p99 x{most:.3} of no layer, {slope:+.2} MiB in 1,000 requests"),
        goal: "p50 x1.2 at most, on an idle machine x1.02; no more than +0.5 MiB",
        is_met: half <= 1.2 && slope <= 0.5 && (!server.is_there() || row.delivered > 0),
        ..row
    }
}
