//! The builder of configurations.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::config::Config;
use super::env::{Environment, Role};
use super::settings::Settings;
use crate::error::Error;
use crate::export::{BeforeSend, BeforeSendTransaction, Transport};
use crate::protocol::{Event, Transaction};
use crate::redaction::Redaction;
use crate::sampling::TrustParent;

/// Collects settings; [`build`](Self::build) or [`init`](Self::init) checks them.
///
/// Explicit calls win over the environment, whatever their order; of two calls the later one wins.
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `build` or `init`"]
pub struct ConfigBuilder {
    pub(super) dsn: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) release: Option<String>,
    pub(super) server_name: Option<String>,
    pub(super) traces_sample_rate: Option<f64>,
    pub(super) keep_failed: Option<bool>,
    pub(super) auto_session_tracking: Option<bool>,
    pub(super) trust_parent: Option<TrustParent>,
    pub(super) failed_status_codes: Option<RangeInclusive<u16>>,
    pub(super) send_default_pii: Option<bool>,
    pub(super) trusted_hops: Option<usize>,
    pub(super) redaction: Redaction,
    pub(super) max_breadcrumbs: Option<usize>,
    pub(super) max_spans: Option<usize>,
    pub(super) queue_items: Option<usize>,
    pub(super) queue_bytes: Option<usize>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) request_timeout: Option<Duration>,
    pub(super) shutdown_timeout: Option<Duration>,
    pub(super) console: bool,
    pub(super) spotlight: Option<String>,
    pub(super) transport: Option<Transport>,
    pub(super) panic_hook: Option<bool>,
    pub(super) debug: Option<bool>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) before_send: Option<BeforeSend>,
    pub(super) before_send_transaction: Option<BeforeSendTransaction>,
    pub(super) from_environment: Environment,
}

impl ConfigBuilder {
    /// Takes what was not set by hand from the environment.
    ///
    /// | variable | setting |
    /// |---|---|
    /// | `SENTRY_DSN` | [`dsn`](Self::dsn); blank means off |
    /// | `SENTRY_ENVIRONMENT`, then `ENVIRONMENT` | [`environment`](Self::environment) |
    /// | `SENTRY_RELEASE`, then `GIT_COMMIT` | [`release`](Self::release); the literal `unknown` counts as none |
    /// | `SENTRY_TRACES_SAMPLE_RATE` | [`traces_sample_rate`](Self::traces_sample_rate) |
    /// | `SENTRY_SEND_DEFAULT_PII` | [`send_default_pii`](Self::send_default_pii) |
    /// | `SENTRY_SPOTLIGHT` | [`spotlight`](Self::spotlight): `1`, `0` or a URL |
    /// | `SENTRY_DEBUG` | [`debug`](Self::debug) |
    ///
    /// `SENTRY_PROFILES_SAMPLE_RATE`, `SENTRY_PROFILE_SESSION_SAMPLE_RATE` and `SENTRY_SPOOL_DIR` are checked and answered with a
    /// warning, since this version neither profiles nor spools. A name close to one of these is warned about, never guessed.
    pub fn from_env(self) -> Self {
        self.read(variables(), Role::Server)
    }

    /// The same for a worker process: `SENTRY_WORKER_DSN` goes before `SENTRY_DSN`.
    pub fn worker_from_env(self) -> Self {
        self.read(variables(), Role::Worker)
    }

    /// Takes what was not set by hand from these variables instead of the process's own: for tests, and for values out of a file.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// let error = Config::builder()
    ///     .from_vars([("SENTRY_DSN", "https://key@sentry.example/1"), ("SENTRY_TRACES_SAMPLE_RATE", "2.0")])
    ///     .build()
    ///     .unwrap_err();
    /// assert_eq!(error.to_string(), "SENTRY_TRACES_SAMPLE_RATE: expected a number from 0.0 to 1.0, found '2'");
    /// ```
    pub fn from_vars<K: Into<String>, V: Into<String>>(self, variables: impl IntoIterator<Item = (K, V)>) -> Self {
        self.read(variables.into_iter().map(|(name, value)| (name.into(), Some(value.into()))), Role::Server)
    }

    fn read(mut self, variables: impl IntoIterator<Item = (String, Option<String>)>, role: Role) -> Self {
        self.from_environment = Environment::read(variables, role);
        self
    }

    /// Where to send to. Blank is off. Defaults to none: everything is a no-op.
    pub fn dsn(mut self, dsn: impl Into<String>) -> Self {
        self.dsn = Some(dsn.into());
        self
    }

    /// Where the service runs: at most 64 characters, no slash, not `none`. Defaults to `production`.
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Which version runs, such as [`release!()`](crate::release!): at most 200 characters, no slash, not `latest`. Defaults to none.
    pub fn release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// The machine's name. Defaults to none: a host name can tell about its owner.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// The share of transactions to send, from `0.0` to `1.0`. A rate of `0.0` is final: nothing keeps a transaction then.
    ///
    /// A parent's decision is followed as [`trust_parent`](Self::trust_parent) allows, and a failed request is kept as
    /// [`keep_failed`](Self::keep_failed) says. Errors are not sampled. Defaults to `0.1`.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if `rate` is outside `0.0..=1.0` or not a number.
    pub fn traces_sample_rate(mut self, rate: f64) -> Self {
        self.traces_sample_rate = Some(rate);
        self
    }

    /// Whether the transaction of a failed request (5xx, error captured, panic) is sent although sampling said no,
    /// at most 10 a second (burst 100). Spans are then recorded in every request, and thrown away at its end. Defaults to `true`.
    ///
    /// With `false` nothing is recorded of a request that is not sampled but its ids, route and URL: the events of such a request carry neither
    /// headers nor breadcrumbs.
    pub fn keep_failed(mut self, keep: bool) -> Self {
        self.keep_failed = Some(keep);
        self
    }

    /// Whether requests are counted for release health: each is a session that went well, had an error captured, or panicked. Counts of each
    /// minute are sent once a minute, whatever is sampled; only with a [`release`](Self::release), and not for ignored routes. An event that
    /// `before_send` drops has been counted. Defaults to `true`.
    pub fn auto_session_tracking(mut self, track: bool) -> Self {
        self.auto_session_tracking = Some(track);
        self
    }

    /// How far other services' sampling decisions are followed. Defaults to [`TrustParent::Always`].
    pub fn trust_parent(mut self, trust: TrustParent) -> Self {
        self.trust_parent = Some(trust);
        self
    }

    /// Which response codes count as a failure of this service. Defaults to `500..=599`.
    pub fn failed_status_codes(mut self, codes: RangeInclusive<u16>) -> Self {
        self.failed_status_codes = Some(codes);
        self
    }

    /// Whether what may name a person or an address is sent: headers like `X-Forwarded-For` and `Via`, and the client's address (see
    /// [`trusted_hops`](Self::trusted_hops)). Credentials never are. Defaults to `false`.
    pub fn send_default_pii(mut self, send: bool) -> Self {
        self.send_default_pii = Some(send);
        self
    }

    /// How many proxies of your own stand before this service. With [`send_default_pii`](Self::send_default_pii) on, the client's address is
    /// the one that the outermost of them saw: the entry that many places before the end of `X-Forwarded-For`. What a client writes into
    /// that header never counts. Defaults to 0: the address at the other end of the connection, where axum's
    /// `into_make_service_with_connect_info::<SocketAddr>()` tells it.
    pub fn trusted_hops(mut self, proxies: usize) -> Self {
        self.trusted_hops = Some(proxies);
        self
    }

    /// Rules on top of the built-in ones.
    pub fn redaction(mut self, rules: Redaction) -> Self {
        self.redaction = rules;
        self
    }

    /// How many breadcrumbs a request keeps, the newest; 0 keeps none. Defaults to 100.
    pub fn max_breadcrumbs(mut self, count: usize) -> Self {
        self.max_breadcrumbs = Some(count);
        self
    }

    /// How many spans a transaction keeps, the first; the rest is counted. At most 1,000, which is the default.
    pub fn max_spans(mut self, count: usize) -> Self {
        self.max_spans = Some(count.min(1000));
        self
    }

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

    /// How long a connection to the server may take to stand. Defaults to 3 s.
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

    /// Whether panics are reported by a hook, installed once per process before the present one. Defaults to `true`.
    pub fn panic_hook(mut self, install: bool) -> Self {
        self.panic_hook = Some(install);
        self
    }

    /// Whether the crate says more about itself (a line when it is off). Defaults to `false`.
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = Some(debug);
        self
    }

    /// A tag on everything this process sends. A scope's own tag of that name wins.
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(name.into(), value.into());
        self
    }

    /// Sees every error event before it is redacted and sent, on the exporter's thread; may change it, or drop it with `None`.
    /// A hook that panics withholds the event's contents: ids, times and types are sent.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// let config = Config::builder().before_send(|mut event| {
    ///     event.tags.insert("seen".into(), "yes".into());
    ///     Some(event)
    /// });
    /// ```
    pub fn before_send(mut self, hook: impl Fn(Event) -> Option<Event> + Send + Sync + 'static) -> Self {
        self.before_send = Some(Arc::new(hook));
        self
    }

    /// The same for transactions.
    pub fn before_send_transaction(mut self, hook: impl Fn(Transaction) -> Option<Transaction> + Send + Sync + 'static) -> Self {
        self.before_send_transaction = Some(Arc::new(hook));
        self
    }

    /// Checks the settings. Starts nothing.
    ///
    /// # Errors
    ///
    /// If a setting cannot be used. Values out of the environment are an error only when there is a DSN or a local sink:
    /// a service that did not ask for monitoring is not stopped by it, and gets a warning.
    pub fn build(self) -> Result<Config, Error> {
        Settings::resolve(self).map(Config::new)
    }
}

impl fmt::Debug for ConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The DSN is text still, and holds a key.
        f.debug_struct("ConfigBuilder").field("environment", &self.environment).field("release", &self.release).finish_non_exhaustive()
    }
}

fn variables() -> impl Iterator<Item = (String, Option<String>)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok())))
}
