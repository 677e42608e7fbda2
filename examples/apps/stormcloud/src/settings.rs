//! The settings of the service, and what of it is monitored.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tower_sentry::redaction::Redaction;
use tower_sentry::{Config, ConfigBuilder, Preset, SpanLayer};

use crate::pace::Pace;

/// How the middlewares of a request are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tree {
    /// Beside each other, each with its own time.
    #[default]
    Flat,
    /// Inside each other, as they are called.
    Nested,
}

impl Tree {
    pub(crate) fn show<L>(self, layer: SpanLayer<L>) -> SpanLayer<L> {
        match self {
            Self::Flat => layer.own_time(),
            Self::Nested => layer,
        }
    }

    pub(crate) fn show_total<L>(self, layer: SpanLayer<L>) -> SpanLayer<L> {
        match self {
            Self::Flat => layer.total_time(),
            Self::Nested => layer,
        }
    }
}

/// The settings of a service.
#[derive(Clone)]
pub struct Settings {
    variables: HashMap<String, String>,
    folder: PathBuf,
    tree: Tree,
    pace: Pace,
    requests_a_minute: u32,
    grace: Duration,
}

impl Settings {
    /// A service whose database, files and security log are in this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            variables: HashMap::new(),
            folder: folder.into(),
            tree: Tree::default(),
            pace: Pace::default(),
            requests_a_minute: 600,
            grace: Duration::from_secs(10),
        }
    }

    /// Adds variables of the environment: those of Sentry, `DEBUG` and `PORT`.
    #[must_use]
    pub fn variables<K: Into<String>, V: Into<String>>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Self {
        self.variables.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// How the middlewares of a request are shown. Defaults to [`Tree::Flat`].
    #[must_use]
    pub fn shown_as(mut self, tree: Tree) -> Self {
        self.tree = tree;
        self
    }

    /// How long the parts of a request take. Defaults to as long as they take.
    #[must_use]
    pub fn paced(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// How many requests a minute are served for each account. Defaults to 600.
    #[must_use]
    pub fn throttled(mut self, requests_a_minute: u32) -> Self {
        self.requests_a_minute = requests_a_minute;
        self
    }

    /// How long requests may still take when the service ends, and then its other work. Defaults to 10 seconds.
    ///
    /// Twice this, and the time of the delivery, must be less than what the orchestrator waits.
    #[must_use]
    pub fn ended_within(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// What is monitored, and where it goes.
    ///
    /// `from_vars` reads `SENTRY_DSN`, `SENTRY_TRACES_SAMPLE_RATE`, `ENVIRONMENT`, `GIT_COMMIT` and others, as
    /// `from_env` does in a service without tests in its process. What is left out here has a safe default:
    /// no addresses, no cookies, no bodies.
    pub fn monitoring(&self) -> ConfigBuilder {
        // Without a DSN, a developer looks at the console, at all requests.
        let preset = if self.is_sent() { Preset::Production } else { Preset::Development };
        let config = Config::builder()
            .preset(preset)
            .from_vars(self.variables.clone())
            .tag("storage_backend", "local")
            // Of a user, only the id, the name and this.
            .redaction(Redaction::default().user_fields(["is_staff"]))
            // Written with a DSN and without one, whatever the network does.
            .security_log(self.security_log())
            // An expired share link and a throttled client are not worth a transaction.
            .ignore_transaction_statuses([404, 429])
            // The database is away for a moment during each deployment.
            .ignore_error_types(["PoolClosed", "PoolTimedOut"])
            // One error that repeats must not use up the quota.
            .max_events_per_issue(10);
        if self.is_debug() { config.debug(true) } else { config }
    }

    /// Whether a server receives what is recorded.
    pub fn is_sent(&self) -> bool {
        self.variables.get("SENTRY_DSN").is_some_and(|dsn| !dsn.trim().is_empty())
    }

    /// The file of security events.
    pub fn security_log(&self) -> PathBuf {
        self.folder.join("logs/security.log")
    }

    /// Whether `DEBUG` is on. Without the variable it is on where nothing is sent, so that a first look shows an error too.
    pub fn is_debug(&self) -> bool {
        let value = self.variables.get("DEBUG").map(|value| value.to_ascii_lowercase());
        value.map_or(!self.is_sent(), |value| ["1", "true", "yes"].contains(&value.as_str()))
    }

    /// The folder of everything.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn port(&self) -> u16 {
        self.variables.get("PORT").and_then(|port| port.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn tree(&self) -> Tree {
        self.tree
    }

    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    pub(crate) fn grace(&self) -> Duration {
        self.grace
    }

    pub(crate) fn requests_a_minute(&self) -> u32 {
        self.requests_a_minute
    }
}
