//! Settings of the exporter: how much may wait, for how long, and where everything goes.

use std::sync::Arc;
use std::time::Duration;

use super::ConfigBuilder;

impl ConfigBuilder {
    /// How many items may wait for the exporter. Defaults to 1,000.
    pub fn queue_items(mut self, items: usize) -> Self {
        self.queue_items = Some(items);
        self
    }

    /// How many bytes may wait for the exporter. Defaults to 12 MiB.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = Some(bytes);
        self
    }

    /// How long a connection to the server may take to stand, with the handshakes of TLS and of a proxy. Defaults to 3 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// How long one attempt to send may take in all. Defaults to 10 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = Some(timeout);
        self
    }

    /// How long the drop of the guard or of the last client may wait for delivery. Defaults to 2 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = Some(timeout);
        self
    }

    /// Prints what is recorded to standard output: transactions as trees, errors with their chain. For development; it
    /// counts as a sink, so everything is recorded even without a DSN. Defaults to `false`.
    pub fn console(mut self, print: bool) -> Self {
        self.console = print;
        self
    }

    /// Sends a copy of everything to a Spotlight sidecar at this URL. Defaults to none.
    pub fn spotlight(mut self, url: impl Into<String>) -> Self {
        self.spotlight = Some(url.into());
        self
    }

    /// Gives every envelope to a function instead of sending it: redacted, serialised, not compressed, one call for each on the
    /// exporter's thread. For a way out of your own (a file, a queue, a relay) and for measurements; it counts as a sink, so
    /// everything is recorded even without a DSN. It must not block for long: nothing else is exported meanwhile. What a
    /// function is given counts as sent; if it panics, as dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use tower_sentry::Config;
    ///
    /// let (envelopes, received) = mpsc::channel();
    /// let sentry = Config::builder().transport(move |envelope| drop(envelopes.send(envelope.to_vec()))).panic_hook(false).init()?;
    /// tower_sentry::capture_message(tower_sentry::Level::Info, "hello");
    /// drop(sentry);
    /// assert!(String::from_utf8(received.recv()?)?.contains("hello"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transport(mut self, transport: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }
}
