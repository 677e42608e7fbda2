//! The builder of configurations.

mod events;
mod export;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::config::Config;
use super::env::{Environment, Role};
use super::settings::Settings;
use crate::error::Error;
use crate::export::{BeforeSend, BeforeSendTransaction, IgnoredErrors, Transport};
use crate::redaction::Redaction;
use crate::sampling::TrustParent;

/// Collects settings; [`build`](Self::build) or [`init`](Self::init) checks them.
///
/// Explicit calls win over the environment, whatever their order; of two calls the later one wins.
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `build` or `init`"]
pub struct ConfigBuilder {
    pub(in crate::client) dsn: Option<String>,
    pub(in crate::client) environment: Option<String>,
    pub(in crate::client) release: Option<String>,
    pub(in crate::client) server_name: Option<String>,
    pub(in crate::client) traces_sample_rate: Option<f64>,
    pub(in crate::client) keep_failed: Option<bool>,
    pub(in crate::client) auto_session_tracking: Option<bool>,
    pub(in crate::client) trust_parent: Option<TrustParent>,
    pub(in crate::client) trace_propagation_targets: Vec<String>,
    pub(in crate::client) propagate_traceparent: Option<bool>,
    pub(in crate::client) failed_status_codes: Option<RangeInclusive<u16>>,
    pub(in crate::client) send_default_pii: Option<bool>,
    pub(in crate::client) trusted_hops: Option<usize>,
    pub(in crate::client) redaction: Redaction,
    pub(in crate::client) ignored: IgnoredErrors,
    pub(in crate::client) include_source_context: Option<bool>,
    pub(in crate::client) default_fingerprint: Option<bool>,
    pub(in crate::client) max_attachment_size: Option<usize>,
    pub(in crate::client) enable_logs: Option<bool>,
    pub(in crate::client) security_log: Option<PathBuf>,
    pub(in crate::client) security_target: Option<String>,
    pub(in crate::client) slow_query_threshold: Option<Duration>,
    pub(in crate::client) min_span_duration: Option<Duration>,
    pub(in crate::client) max_breadcrumbs: Option<usize>,
    pub(in crate::client) max_spans: Option<usize>,
    pub(in crate::client) queue_items: Option<usize>,
    pub(in crate::client) queue_bytes: Option<usize>,
    pub(in crate::client) connect_timeout: Option<Duration>,
    pub(in crate::client) request_timeout: Option<Duration>,
    pub(in crate::client) shutdown_timeout: Option<Duration>,
    pub(in crate::client) console: bool,
    pub(in crate::client) spotlight: Option<String>,
    pub(in crate::client) transport: Option<Transport>,
    pub(in crate::client) panic_hook: Option<bool>,
    pub(in crate::client) debug: Option<bool>,
    pub(in crate::client) tags: BTreeMap<String, String>,
    pub(in crate::client) before_send: Option<BeforeSend>,
    pub(in crate::client) before_send_transaction: Option<BeforeSendTransaction>,
    pub(in crate::client) from_environment: Environment,
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

    /// The same for a worker process: `SENTRY_WORKER_DSN` goes before `SENTRY_DSN`.
    pub fn worker_from_vars<K: Into<String>, V: Into<String>>(self, variables: impl IntoIterator<Item = (K, V)>) -> Self {
        self.read(variables.into_iter().map(|(name, value)| (name.into(), Some(value.into()))), Role::Worker)
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

    /// Whom outgoing requests tell of the trace, so that their work continues it: a host (`stock.internal`, its subdomains with `*.stock.internal`), the beginning of
    /// a URL (`https://api.example/v2/`), or `*` for everybody. A trace says to whom it goes what release and environment this is, what the
    /// transaction is called and what key the DSN has; so, other than in Sentry's SDKs, nobody is told who is not named. Defaults to none.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if one of them is none of these.
    pub fn trace_propagation_targets<I>(mut self, targets: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.trace_propagation_targets.extend(targets.into_iter().map(Into::into));
        self
    }

    /// Whether outgoing requests carry W3C's `traceparent` beside `sentry-trace`, for services that know only that. Defaults to `false`.
    pub fn propagate_traceparent(mut self, send: bool) -> Self {
        self.propagate_traceparent = Some(send);
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

    /// From how long on a query of a database is marked as slow (`tower_sentry.slow` on its span). Defaults to 100 ms.
    pub fn slow_query_threshold(mut self, duration: Duration) -> Self {
        self.slow_query_threshold = Some(duration);
        self
    }

    /// Leaves out spans that were shorter, went well and have nothing below them; they are counted as dropped. Defaults to zero: none.
    pub fn min_span_duration(mut self, duration: Duration) -> Self {
        self.min_span_duration = Some(duration);
        self
    }

    /// How many breadcrumbs a request keeps, the newest; 0 keeps none. Defaults to 100.
    pub fn max_breadcrumbs(mut self, count: usize) -> Self {
        self.max_breadcrumbs = Some(count);
        self
    }

    /// How many spans a transaction keeps: those that failed, took long or have others below them before the rest, which is counted. At most 1,000,
    /// which is the default.
    pub fn max_spans(mut self, count: usize) -> Self {
        self.max_spans = Some(count.min(1000));
        self
    }

    /// Whether panics are reported by a hook, installed once per process before the present one. Defaults to `true`.
    pub fn panic_hook(mut self, install: bool) -> Self {
        self.panic_hook = Some(install);
        self
    }

    /// Whether what the crate says about itself goes to standard error too: a server that cannot be reached, limits, what is dropped, spans without a
    /// request, and a line when it is off. Otherwise that goes to `tracing` alone (target `tower_sentry`), and is lost where no layer prints it. Defaults to `false`; on, it is
    /// on for the whole process.
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = Some(debug);
        self
    }

    /// A tag on everything this process sends. A scope's own tag of that name wins.
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(name.into(), value.into());
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
