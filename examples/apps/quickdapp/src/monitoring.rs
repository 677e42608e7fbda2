//! How the server, the worker and the page report to Sentry.
//!
//! | variable | default | what it sets |
//! |---|---|---|
//! | `SENTRY_DSN` | none | the project of the server |
//! | `SENTRY_WORKER_DSN` | that of the server | the project of the worker |
//! | `NEXT_PUBLIC_SENTRY_DSN` | that of the server | the project of the page |
//! | `SENTRY_TRACES_SAMPLE_RATE` | `1.0` | the share of requests and jobs to trace |
//! | `SENTRY_REPLAY_SESSION_SAMPLE_RATE` | `1.0` | the share of sessions in the browser to replay |
//! | `SENTRY_PROFILE_SESSION_SAMPLE_RATE` | `0` | the share of runs of each process whose session is profiled |
//!
//! A blank `SENTRY_DSN` means off, and so does a blank `NEXT_PUBLIC_SENTRY_DSN` for the page. Without a DSN, everything is printed.

use std::fmt;

use tower_sentry::html::Browser;
use tower_sentry::{Config, Error, Guard, ProfileLifecycle, TracingLayer, TrustParent};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

/// The usual address of Spotlight, for copies of what is sent.
const SPOTLIGHT: &str = "http://localhost:8969/stream";

/// The variable with the DSN of the page.
const PAGE_DSN: &str = "NEXT_PUBLIC_SENTRY_DSN";

/// The same as a DSN, for the browser. Spotlight accepts any key.
const SPOTLIGHT_DSN: &str = "http://spotlight@localhost:8969/1";

/// A process of the application. Each has its own project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// Serves the page and its requests.
    Server,
    /// Does the jobs.
    Worker,
}

/// Starts monitoring, and prints the log to standard error.
///
/// # Errors
///
/// Returns an error if a variable of the environment is invalid.
pub fn start(process: Process, to_spotlight: bool) -> Result<Guard, Error> {
    let mut config = Config::builder().release(tower_sentry::release!()).default_traces_sample_rate(1.0);
    // Where a session is profiled, it is while requests or jobs run.
    config = config.profile_lifecycle(ProfileLifecycle::Trace);
    config = match process {
        Process::Server => config.from_env(),
        // Only the server writes jobs, so its decisions are followed: traces are complete.
        Process::Worker => config.worker_from_env().trust_parent(TrustParent::Always),
    };
    config = match destination(process, to_spotlight) {
        Destination::Console => config.console(true),
        Destination::Spotlight => config.spotlight(SPOTLIGHT),
        Destination::Nowhere | Destination::Environment => config,
    };
    let monitoring = config.init()?;
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(log).with(TracingLayer::new(&monitoring)).init();
    Ok(monitoring)
}

/// The project of the page.
#[derive(Clone, Debug)]
pub struct Page {
    /// The DSN, which the tunnel has to allow.
    pub dsn: String,
    /// How the browser's SDK is set up.
    pub browser: Browser,
}

/// How the page reports: to the first of `NEXT_PUBLIC_SENTRY_DSN` and `SENTRY_DSN` that is set. One that is blank ends the search,
/// so a blank `NEXT_PUBLIC_SENTRY_DSN` means that the page does not report. Spotlight stands in for a DSN.
///
/// None if there is no server to which the browser's SDK could send.
///
/// # Errors
///
/// Returns an error if the DSN or the rate of replays is invalid.
pub fn page(to_spotlight: bool) -> Result<Option<Page>, Box<dyn std::error::Error>> {
    let name = if std::env::var_os(PAGE_DSN).is_some() { PAGE_DSN } else { "SENTRY_DSN" };
    let dsn = variable(name).or_else(|| to_spotlight.then(|| SPOTLIGHT_DSN.to_owned()));
    let Some(dsn) = dsn else { return Ok(None) };
    // What the page sends goes through the server, so that blockers do not see the host of the DSN.
    let browser = Browser::new(&dsn).build().map_err(|error| format!("{name}: {error}"))?;
    let mut browser = browser.tunnel("/t").from_env();
    if variable("SENTRY_REPLAY_SESSION_SAMPLE_RATE").is_none() {
        browser = browser.replay_session_sample_rate(1.0);
    }
    Ok(Some(Page { dsn, browser: browser.build()? }))
}

/// Where a process sends what it records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Nothing is set: to standard output.
    Console,
    /// To what the environment says: a DSN, or `SENTRY_SPOTLIGHT`.
    Environment,
    /// The DSN is blank: nothing is recorded.
    Nowhere,
    /// To Spotlight at its usual address, beside a DSN.
    Spotlight,
}

/// Where this process sends to.
pub fn destination(process: Process, to_spotlight: bool) -> Destination {
    let names: &[&str] = match process {
        Process::Server => &["SENTRY_DSN"],
        Process::Worker => &["SENTRY_WORKER_DSN", "SENTRY_DSN"],
    };
    if to_spotlight {
        Destination::Spotlight
    } else if names.iter().chain(&["SENTRY_SPOTLIGHT"]).any(|name| variable(name).is_some()) {
        Destination::Environment
    } else if names.iter().any(|name| std::env::var_os(name).is_some()) {
        Destination::Nowhere
    } else {
        Destination::Console
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Console => "printed here, because no DSN is set",
            Self::Environment => "sent to the DSN, or to Spotlight, as the environment says",
            Self::Nowhere => "off, because the DSN is blank",
            Self::Spotlight => "sent to Spotlight, http://localhost:8969",
        })
    }
}

/// The value of a variable, unless it is blank.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}
