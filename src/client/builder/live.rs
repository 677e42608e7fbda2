//! Settings that operators may change: routes as data, and a file.

use std::path::PathBuf;

use super::ConfigBuilder;
use crate::sampling::RouteTable;

impl ConfigBuilder {
    /// Options per route, for all layers of this client: a table that is data, and that may change while
    /// the process runs.
    ///
    /// [`RouteTable`](crate::incoming::RouteTable) says which row counts beside those of a
    /// [layer](crate::SentryLayer::route). Defaults to the table in `SENTRY_ROUTES`, else to none.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if a row is invalid, and names it.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    /// use tower_sentry::incoming::RouteTable;
    ///
    /// let table = RouteTable::from_json(r#"{"GET /checkout/{id}": {"sample_rate": 1.0}, "/healthz": {"ignore": true}}"#)?;
    /// let config = Config::builder().routes(table).build()?;
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn routes(self, table: RouteTable) -> Self {
        self.set("routes", |settings| settings.live.routes = table.configured())
    }

    /// A file of [`LiveSettings`](crate::sampling::LiveSettings), as JSON, that may change while the
    /// process runs.
    ///
    /// Its values override those of the code and the environment, and its routes are added to
    /// [`routes`](Self::routes). The exporter looks every two seconds whether the file has changed, also
    /// while the service is idle: that is one system call. So a change is in force about two seconds
    /// later. [`Client::reload`](crate::Client::reload) reads it at once; with the feature `signal`,
    /// `reload_on_sighup` does so for a SIGHUP.
    ///
    /// If the file becomes invalid or disappears, one warning says so, and the settings stay. Write a
    /// new file beside it and rename it, so that no half of it is read. Defaults to none.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if the file cannot be read, has more than 1 MiB, or is invalid.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// # let path = std::env::temp_dir().join(format!("tower-sentry-settings-{}.json", std::process::id()));
    /// # let shown = path.clone();
    /// std::fs::write(&path, r#"{"traces_sample_rate": 0.5, "routes": {"/healthz": {"ignore": true}}}"#)?;
    /// let config = Config::builder().traces_sample_rate(0.1).settings_file(path).build()?;
    /// assert!(config.to_string().contains("traces_sample_rate       0.5                              settings_file"));
    /// # std::fs::remove_file(shown)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settings_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.texts.settings_file = Some(path.into());
        self.set("settings_file", |_| {})
    }

    /// Whether a SIGHUP makes the process read its [`settings_file`](Self::settings_file) at once.
    ///
    /// From then on, SIGHUP does not end the process. Only on Unix, with the feature `signal`. Defaults to
    /// `false`.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if there is no settings file.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// let error = Config::builder().reload_on_sighup(true).build().unwrap_err();
    /// assert_eq!(error.to_string(), "reload_on_sighup: expected a `settings_file` beside it, found none");
    /// ```
    #[cfg(all(unix, feature = "signal"))]
    pub fn reload_on_sighup(mut self, reload: bool) -> Self {
        self.texts.reload_on_sighup = reload;
        self.set("reload_on_sighup", |_| {})
    }
}
