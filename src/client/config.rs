//! The configuration.

use std::fmt;
use std::sync::Arc;

use http::Uri;

use super::Client;
use super::builder::ConfigBuilder;
use super::settings::Settings;
use crate::error::Error;
use crate::fork::Lock;
use crate::protocol::Dsn;

/// A checked configuration.
///
/// Clones share one exporter, which starts with the first layer. `Display` lists every setting with
/// its value and its source; secrets are masked.
///
/// # Examples
///
/// ```
/// use tower_sentry::{Config, SentryLayer, TracingLayer};
///
/// let config = Config::builder().environment("staging").traces_sample_rate(0.5).build()?;
/// let layer = SentryLayer::new(&config);
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[derive(Clone)]
pub struct Config {
    settings: Arc<Settings>,
    /// `None` until the first layer needs it.
    client: Arc<Lock<Option<Client>>>,
}

impl Config {
    /// Reads the configuration from the environment only.
    ///
    /// Without `SENTRY_DSN` and `SENTRY_SPOTLIGHT`, monitoring is off.
    ///
    /// # Errors
    ///
    /// Returns an error if one of our variables holds an invalid value. The message names the
    /// variable and the value. If monitoring is off, it is only a [warning](Self::warnings).
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().from_env().build()
    }

    /// Like [`from_env`](Self::from_env), for a worker process: `SENTRY_WORKER_DSN` takes
    /// precedence over `SENTRY_DSN`.
    ///
    /// # Errors
    ///
    /// The same as for [`from_env`](Self::from_env).
    pub fn worker_from_env() -> Result<Self, Error> {
        Self::builder().worker_from_env().build()
    }

    /// Starts a configuration that is set in code.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// Whether anything is recorded, that is, whether there is a destination or an alert rule.
    pub fn is_enabled(&self) -> bool {
        self.settings.is_on()
    }

    /// Warnings about this configuration, such as variables whose names look like misspellings of
    /// ours.
    ///
    /// The same warnings are logged when the client starts.
    pub fn warnings(&self) -> &[String] {
        &self.settings.warnings
    }

    /// The URL to which envelopes are sent. It does not contain the key. `None` without a DSN.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// let config = Config::builder().dsn("https://key@sentry.example/42").build()?;
    /// assert_eq!(config.server().map(ToString::to_string).as_deref(), Some("https://sentry.example/api/42/envelope/"));
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn server(&self) -> Option<&Uri> {
        self.settings.delivery.dsn.as_ref().map(Dsn::envelope_url)
    }

    pub(super) fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), client: Arc::default() }
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The client that all clones share. The first call starts it. In a forked child, the first call
    /// starts another one.
    pub(crate) fn client(&self) -> Client {
        let mut shared = self.client.lock();
        if let Some(client) = &*shared
            && !client.is_in_child()
        {
            return client.clone();
        }
        shared.insert(Client::start(&self.settings)).clone()
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}
