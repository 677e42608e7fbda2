//! Settings of the exporter: queue limits, timeouts and destinations.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::ConfigBuilder;
use crate::transport::{ConsoleForm, Transport};

impl ConfigBuilder {
    /// The number of items that may wait for the exporter.
    ///
    /// Defaults to 1,000.
    pub fn queue_items(self, items: usize) -> Self {
        self.set("queue", |settings| settings.delivery.queue_items = items)
    }

    /// The number of bytes that may wait for the exporter.
    ///
    /// Defaults to 12 MiB.
    pub fn queue_bytes(self, bytes: usize) -> Self {
        self.set("queue", |settings| settings.delivery.queue_bytes = bytes)
    }

    /// Keeps envelopes in this folder until the server has them. Off by default.
    ///
    /// Each envelope is written to disk before it is sent. What could not be sent is sent later: by this
    /// process after an outage, or by the next one on this machine if this one is killed. Events that
    /// still wait in the queue are lost if the process is killed;
    /// [`Client::flush`](crate::Client::flush) returns `Ok` once all are sent or on disk. A loss of power
    /// can lose the last seconds, unless [`spool_sync`](Self::spool_sync) is set. An envelope may arrive
    /// twice, with the same event id.
    ///
    /// - What is written is redacted, and only the owner of the process can read it. Use a folder of its
    ///   own that no other user can write to.
    /// - [`spool_max_bytes`](Self::spool_max_bytes) limits its size, besides 1,000 files and 24 hours.
    ///   The oldest go first: logs and sessions, then transactions, last errors. They are counted as
    ///   [`CacheOverflow`](crate::protocol::DiscardReason::CacheOverflow).
    /// - Several processes may share the folder. Each takes over what dead ones left for the same DSN,
    ///   at its start and once a minute. Network file systems are not supported.
    /// - If the disk fails, or its file system has less than 100 MiB free (on a small one, less than 5 %),
    ///   a warning says so, and events wait in memory. The disk is tried again every 30 s.
    /// - A disk that hangs, such as a network disk without its server, holds up the sending once, for a
    ///   second. Then a warning says so, and events are sent from memory until the disk answers. No flush
    ///   or shutdown waits beyond its deadline.
    ///
    /// [`build`](Self::build) fails if the path is not a folder. If the folder cannot be made, or another
    /// user can write to it, a warning says so.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use tower_sentry::Config;
    ///
    /// let sentry = Config::builder().from_env().spool_dir("/var/lib/shop/sentry").init()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spool_dir(self, dir: impl Into<PathBuf>) -> Self {
        self.set("spool_dir", |settings| settings.delivery.spool_dir = Some(dir.into()))
    }

    /// The number of bytes that [`spool_dir`](Self::spool_dir) may take for this process.
    ///
    /// Defaults to 50 MiB.
    pub fn spool_max_bytes(self, bytes: u64) -> Self {
        self.set("spool_max_bytes", |settings| settings.delivery.spool_max_bytes = bytes)
    }

    /// Whether the [spool](Self::spool_dir) waits for the disk itself, so that its envelopes survive a
    /// loss of power.
    ///
    /// Each envelope then takes as long as the disk needs for a write, about 1 to 10 ms. Requests do not
    /// wait for it. Defaults to `false`: written envelopes survive the death of the process, not that of the machine.
    pub fn spool_sync(self, sync: bool) -> Self {
        self.set("spool_sync", |settings| settings.delivery.spool_sync = sync)
    }

    /// How long connecting to the server may take, including the handshakes of TLS and a proxy.
    ///
    /// Defaults to 3 s.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.set("connect_timeout", |settings| settings.delivery.http.connect_timeout = timeout)
    }

    /// How long one attempt may take until the server's answer begins.
    ///
    /// It includes connecting and sending the envelope; one of more than 64 KiB has a second more
    /// for each 64 KiB. After that, the envelope is sent once more at once, over a new connection: a
    /// single backend that hangs behind a load balancer then holds up nothing else. A longer
    /// [`request_timeout`](Self::request_timeout) does not change this limit. It has no effect on a
    /// transport of your own.
    ///
    /// Defaults to 3 s.
    pub fn first_byte_timeout(self, timeout: Duration) -> Self {
        self.set("first_byte_timeout", |settings| settings.delivery.http.first_byte_timeout = timeout)
    }

    /// How long one attempt to send may take in total.
    ///
    /// Defaults to 10 s.
    pub fn request_timeout(self, timeout: Duration) -> Self {
        self.set("request_timeout", |settings| settings.delivery.http.request_timeout = timeout)
    }

    /// Whether envelopes are compressed with gzip on their way to the server and to Spotlight.
    ///
    /// Switch it off if they go to a program on the same machine, such as Sentry's Relay as a local
    /// agent. Compression takes a fifth of the exporter's time, and leaves a third of the bytes. This has
    /// no effect on a [`transport`](Self::transport) of your own, or on the files of the
    /// [spool](Self::spool_dir).
    ///
    /// Defaults to `true`. Envelopes of less than 1 KiB are never compressed.
    pub fn http_compression(self, enabled: bool) -> Self {
        self.set("http_compression", |settings| settings.delivery.http.compression = enabled)
    }

    /// Sends with this HTTP client instead of ours. Needs the feature `reqwest`.
    ///
    /// Use it for what the settings here do not cover: client certificates (mTLS), a resolver of
    /// your own, other TLS backends. The client's own settings for proxies, certificates, redirects
    /// and connecting apply; `request_timeout` applies as well. Build it as in the example:
    ///
    /// - Switch redirects off. A redirected request would carry the project's key to another host.
    /// - Close idle connections before the server does: Sentry's close after 5 s.
    ///
    /// [`build`](Self::build) fails if [`proxy`](Self::proxy) or `ca_certificate` is set as well.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use tower_sentry::Config;
    ///
    /// let client = reqwest::Client::builder()
    ///     .redirect(reqwest::redirect::Policy::none())
    ///     .pool_idle_timeout(Duration::from_secs(4))
    ///     .connect_timeout(Duration::from_secs(3))
    ///     // .identity(..), .dns_resolver(..), .tls_backend_preconfigured(..)
    ///     .build()?;
    /// let sentry = Config::builder().from_env().http_client(client).init()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "reqwest")]
    pub fn http_client(self, client: reqwest::Client) -> Self {
        self.set("http_client", |settings| settings.delivery.http.client = Some(client))
    }

    /// Sends through this proxy. Needs the feature `reqwest`.
    ///
    /// The scheme is `http`, `https`, `socks5` (host names are resolved here) or `socks5h` (by the
    /// proxy); the URL may contain a user and a password. Servers on this machine are always
    /// reached directly. A blank text means no proxy.
    ///
    /// Defaults to the proxy in `HTTPS_PROXY` or `HTTP_PROXY`, by the scheme of the DSN, then
    /// `ALL_PROXY`, unless `NO_PROXY` lists the host. On macOS and Windows, the system's settings
    /// are the fallback.
    ///
    /// [`build`](Self::build) fails if the URL cannot be read, also if it comes from the
    /// environment: envelopes never bypass a proxy.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// let builder = Config::builder().dsn("https://key@sentry.example/1");
    /// assert!(builder.clone().proxy("http://proxy.internal:3128").build().is_ok());
    /// assert!(builder.proxy("gopher://proxy.internal").build().is_err());
    /// ```
    #[cfg(feature = "reqwest")]
    pub fn proxy(self, url: impl Into<String>) -> Self {
        self.set("proxy", |settings| settings.delivery.http.proxy = Some(url.into()))
    }

    /// Trusts the authorities of these certificates, besides those that the platform trusts. Needs
    /// the feature `rustls`.
    ///
    /// The text is in PEM and may contain several certificates; several calls add up. On Linux and
    /// other Unix systems except macOS, the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the
    /// platform's authorities without a change of the code.
    ///
    /// [`build`](Self::build) fails if the text contains no certificate, or one that cannot be read.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use tower_sentry::Config;
    ///
    /// let authority = std::fs::read("/etc/ssl/our-authority.pem")?;
    /// let sentry = Config::builder().from_env().ca_certificate(authority).init()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "rustls")]
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.texts.ca_certificates.push(pem.into());
        self.set("ca_certificate", |_| {})
    }

    /// How long dropping the guard or the last client may wait for delivery.
    ///
    /// Defaults to 2 s.
    pub fn shutdown_timeout(self, timeout: Duration) -> Self {
        self.set("shutdown_timeout", |settings| settings.delivery.shutdown_timeout = timeout)
    }

    /// Prints recorded data to standard output: transactions as trees, errors with their chain.
    ///
    /// This is for development. It counts as a sink: everything is recorded even without a DSN.
    ///
    /// On a terminal there are colours, and a bar for each span shows when it ran: red if it failed,
    /// yellow if it was slow. A file or a pipe gets plain lines. `NO_COLOR` switches colours off,
    /// `CLICOLOR_FORCE` on, also for a file (<https://no-color.org>, <https://bixense.com/clicolors/>).
    ///
    /// Defaults to `false`.
    pub fn console(self, print: bool) -> Self {
        self.set("console", |settings| settings.delivery.console = print.then_some(ConsoleForm::Whole))
    }

    /// Prints one line for each transaction and each error, in place of what [`console`](Self::console)
    /// prints. The later call of the two counts.
    pub fn console_lines(self) -> Self {
        self.set("console", |settings| settings.delivery.console = Some(ConsoleForm::Lines))
    }

    /// Sends a copy of everything to a Spotlight sidecar at this URL.
    ///
    /// It counts as a sink: everything is recorded even without a DSN. Defaults to none.
    pub fn spotlight(mut self, url: impl Into<String>) -> Self {
        self.texts.spotlight = Some(url.into());
        self.set("spotlight", |_| {})
    }

    /// Sends the spans of each transaction to an OpenTelemetry collector too. Needs the feature `otlp`.
    ///
    /// Sentry and the collector get the same spans with the same ids; see [`guide::otlp`](crate::guide::otlp). The
    /// variables of OpenTelemetry are read only by [`Otlp::from_env`](crate::otlp::Otlp::from_env). The settings for
    /// timeouts, the proxy, certificates and compression apply to the collector as well.
    ///
    /// It counts as a sink: everything is recorded even without a DSN. Then only the collector gets something, and only
    /// spans. Defaults to none.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if a part of the setting is not valid; see [`Otlp`](crate::otlp::Otlp).
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    /// use tower_sentry::otlp::Otlp;
    ///
    /// let builder = Config::builder().dsn("http://0123456789abcdef0123456789abcdef@sentry.example/1");
    /// assert!(builder.clone().otlp(Otlp::new("http://127.0.0.1:4318")).build().is_ok());
    ///
    /// let error = builder.otlp(Otlp::new("127.0.0.1:4318")).build().unwrap_err();
    /// assert_eq!(error.to_string(), "otlp: expected a URL with the scheme http or https and without a user");
    /// ```
    #[cfg(feature = "otlp")]
    pub fn otlp(self, collector: crate::otlp::Otlp) -> Self {
        self.set("otlp", |settings| settings.delivery.otlp = Some(collector))
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
    pub fn transport(self, transport: impl Transport) -> Self {
        self.set("transport", |settings| settings.delivery.transport = Some(Arc::new(transport)))
    }
}
