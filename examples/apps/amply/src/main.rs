//! `cargo run -p amply` prints a short tour, and then serves until Ctrl-C. With `-- --once` it ends after the tour.
//!
//! `-- --spotlight` sends a copy to Spotlight. With `SENTRY_DSN` it sends to that server instead of the console.

use std::time::Duration;

use amply::monitoring::{Dsns, Settings, browser_sdk_from_env, environment_from_env};
use amply::{Amply, StartError, stand_in, tour};
use tokio::sync::{mpsc, oneshot};
use tower_sentry::{Preset, TracingLayer};
use tracing_subscriber::prelude::*;

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let has = |argument: &str| std::env::args().any(|given| given == argument);
    let (alerts, mut fired) = mpsc::unbounded_channel();
    let (end, mut ended) = oneshot::channel::<()>();
    let printer = tokio::spawn(async move {
        loop {
            tokio::select! {
                biased;
                Some(alert) = fired.recv() => println!("ALERT to {alert}"),
                _ = &mut ended => break,
            }
        }
    });
    let dsns = Dsns::from_env();
    let stand_in = stand_in::start().await?;
    let settings = Settings {
        environment: environment_from_env(&dsns)?,
        dsns,
        browser_sdk: browser_sdk_from_env()?,
        spotlight: has("--spotlight").then(|| "http://localhost:8969/stream".to_owned()),
        alerts,
        payments: stand_in.clone(),
        storage: stand_in,
        retry_after: Duration::from_secs(60),
    };
    match settings.environment {
        Preset::Development => println!("Amply in development: what it records is printed here."),
        environment => println!("Amply in {environment}: what it records goes to the projects of its DSNs."),
    }
    if settings.spotlight.is_some() {
        println!("Spotlight gets a copy: open http://localhost:8969.");
    }

    let amply = Amply::start(&settings).await?;
    tracing_subscriber::registry().with(TracingLayer::new(&amply.clients().backend)).init();
    tour::send_all(&amply).await?;
    if !has("--once") {
        println!("Serving http://{}/ and /dashboard/7 until Ctrl-C.", amply.address());
        tokio::signal::ctrl_c().await?;
    }
    if let Err(error) = amply.shutdown().await {
        eprintln!("{error}");
    }
    // Whatever was still to be said is said before the end.
    drop(end);
    printer.await?;
    Ok(())
}
