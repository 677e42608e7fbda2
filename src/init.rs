//! Start and end: a client from a configuration, the default client, the panic hook, and delivery at the end.

use std::ops::Deref;

use crate::client::{Client, Config, ConfigBuilder, set_default_client};
use crate::error::Error;
use crate::export::diagnostics;
use crate::panic_hook;

impl ConfigBuilder {
    /// Checks the settings, starts the exporter, makes its client the one for events outside any request, and installs the panic hook.
    ///
    /// # Errors
    ///
    /// If a setting cannot be used (see [`build`](Self::build)), or the exporter's thread cannot be started.
    pub fn init(self) -> Result<Guard, Error> {
        let config = self.build()?;
        let client = config.client()?;
        make_default(&config, &client);
        Ok(Guard { client })
    }
}

/// Keeps monitoring alive. It is a [`Client`] as well; its drop delivers what is waiting, for at most the configured
/// shutdown timeout (2 s by default), and ends the exporter, whatever other handles there are.
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
        let timeout = self.client.settings().map(|settings| settings.shutdown_timeout).unwrap_or_default();
        if let Err(error) = self.client.close_blocking(timeout, true) {
            diagnostics::warn(&error.to_string());
        }
    }
}

/// The shared client of all clones of the configuration, started if it was not running.
///
/// It cannot fail: where the exporter cannot start, the client is off and a warning says so.
impl From<&Config> for Client {
    fn from(config: &Config) -> Self {
        match config.client() {
            Ok(client) => {
                make_default(config, &client);
                client
            }
            Err(error) => {
                diagnostics::warn(&format!("nothing is recorded: {error}"));
                Self::off()
            }
        }
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
