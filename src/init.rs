//! Starting and stopping: creates clients, sets the default client, installs the panic hook, and
//! delivers at the end.

use std::ops::Deref;

use crate::client::{Client, Config, ConfigBuilder, set_default_client};
use crate::error::Error;
use crate::panic_hook;

impl ConfigBuilder {
    /// Checks the settings and starts monitoring.
    ///
    /// It starts the exporter, uses its client for events outside any request, and installs the
    /// panic hook.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is invalid (see [`build`](Self::build)), if a proxy in the environment
    /// is invalid, or if TLS is needed and there are no root certificates. `{error:#}` shows the reason.
    ///
    /// If the exporter's thread cannot be started, it returns no error, because the service must start:
    /// nothing is recorded, and a warning is logged.
    pub fn init(self) -> Result<Guard, Error> {
        let config = self.build()?;
        config.settings().delivery.check_tls()?;
        let client = config.client();
        make_default(&config, &client);
        Ok(Guard { client })
    }
}

/// Keeps monitoring running until it is dropped. Returned by [`ConfigBuilder::init`].
///
/// It dereferences to a [`Client`]. When it is dropped, it delivers pending items and stops the
/// exporter, even if other handles exist. This blocks the thread for at most the
/// [`shutdown_timeout`](ConfigBuilder::shutdown_timeout) (2 s by default).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_sentry::Config;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let sentry = Config::builder().from_env().init()?;
/// // … serve …
/// sentry.shutdown(Duration::from_secs(5)).await.ok();
/// # Ok::<(), tower_sentry::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "dropping the guard ends monitoring"]
pub struct Guard {
    client: Client,
}

impl Deref for Guard {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let timeout = self.client.settings().map(|settings| settings.delivery.shutdown_timeout).unwrap_or_default();
        self.client.note_dropped_guard();
        // Items that were not delivered are already logged and counted.
        let _ = self.client.close_blocking(timeout, true);
    }
}

/// Returns the client that all clones of the configuration share, and starts it if needed.
///
/// This never fails. If the exporter cannot start, the client is off and a warning is logged.
impl From<&Config> for Client {
    fn from(config: &Config) -> Self {
        let client = config.client();
        make_default(config, &client);
        client
    }
}

impl From<Config> for Client {
    fn from(config: Config) -> Self {
        Self::from(&config)
    }
}

impl From<&Self> for Client {
    fn from(client: &Self) -> Self {
        client.clone()
    }
}

impl From<&Guard> for Client {
    fn from(guard: &Guard) -> Self {
        guard.client.clone()
    }
}

fn make_default(config: &Config, client: &Client) {
    if !client.is_enabled() {
        return;
    }
    set_default_client(client);
    if config.settings().panic_hook {
        panic_hook::install();
    }
}
