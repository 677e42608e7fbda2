//! Finds out why nothing arrives at Sentry, one step after the other.
//!
//! `SENTRY_DSN=https://key@host/42 cargo run --example doctor` sends one event and ends with status 1
//! if something is wrong. A service can run `examine` too, from a command of its own.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::fmt;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::Duration;

use tower_sentry::{Client, Config, ConfigBuilder, Health, Level};

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing is wrong.
    Good,
    /// Not wrong, but worth knowing.
    Note,
    Bad,
}

/// What a step found.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) step: &'static str,
    pub(crate) verdict: Verdict,
    pub(crate) text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Good => "ok  ",
            Verdict::Note => "note",
            Verdict::Bad => "BAD ",
        };
        write!(f, "{verdict} {:<14} {}", self.step, self.text)
    }
}

/// The findings so far.
#[derive(Debug, Default)]
struct Report(Vec<Finding>);

impl Report {
    fn add(&mut self, step: &'static str, verdict: Verdict, text: impl Into<String>) {
        self.0.push(Finding { step, verdict, text: text.into() });
    }
}

/// Examines the way from this configuration to its server. Ends at the first step that makes all later
/// ones impossible.
pub(crate) async fn examine(config: ConfigBuilder) -> Vec<Finding> {
    let mut report = Report::default();
    let config = match config.build() {
        Ok(config) => config,
        Err(error) => {
            report.add("configuration", Verdict::Bad, format!("{error:#}"));
            return report.0;
        }
    };
    report.add(
        "sampling",
        Verdict::Note,
        "`traces_sample_rate` limits transactions only: every error is sent. `ignore_error_types` and `before_send` drop errors",
    );
    let Some(server) = config.server().cloned() else {
        report.add("DSN", Verdict::Bad, "no DSN is set: set SENTRY_DSN to the one that the project's settings show");
        return report.0;
    };
    report.add("DSN", Verdict::Good, format!("events go to {server}"));
    if is_proxied(&server) {
        report.add("DNS, TCP", Verdict::Note, "the environment names a proxy, which looks the server up and connects to it");
    } else if !reach(&server, &mut report).await {
        return report.0;
    }
    let client = Client::from(&config);
    let id = tower_sentry::capture_message(Level::Error, "a test event of tower-sentry's doctor");
    let _ = client.flush(Duration::from_secs(15)).await;
    let is_sent = client.stats().errors.sent > 0;
    judge(&server, &client.health(), &mut report);
    if is_sent {
        report.add("test event", Verdict::Good, format!("the server took the event {id}; it appears in the project within a minute"));
    } else {
        report.add("test event", Verdict::Bad, "the test event was not accepted; see above");
    }
    report.0
}

/// Whether a variable may send requests past DNS and TCP of this machine.
fn is_proxied(server: &http::Uri) -> bool {
    let is_loopback = matches!(server.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    !is_loopback && names.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Looks the server up and connects to it. Returns `false` if that fails.
async fn reach(server: &http::Uri, report: &mut Report) -> bool {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = server.port_u16().unwrap_or_else(|| if server.scheme_str() == Some("https") { 443 } else { 80 });
    let of_thread = host.clone();
    let found = tokio::task::spawn_blocking(move || (of_thread.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>)).await;
    let addresses = match found.map_err(std::io::Error::other).and_then(|found| found) {
        Ok(addresses) if !addresses.is_empty() => addresses,
        Ok(_) => {
            report.add("DNS", Verdict::Bad, format!("the name '{host}' has no address"));
            return false;
        }
        Err(error) => {
            report.add("DNS", Verdict::Bad, format!("the name '{host}' cannot be looked up: {error}"));
            return false;
        }
    };
    let first = addresses.first().map(SocketAddr::to_string).unwrap_or_default();
    report.add("DNS", Verdict::Good, format!("'{host}' has {} address(es); the first is {first}", addresses.len()));
    let is_refused = tokio::task::spawn_blocking(move || refusal(&addresses)).await.unwrap_or_default();
    match &is_refused {
        Some(error) => report.add("TCP", Verdict::Bad, format!("{first} cannot be reached: {error}; is a firewall in between?")),
        None => report.add("TCP", Verdict::Good, format!("a connection to port {port} was accepted")),
    }
    is_refused.is_none()
}

/// Why no address can be connected to; `None` if one can.
fn refusal(addresses: &[SocketAddr]) -> Option<std::io::Error> {
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(address, Duration::from_secs(3)) {
            Ok(_) => return None,
            Err(error) => last = Some(error),
        }
    }
    last
}

/// Reads the client's health after the test event.
fn judge(server: &http::Uri, health: &Health, report: &mut Report) {
    let is_encrypted = server.scheme_str() == Some("https");
    let reason = health.last_failure.as_ref().map_or("there was no answer in time", |(_, reason)| reason);
    let Some(status) = health.last_status else {
        let (step, hint) =
            if is_encrypted { ("TLS", "`ca_certificate` trusts an authority of your own") } else { ("HTTP", "is this Sentry's port?") };
        return report.add(step, Verdict::Bad, format!("{reason}; {hint}"));
    };
    if is_encrypted {
        report.add("TLS", Verdict::Good, "the server's certificate is trusted");
    } else {
        report.add("TLS", Verdict::Note, "the DSN begins with http://: events and the key travel in clear text");
    }
    match health.clock_ahead {
        Some(seconds) if seconds.abs() >= 60 => {
            let text =
                format!("this machine's clock is {seconds} s ahead of the server's; events far off are refused or shown at the wrong time");
            report.add("clock", Verdict::Bad, text);
        }
        Some(_) => report.add("clock", Verdict::Good, "this machine's clock agrees with the server's within a minute"),
        None => report.add("clock", Verdict::Note, "the server did not send its time"),
    }
    match status.as_u16() {
        200..=299 | 429 => report.add("authorisation", Verdict::Good, "the server accepts the key"),
        401 | 403 => report.add("authorisation", Verdict::Bad, format!("the server refuses the key: {reason}")),
        404 => report.add("authorisation", Verdict::Bad, format!("the server does not know the project at the end of the DSN: {reason}")),
        _ => report.add("authorisation", Verdict::Bad, reason),
    }
    if health.rate_limits.is_empty() {
        report.add("limits", Verdict::Good, "no rate limit is in force");
    }
    for (category, until) in &health.rate_limits {
        let seconds = until.duration_since(std::time::SystemTime::now()).unwrap_or_default().as_secs();
        report.add(
            "limits",
            Verdict::Bad,
            format!("the server takes nothing of the category '{category}' for {seconds} s: is the quota spent?"),
        );
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let findings = examine(Config::builder().from_env()).await;
    for finding in &findings {
        println!("{finding}");
    }
    ExitCode::from(u8::from(findings.iter().any(|finding| finding.verdict == Verdict::Bad)))
}
