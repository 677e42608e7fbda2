//! The configuration.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::Client;
use super::builder::ConfigBuilder;
use super::settings::Settings;
use crate::error::Error;

/// A checked configuration. Its clones share one exporter, which starts with the first layer.
///
/// `Display` lists every setting with its value and where the value comes from; secrets are masked.
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
    /// None until the first layer asks for it.
    client: Arc<Mutex<Option<Client>>>,
}

impl Config {
    /// A configuration from the environment alone. Without `SENTRY_DSN` everything is off.
    ///
    /// # Errors
    ///
    /// If a variable of ours holds a value that cannot be used; the error names both.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().from_env().build()
    }

    /// The same for a worker process: `SENTRY_WORKER_DSN` goes before `SENTRY_DSN`.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn worker_from_env() -> Result<Self, Error> {
        Self::builder().worker_from_env().build()
    }

    /// A configuration by hand.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// Whether anything is recorded: there is a DSN or a local sink.
    pub fn is_enabled(&self) -> bool {
        self.settings.is_on()
    }

    /// What a user should know about this configuration, such as names of variables that only look like ours.
    /// The same texts are logged when the exporter starts.
    pub fn warnings(&self) -> &[String] {
        &self.settings.warnings
    }

    pub(super) fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), client: Arc::default() }
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The client that all clones share, started at the first call.
    pub(crate) fn client(&self) -> Result<Client, Error> {
        let mut shared = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*shared {
            return Ok(client.clone());
        }
        Ok(shared.insert(Client::start(&self.settings)?).clone())
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
