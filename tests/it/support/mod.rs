//! The other side: a relay that keeps what it gets, a server for the application under test, a client, and child processes.

mod child;
mod http;
#[cfg(target_os = "linux")]
mod lease;
#[cfg(not(feature = "reqwest"))]
mod over_hyper;
mod relay;
mod shown;
#[cfg(feature = "rustls")]
pub mod tls;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tower_sentry::{Client, Config, ConfigBuilder, Counts, Stats, TracingLayer};
use tracing_subscriber::prelude::*;

pub use child::{again, in_child, is_child, said_in_child};
pub use http::{Http2, Server, get, request, take_request};
#[cfg(target_os = "linux")]
pub use lease::Hang;
pub use relay::{Answer, Received, Relay, items, payloads_in};
pub use shown::Shown;

/// The longest wait for anything that should happen: two minutes, so that a busy machine fails no test. Only a failing test waits this long.
///
/// `TOWER_SENTRY_TEST_PATIENCE` sets another number of seconds: the run of mutants expects failures and cannot wait that long for each.
pub fn patience() -> Duration {
    static SECONDS: LazyLock<u64> = LazyLock::new(|| {
        let given = std::env::var("TOWER_SENTRY_TEST_PATIENCE");
        given.map_or(120, |seconds| seconds.parse().unwrap())
    });
    Duration::from_secs(*SECONDS)
}

/// Waits until something is true that no event announces: a figure in the accounts, a file on the disk. Three times as long as for an event: pauses
/// of the exporter may be part of it.
pub async fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let latest = Instant::now() + 3 * patience();
    while !is_true() {
        assert!(Instant::now() < latest, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A port of this machine where connections are refused until [`Relay::start_at`] opens it. Nobody else can take it meanwhile.
pub fn closed_port() -> tokio::net::TcpSocket {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    socket
}

/// A configuration that sends everything to `relay`.
pub fn config(relay: &Relay) -> ConfigBuilder {
    to(relay.dsn()).traces_sample_rate(1.0).panic_hook(false)
}

/// A configuration that sends everything to the server of a DSN: over our own HTTP transport, or, in a build without it, over one of the
/// tests' own. A busy machine may answer late: `request_timeout` is the limit, unless a test is about `first_byte_timeout`. Many events of one
/// issue all count here, and outages thin nothing out: `guard` has the tests of that.
pub fn to(dsn: impl Into<String>) -> ConfigBuilder {
    let config =
        Config::builder().dsn(dsn).first_byte_timeout(Duration::from_secs(3600)).max_events_per_issue(u32::MAX).backpressure(false);
    #[cfg(not(feature = "reqwest"))]
    let config = config.transport(over_hyper::OverHyper::new());
    config
}

/// An HTTP client as an application has it. Without a provider for the process, reqwest wants its TLS to be given.
#[cfg(feature = "rustls")]
pub fn http_client() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls::client().with_no_client_auth())
}

/// A client that sends everything to `relay`.
pub fn client(relay: &Relay) -> Client {
    Client::from(config(relay).build().unwrap())
}

/// Installs one subscriber for the whole process: the layer records into whatever request is current.
pub fn subscribe() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let off = Config::builder().build().unwrap();
        tracing_subscriber::registry().with(TracingLayer::new(off)).init();
    });
}

/// Delivers everything, and checks the law of the accounts: captured = sent + dropped, in every category.
pub async fn settle(client: &Client) {
    client.shutdown(patience()).await.unwrap();
    #[cfg(profiles)]
    {
        let counts = client.stats().profiles;
        assert_eq!(counts.captured, counts.sent + counts.dropped_total(), "profile: {counts:?}");
    }
    for (name, counts) in categories(&client.stats()) {
        assert_eq!(counts.captured, counts.sent + counts.dropped_total(), "{name}: {counts:?}");
    }
}

/// The accounts of each category, by its item's name on the wire.
pub fn categories(stats: &Stats) -> [(&'static str, &Counts); 8] {
    [
        ("event", &stats.errors),
        ("transaction", &stats.transactions),
        ("span", &stats.spans),
        ("attachment", &stats.attachment_bytes),
        ("check_in", &stats.check_ins),
        ("feedback", &stats.feedback),
        ("log", &stats.logs),
        ("trace_metric", &stats.metrics),
    ]
}

/// The spans of a transaction as an indented tree: `description [op] status`.
pub fn tree(transaction: &Value) -> String {
    fn below(out: &mut String, spans: &[Value], parent: &Value, depth: usize) {
        for span in spans.iter().filter(|span| span["parent_span_id"] == *parent) {
            let text = |name: &str| span[name].as_str().unwrap_or("-");
            out.push_str(&format!("{}{} [{}] {}\n", "  ".repeat(depth), text("description"), text("op"), text("status")));
            below(out, spans, &span["span_id"], depth + 1);
        }
    }
    let trace = &transaction["contexts"]["trace"];
    let mut out = format!(
        "{} [{}] {}\n",
        transaction["transaction"].as_str().unwrap_or("-"),
        trace["op"].as_str().unwrap_or("-"),
        trace["status"].as_str().unwrap_or("-")
    );
    below(&mut out, transaction["spans"].as_array().unwrap(), &trace["span_id"], 1);
    out
}
