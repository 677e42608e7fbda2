//! Settings of the exporter: queue limits, timeouts and destinations.

use std::sync::Arc;
use std::time::Duration;

use super::ConfigBuilder;
use crate::transport::Transport;

impl ConfigBuilder {
    /// The number of items that may wait for the exporter.
    ///
    /// Defaults to 1,000.
    pub fn queue_items(mut self, items: usize) -> Self {
        self.queue_items = Some(items);
        self
    }

    /// The number of bytes that may wait for the exporter.
    ///
    /// Defaults to 12 MiB.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = Some(bytes);
        self
    }

    /// How long connecting to the server may take, including the handshakes of TLS and a proxy.
    ///
    /// Defaults to 3 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// How long one attempt to send may take in total.
    ///
    /// Defaults to 10 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = Some(timeout);
        self
    }

    /// How long dropping the guard or the last client may wait for delivery.
    ///
    /// Defaults to 2 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = Some(timeout);
        self
    }

    /// Prints recorded data to standard output: transactions as trees, errors with their chain.
    ///
    /// This is for development. It counts as a sink: everything is recorded even without a DSN.
    /// Defaults to `false`.
    pub fn console(mut self, print: bool) -> Self {
        self.console = print;
        self
    }

    /// Sends a copy of everything to a Spotlight sidecar at this URL.
    ///
    /// It counts as a sink: everything is recorded even without a DSN. Defaults to none.
    pub fn spotlight(mut self, url: impl Into<String>) -> Self {
        self.spotlight = Some(url.into());
        self
    }

    /// Sends every envelope by a transport of your own instead of our HTTP client.
    ///
    /// It is a function, for your own destination (a file, a queue, a relay) and for measurements,
    /// or a type that implements [`Transport`]. A function is called on the exporter's thread,
    /// once per envelope, with the redacted bytes. It must not block for long, because nothing else
    /// is exported meanwhile. If it panics, the envelope counts as dropped.
    ///
    /// It counts as a sink: everything is recorded even without a DSN. With a DSN, requests have
    /// its address and its key.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use tower_sentry::Config;
    ///
    /// let (envelopes, received) = mpsc::channel();
    /// let transport = move |envelope: &[u8]| drop(envelopes.send(envelope.to_vec()));
    /// let sentry = Config::builder().transport(transport).panic_hook(false).init()?;
    /// tower_sentry::capture_message(tower_sentry::Level::Info, "hello");
    /// drop(sentry);
    /// assert!(String::from_utf8(received.recv()?)?.contains("hello"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }
}
