//! tower-sentry, the release that stands beside it. cfg keys:
//!   rate=1.0        traces_sample_rate
//!   keep=1|0        keep_failed
//!   client=0        neither DSN nor sink: off
//!   body=1          `boxed_body()`
//!   trc=0           no tracing layer
//!   exclusive=1     `TracingLayer::exclusive()`
//!   sink=counter    redacted, serialised, then counted (default); sink=http: to the DSN given by dsn=
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tower_sentry::{Client, Config, SentryLayer, TracingLayer};
use tracing_subscriber::prelude::*;

static ENVELOPES: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

fn main() {
    harness::main(|a| {
        let mut config = Config::builder()
            .traces_sample_rate(a.get("rate", "1.0").parse().unwrap())
            .keep_failed(a.get("keep", "1") == "1")
            .panic_hook(false);
        if a.get("client", "1") == "1" {
            config = match a.get("sink", "counter") {
                "http" => config.dsn(format!("http://key@127.0.0.1:{}/1", a.get("port", "9"))),
                _ => config.dsn("http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1").transport(|envelope: &[u8]| {
                    ENVELOPES.fetch_add(1, Relaxed);
                    BYTES.fetch_add(envelope.len() as u64, Relaxed);
                }),
            };
        }
        let client = Arc::new(Client::from(config.build().unwrap()));
        if a.get("trc", "1") == "1" {
            tracing_subscriber::registry()
                .with(if a.is("exclusive") { TracingLayer::new(&*client).exclusive() } else { TracingLayer::new(&*client) })
                .init();
        }
        let router = app_tracing::router(a.variant);
        let router =
            if a.is("body") { router.layer(SentryLayer::new(&*client).boxed_body()) } else { router.layer(SentryLayer::new(&*client)) };
        let mut contender = harness::Contender::new(router);
        // waits until the exporter has taken everything, so that its memory is back in the pool
        let drained = Arc::clone(&client);
        contender.flush = Box::new(move || {
            while drained.stats().waiting() > 0 {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        contender.report =
            Box::new(move || format!("envelopes={} bytes={} {:?}", ENVELOPES.load(Relaxed), BYTES.load(Relaxed), client.stats()));
        contender
    })
}
