//! A thousand routes on a Zipf curve, once with a fixed rate and once with a target: `cargo bench --features test --bench sampler -- skewed`.
//!
//! Ten thousand jobs a second for five minutes, on a clock that is moved by hand. The number that is sent, the routes that no
//! minute shows, and how far estimates are off. Fails if the target is missed by more than 1 %, or if a minute misses a route.
#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a program for developers"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tower_sentry::sampling::TracesTarget;
use tower_sentry::test::HandClock;
use tower_sentry::{Client, Config, ConfigBuilder};

const ROUTES: usize = 1000;
const MINUTES: u64 = 5;
const A_SECOND: u64 = 10_000;
const TARGET: f64 = 100.0;

/// The name and the rate of each transaction of an envelope.
fn transactions(envelope: &[u8]) -> Vec<(String, f64)> {
    let lines = envelope.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let payloads = lines.filter(|line| line["type"] == "transaction" && line["transaction"].is_string());
    let read = |line: Value| {
        let rate = line["contexts"]["trace"]["data"]["sentry.sample_rate"].as_f64().unwrap();
        (line["transaction"].as_str().unwrap().to_owned(), rate)
    };
    payloads.map(read).collect()
}

/// Runs all jobs, and prints a row. Returns how far the target is missed, and how many routes a minute misses.
fn run(name: &str, config: ConfigBuilder) -> (f64, usize) {
    let clock = HandClock::start();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let transport = move |envelope: &[u8]| sink.lock().unwrap().extend(transactions(envelope));
    let client = Client::from(config.transport(transport).panic_hook(false).backpressure(false).build().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let names: Vec<_> = (1..=ROUTES).map(|route| format!("route {route}")).collect();
    let shares: Vec<_> = (1..=ROUTES).scan(0.0, |sum, route| Some(*sum + 1.0 / route as f64).inspect(|next| *sum = *next)).collect();
    let mut random = fastrand::Rng::with_seed(1);
    let (mut sent, mut estimates, mut truth) = (0, HashMap::<String, f64>::new(), vec![0_u64; ROUTES]);
    let mut unseen = 0;
    for _ in 0..MINUTES {
        let mut in_minute = HashMap::<String, u64>::new();
        for _ in 0..60 {
            for _ in 0..A_SECOND / 100 {
                for _ in 0..100 {
                    let at = random.f64() * shares.last().unwrap();
                    let route = shares.partition_point(|share| *share < at);
                    truth[route] += 1;
                    runtime.block_on(client.transaction(names[route].clone()).run_infallible(async {}));
                }
                clock.advance(Duration::from_nanos(1_000_000_000 / (A_SECOND / 100)));
            }
            runtime.block_on(client.flush(Duration::from_secs(60))).unwrap();
            for (name, rate) in seen.lock().unwrap().drain(..) {
                sent += 1;
                *estimates.entry(name.clone()).or_default() += 1.0 / rate;
                *in_minute.entry(name).or_default() += 1;
            }
        }
        unseen = unseen.max(ROUTES - in_minute.len());
    }
    let whole = estimates.values().sum::<f64>() / truth.iter().sum::<u64>() as f64 - 1.0;
    let off = |route: usize| (estimates.get(&names[route]).copied().unwrap_or_default() / truth[route] as f64 - 1.0).abs();
    let mut errors: Vec<_> = (0..ROUTES).map(off).collect();
    errors.sort_by(f64::total_cmp);
    let missed = f64::from(sent) / (TARGET * 60.0 * MINUTES as f64) - 1.0;
    println!("| {name} | {sent} ({:+.2} %) | {unseen} | {:+.1} % | {:.0} % |", missed * 100.0, whole * 100.0, errors[ROUTES / 2] * 100.0);
    (missed.abs(), unseen)
}

fn main() {
    println!(
        "| setting | sent in {MINUTES} minutes | routes unseen in the worst minute | all requests, estimated | median route, estimated |"
    );
    println!("|---|---|---|---|---|");
    let fixed = TARGET / A_SECOND as f64;
    run(&format!("`traces_sample_rate({fixed})`"), Config::builder().traces_sample_rate(fixed));
    let target = Config::builder().traces_target(TracesTarget::per_second(TARGET));
    let (missed, unseen) = run(&format!("`traces_target`: {TARGET} a second"), target);
    if missed > 0.01 || unseen > 0 {
        println!("MISSED: the target within 1 %, and each route in each minute");
        std::process::exit(1);
    }
}
