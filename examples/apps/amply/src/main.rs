//! `cargo run -p amply` prints a short tour, and then serves until Ctrl-C or SIGTERM. With `-- --once` it ends after the tour.
//!
//! `-- --spotlight` sends a copy to Spotlight. With `SENTRY_DSN` it sends to that server instead of the console.

use std::env;
use std::time::Duration;

use amply::monitoring::{Dsns, Settings, browser_sdk_from_env, environment_from_env};
use amply::{Amply, StartError, serve, stand_in, tour};
use tokio::sync::{mpsc, oneshot};
use tower_sentry::{Preset, TracingLayer};
use tracing_subscriber::prelude::*;

/// How long other services may take to answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);

/// For requests and then for jobs. Twice this, and five seconds of delivery, are less than the 30 seconds that an orchestrator
/// usually waits.
const GRACE: Duration = Duration::from_secs(10);

// An attempt of a webhook that runs when the service ends is followed by one more.
const _: () = assert!(GRACE.as_millis() > 2 * CALL_TIMEOUT.as_millis());

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let stop = serve::stop_signal()?;
    let has = |argument: &str| env::args().any(|given| given == argument);
    let (alerts, mut fired) = mpsc::channel(100);
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
        address: env::var("AMPLY_ADDRESS").unwrap_or_else(|_| "127.0.0.1:0".to_owned()),
        trusts_proxy: env::var("AMPLY_TRUSTS_PROXY").is_ok_and(|value| value == "1"),
        payments: stand_in.clone(),
        storage: stand_in,
        most_jobs: 1000,
        retry_after: Duration::from_secs(60),
        call_timeout: CALL_TIMEOUT,
        grace: GRACE,
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
    let serving = async {
        tour::send_all(&amply).await?;
        if !has("--once") {
            println!("Serving http://{}/ and /dashboard/7 until Ctrl-C.", amply.address());
            std::future::pending::<()>().await;
        }
        Ok::<_, StartError>(())
    };
    tokio::select! {
        toured = serving => toured?,
        () = stop => {}
    }
    if let Err(error) = amply.shutdown().await {
        eprintln!("{error}");
    }
    // Whatever was still to be said is said before the end.
    drop(end);
    printer.await?;
    Ok(())
}
