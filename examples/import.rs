//! An import that takes a while: its spans, logs and metrics arrive while it runs, and its profile at the end.
//!
//! `cargo run --example import --features profiling` works for six seconds and sends to the project of `SENTRY_DSN`. With
//! `-- --whole`, the import is one transaction with a profile of its own, sent at its end.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::{Duration, Instant};

use tower_sentry::protocol::{Monitor, TraceLifecycle, Unit};
use tower_sentry::{Config, ResultExt as _, TracingLayer, metrics};
use tracing_subscriber::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::builder().from_env().release(tower_sentry::release!()).traces_sample_rate(1.0).enable_logs(true);
    let is_whole = std::env::args().any(|argument| argument == "--whole");
    let sentry = if is_whole {
        config.profiles_sample_rate(1.0).init()?
    } else {
        config.trace_lifecycle(TraceLifecycle::Stream).profile_session_sample_rate(1.0).init()?
    };
    tracing_subscriber::registry().with(TracingLayer::new(&sentry)).init();
    if !is_whole {
        sentry.start_profiler();
    }

    let schedule = Monitor::crontab("5 2 * * *").max_runtime(30);
    let import = sentry.check_in("import", schedule).run(import());
    let imported = sentry.transaction("import").op("task").session(true).run(import).await;
    println!("imported: {imported:?}");

    sentry.shutdown(Duration::from_secs(10)).await?;
    println!("{:?}", sentry.stats());
    Ok(())
}

async fn import() -> Result<u64, std::num::ParseIntError> {
    let mut sum = 0;
    for file in 1..=6 {
        sum += read(file, &format!("{file}000")).await?;
        metrics::counter("import.files", 1).capture();
    }
    // The seventh file cannot be read: that is reported, and the import goes on.
    Ok(sum + read(7, "four").await.capture().unwrap_or(0))
}

#[tracing::instrument]
async fn read(file: u32, rows: &str) -> Result<u64, std::num::ParseIntError> {
    tracing::info!(rows, "reads a file");
    metrics::distribution("import.size", rows.len() as u64).unit(Unit::Byte).attribute("file", i64::from(file)).capture();
    let rows = rows.parse()?;
    tower_sentry::span("db.query", "INSERT INTO rows (id) VALUES (?)", tokio::time::sleep(Duration::from_millis(200))).await;
    Ok(tower_sentry::span_sync("function", "checksum", || checksum(rows)))
}

/// Work for the processor, for 0.8 seconds.
fn checksum(rows: u64) -> u64 {
    let start = Instant::now();
    let mut sum = rows;
    while start.elapsed() < Duration::from_millis(800) {
        sum = (0..10_000).fold(sum, |sum, row| sum.rotate_left(5) ^ row);
    }
    sum % 2 + rows
}
