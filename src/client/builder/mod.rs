//! The builder of configurations.

mod alerts;
mod budgets;
mod events;
mod export;
mod hooks;
mod live;
#[cfg(feature = "profiling")]
mod profiling;
mod sampling;

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::config::Config;
use super::env::{Environment, Role};
use super::settings::{Settings, Source};
use crate::error::Error;
use crate::redaction::Redaction;
use crate::status_codes::StatusCodes;

/// Collects settings; [`build`](Self::build) or [`init`](Self::init) checks them.
///
/// Explicit calls override the environment, in any order. Of two calls of the same method,
/// the later one wins; methods that take a list add to it.
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `build` or `init`"]
pub struct ConfigBuilder {
    /// Explicit values and defaults.
    pub(in crate::client) settings: Settings,
    pub(in crate::client) texts: Texts,
    pub(in crate::client) from_environment: Environment,
}

/// Explicit values that [`build`](ConfigBuilder::build) reads and checks.
#[derive(Clone, Default)]
pub(in crate::client) struct Texts {
    pub(in crate::client) dsn: Option<String>,
    pub(in crate::client) default_traces_sample_rate: Option<f64>,
    pub(in crate::client) spotlight: Option<String>,
    pub(in crate::client) lock_file: Option<Cow<'static, str>>,
    #[cfg(feature = "rustls")]
    pub(in crate::client) ca_certificates: Vec<Vec<u8>>,
    pub(in crate::client) security_log: Option<PathBuf>,
    pub(in crate::client) security_target: Option<String>,
    pub(in crate::client) settings_file: Option<PathBuf>,
    pub(in crate::client) reload_on_sighup: bool,
    pub(in crate::client) trace_propagation_targets: Vec<String>,
}

impl ConfigBuilder {
    /// Reads settings from the environment, unless they are set explicitly.
    ///
    /// | variable | setting |
    /// |---|---|
    /// | `SENTRY_DSN` | [`dsn`](Self::dsn); blank means off |
    /// | `SENTRY_ENVIRONMENT`, then `ENVIRONMENT` | [`environment`](Self::environment) |
    /// | `SENTRY_RELEASE`, then `GIT_COMMIT` | [`release`](Self::release); the literal `unknown` counts as none |
    /// | `SENTRY_TRACES_SAMPLE_RATE` | [`traces_sample_rate`](Self::traces_sample_rate) |
    /// | `SENTRY_PROFILES_SAMPLE_RATE` | `profiles_sample_rate`, with the feature `profiling` |
    /// | `SENTRY_PROFILE_SESSION_SAMPLE_RATE` | `profile_session_sample_rate`, with the feature `profiling` |
    /// | `SENTRY_ROUTES` | [`routes`](Self::routes), as JSON |
    /// | `SENTRY_SEND_DEFAULT_PII` | [`send_default_pii`](Self::send_default_pii) |
    /// | `SENTRY_SPOTLIGHT` | [`spotlight`](Self::spotlight): `1`, `0` or a URL |
    /// | `SENTRY_SPOOL_DIR` | [`spool_dir`](Self::spool_dir) |
    /// | `SENTRY_DEBUG` | [`debug`](Self::debug) |
    ///
    /// Other programs may use `ENVIRONMENT` and `GIT_COMMIT` too. If their value is not a valid name,
    /// slashes and control characters become `-`, long values are cut, and a warning says so.
    ///
    /// Without the feature `profiling`, its variables are checked, and cause a warning if they are above 0. A variable
    /// whose name is close to one of these also causes a warning; its value is not used.
    pub fn from_env(self) -> Self {
        self.read(variables(), Role::Server)
    }

    /// Like [`from_env`](Self::from_env), for a worker process: `SENTRY_WORKER_DSN` takes
    /// precedence over `SENTRY_DSN`.
    pub fn worker_from_env(self) -> Self {
        self.read(variables(), Role::Worker)
    }

    /// Like [`from_env`](Self::from_env), with these variables instead of the process's
    /// environment.
    ///
    /// Use it in tests, and for values from a file.
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

    /// Like [`from_vars`](Self::from_vars), for a worker process: `SENTRY_WORKER_DSN` takes
    /// precedence over `SENTRY_DSN`.
    pub fn worker_from_vars<K: Into<String>, V: Into<String>>(self, variables: impl IntoIterator<Item = (K, V)>) -> Self {
        self.read(variables.into_iter().map(|(name, value)| (name.into(), Some(value.into()))), Role::Worker)
    }

    fn read(mut self, variables: impl IntoIterator<Item = (String, Option<String>)>, role: Role) -> Self {
        self.from_environment = Environment::read(variables, role);
        self
    }

    /// The address and key of the project that receives the data.
    ///
    /// A blank text means none. Defaults to none: nothing is sent to a server.
    pub fn dsn(mut self, dsn: impl Into<String>) -> Self {
        self.texts.dsn = Some(dsn.into());
        self.set("dsn", |_| {})
    }

    /// The environment the service runs in: at most 64 characters, no slash, not `none`.
    ///
    /// Defaults to `production`.
    pub fn environment(self, environment: impl Into<String>) -> Self {
        self.set("environment", |settings| settings.facts.environment = environment.into())
    }

    /// The version of the service, such as [`release!()`](crate::release!).
    ///
    /// At most 200 characters, no slash, not `latest`. Defaults to none.
    pub fn release(self, release: impl Into<String>) -> Self {
        self.set("release", |settings| settings.facts.release = Some(release.into()))
    }

    /// What this client is called in log lines and [`Stats`](crate::Stats), for a process with several clients.
    ///
    /// It is not sent. One to 64 characters, without control characters. Defaults to none: in the log, such clients are
    /// numbered.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// let payments = Config::builder().client_name("payments");
    /// let catalog = Config::builder().client_name("catalog");
    /// # assert!(payments.build().is_ok() && catalog.build().is_ok());
    /// ```
    pub fn client_name(self, name: impl Into<String>) -> Self {
        self.set("client_name", |settings| settings.delivery.client_name = name.into())
    }

    /// The name of the machine.
    ///
    /// Defaults to none, because a host name can reveal its owner.
    pub fn server_name(self, name: impl Into<String>) -> Self {
        self.set("server_name", |settings| settings.facts.server_name = Some(name.into()))
    }

    /// Adds the names and versions of the packages that the program is built from to each event.
    ///
    /// Takes the text of the workspace's `Cargo.lock`. Sentry shows the list with each event, so you see which version of
    /// a driver a failure was in. The list has at most 8 KB. If not all fit, the direct dependencies of the workspace come
    /// first, and a warning says how many packages are left out. Any other text is an error of [`build`](Self::build).
    /// Hooks do not see the list. Defaults to none.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// // In `src/main.rs` of a crate without a workspace: "../Cargo.lock".
    /// let config = Config::builder().modules(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")));
    /// # assert!(config.build().is_ok());
    /// ```
    pub fn modules(mut self, lock_file: impl Into<Cow<'static, str>>) -> Self {
        self.texts.lock_file = Some(lock_file.into());
        self.set("modules", |_| {})
    }

    /// Whether to count requests for release health.
    ///
    /// Each request is one session: it went well, failed, or panicked. It failed if its response
    /// did, or if an event of level error was captured. The counts per minute are sent once a
    /// minute, regardless of sampling. This needs a [`release`](Self::release), and ignored routes
    /// are not counted. An event that `before_send` drops still counts. Defaults to `true`.
    pub fn auto_session_tracking(self, track: bool) -> Self {
        self.set("auto_session_tracking", |settings| settings.auto_session_tracking = track)
    }

    /// The hosts or URLs that receive trace headers, so that they can continue the trace.
    ///
    /// | target | matches |
    /// |---|---|
    /// | `stock.internal` | this host |
    /// | `*.stock.internal` | its subdomains |
    /// | `https://api.example/v2/` | URLs with this scheme, host, port and beginning of the path |
    /// | `*` | all hosts |
    ///
    /// Trace headers reveal the release, the environment, the transaction's name and the DSN's
    /// public key. So, unlike in Sentry's SDKs, no host receives them unless it is listed here.
    /// Repeated calls add to the list. Defaults to none.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if a target has none of these forms.
    pub fn trace_propagation_targets<I>(mut self, targets: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.texts.trace_propagation_targets.extend(targets.into_iter().map(Into::into));
        self.set("trace_propagation_targets", |_| {})
    }

    /// Whether outgoing requests carry W3C's `traceparent` in addition to `sentry-trace`.
    ///
    /// Use it for services that support only `traceparent`. Defaults to `false`.
    pub fn propagate_traceparent(self, send: bool) -> Self {
        self.set("propagate_traceparent", |settings| settings.propagation.traceparent = send)
    }

    /// The response codes that count as a failure of this service.
    ///
    /// Defaults to `500..=599`.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if a number is outside 100 to 999, or a range is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    /// use tower_sentry::incoming::StatusCodes;
    ///
    /// let config = Config::builder().failed_status_codes(StatusCodes::from(500..=599).with(429)).build()?;
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn failed_status_codes(self, codes: impl Into<StatusCodes>) -> Self {
        self.set("failed_status_codes", |settings| settings.failed_status_codes = Arc::new(codes.into()))
    }

    /// Whether to send data that may identify a person.
    ///
    /// This covers headers like `X-Forwarded-For` and `Via`, and the client's address (see
    /// [`trusted_hops`](Self::trusted_hops)). Credentials are never sent. Defaults to `false`.
    pub fn send_default_pii(self, send: bool) -> Self {
        self.set("send_default_pii", |settings| settings.privacy.send_default_pii = send)
    }

    /// The number of your own proxies in front of this service, from which the client's address is
    /// derived.
    ///
    /// The address is sent only if [`send_default_pii`](Self::send_default_pii) is on. It is the
    /// address that the outermost proxy saw: with `n` hops, the `n`th entry of `X-Forwarded-For`
    /// from the end. Entries that a client writes into that header are never used. Without the
    /// header, it is the address of the connection's peer; with fewer entries, none is sent.
    ///
    /// It also sets which entry of `X-Forwarded-Proto` or `Forwarded` gives the scheme of the URL.
    ///
    /// Defaults to 0: the address of the connection's peer, which needs axum's
    /// `into_make_service_with_connect_info::<SocketAddr>()`.
    pub fn trusted_hops(self, proxies: usize) -> Self {
        self.set("trusted_hops", |settings| settings.privacy.trusted_hops = proxies)
    }

    /// Sets redaction rules in addition to the built-in ones.
    pub fn redaction(self, rules: Redaction) -> Self {
        self.set("redaction", |settings| settings.privacy.redaction = Arc::new(rules))
    }

    /// The duration from which a database query is marked as slow (`tower_sentry.slow` on its
    /// span).
    ///
    /// Defaults to 100 ms.
    pub fn slow_query_threshold(self, duration: Duration) -> Self {
        self.set("slow_query_threshold", |settings| settings.facts.slow_query = duration)
    }

    /// Leaves out spans shorter than this, if they were successful and have no children.
    ///
    /// They are counted as dropped. Defaults to zero: no spans are left out.
    pub fn min_span_duration(self, duration: Duration) -> Self {
        self.set("min_span_duration", |settings| settings.limits.min_span_duration = duration)
    }

    /// The number of breadcrumbs that a request keeps; the oldest are removed first.
    ///
    /// With 0, none are kept. Defaults to 100.
    pub fn max_breadcrumbs(self, count: usize) -> Self {
        self.set("max_breadcrumbs", |settings| settings.limits.max_breadcrumbs = count)
    }

    /// The number of spans that a transaction keeps.
    ///
    /// Beyond the limit, spans that failed, took long or have children are preferred. The rest is
    /// dropped and counted. Defaults to 1,000.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if `count` is above 1,000: servers refuse larger transactions.
    pub fn max_spans(self, count: usize) -> Self {
        self.set("max_spans", |settings| settings.limits.max_spans = count)
    }

    /// Whether to report panics.
    ///
    /// A panic hook is installed once per process, and then calls the hook that was there before. If
    /// another hook replaces it, panics in requests, jobs and bound tasks are still reported, without
    /// their place. Defaults to `true`.
    pub fn panic_hook(self, install: bool) -> Self {
        self.set("panic_hook", |settings| settings.panic_hook = install)
    }

    /// Whether the crate's own messages also go to standard error.
    ///
    /// They cover an unreachable server, limits, dropped data, spans outside any request, and a
    /// line if monitoring is off. Without `debug`, messages go to `tracing` (target `tower_sentry`).
    /// Warnings that no layer shows go to standard error, the same one at most once a minute.
    ///
    /// Once one client enables it, it is on for the whole process. Defaults to `false`.
    pub fn debug(self, debug: bool) -> Self {
        self.set("debug", |settings| settings.debug = debug)
    }

    /// Adds a tag to everything this process sends.
    ///
    /// A tag of the same name on a scope takes precedence.
    pub fn tag(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.set("tag", |settings| drop(settings.facts.tags.insert(name.into(), value.into())))
    }

    /// Changes a setting. `setting` is the name of its row in the output of [`Config`].
    fn set(mut self, setting: &'static str, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self.settings.sources.push((setting, Source::Builder));
        self
    }

    /// Checks the settings, without starting anything.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is invalid. Invalid environment variables, and an invalid
    /// `environment`, `release`, `spool_dir` or `settings_file`, are errors only if anything is
    /// recorded. Otherwise they cause a warning: a service without monitoring must still start.
    pub fn build(self) -> Result<Config, Error> {
        Settings::resolve(self).map(Config::new)
    }
}

impl fmt::Debug for ConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The DSN is still plain text here, and contains a key.
        f.debug_struct("ConfigBuilder")
            .field("environment", &self.settings.facts.environment)
            .field("release", &self.settings.facts.release)
            .finish_non_exhaustive()
    }
}

fn variables() -> impl Iterator<Item = (String, Option<String>)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok())))
}
