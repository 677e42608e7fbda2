//! Changing settings while the process runs.

use super::Client;
use super::live::InForce;
use crate::error::Error;
use crate::sampling::{LiveSettings, TargetSampler};

impl Client {
    /// Changes settings while the process runs: rates, budgets, limits, and options per route.
    ///
    /// The function gets a copy of the settings in force. Once this returns, the next request is decided
    /// by what it leaves. What is recorded or queued already is not affected. A request that runs
    /// meanwhile sees either all old values or all new ones, except for budgets and limits of events.
    ///
    /// Concurrent calls wait for each other, so the function must not call `update` or
    /// [`reload`](Self::reload). If the client is off, it is not called.
    ///
    /// # Errors
    ///
    /// Returns an error if a value is invalid, as [`build`](crate::ConfigBuilder::build) does. Then all old
    /// values stay.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::incoming::RouteOptions;
    /// use tower_sentry::{Client, Config};
    ///
    /// let client = Client::from(Config::builder().transport(|_: &[u8]| {}).build()?);
    ///
    /// client.update(|settings| {
    ///     settings.traces_sample_rate = 0.01;
    ///     settings.routes.set_route("/checkout/{id}", RouteOptions::new().sample_rate(1.0));
    /// })?;
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn update(&self, change: impl FnOnce(&mut LiveSettings)) -> Result<(), Error> {
        self.inner.as_ref().map_or(Ok(()), |inner| inner.live.update(change))
    }

    /// Reads the [settings file](crate::ConfigBuilder::settings_file) now, without waiting for the next look.
    ///
    /// Once this returns, the settings are those of the configuration with those of the file: what
    /// [`update`](Self::update) has changed is undone. It reads a small file on the calling thread. If the
    /// client is off, it does nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no settings file, or if it is invalid. Then all old values stay.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::{Client, Config};
    ///
    /// # let path = std::env::temp_dir().join(format!("tower-sentry-reload-{}.json", std::process::id()));
    /// std::fs::write(&path, r#"{"traces_sample_rate": 0.5}"#)?;
    /// let client = Client::from(Config::builder().transport(|_: &[u8]| {}).settings_file(&path).build()?);
    /// assert_eq!(client.live_settings().traces_sample_rate, 0.5);
    ///
    /// std::fs::write(&path, r#"{"traces_sample_rate": 0.01}"#)?;
    /// client.reload()?;
    /// assert_eq!(client.live_settings().traces_sample_rate, 0.01);
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reload(&self) -> Result<(), Error> {
        self.inner.as_ref().map_or(Ok(()), |inner| inner.live.reload())
    }

    /// A copy of the settings in force. The defaults while the client is off.
    pub fn live_settings(&self) -> LiveSettings {
        self.inner.as_ref().map(|inner| LiveSettings::clone(&inner.live.current())).unwrap_or_default()
    }

    /// What decides about one request. `None` while the client is off.
    #[inline]
    pub(crate) fn in_force(&self) -> Option<InForce> {
        self.inner.as_ref().map(|inner| inner.live.in_force())
    }

    /// Chooses the rates, if there is a target.
    pub(crate) fn target(&self) -> Option<&TargetSampler> {
        self.inner.as_ref()?.target.as_ref()
    }
}
