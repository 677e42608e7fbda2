//! Settings, and the hand-over to the exporter.

mod builder;
mod config;
mod env;
mod names;
mod resolve;
mod settings;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

pub use builder::ConfigBuilder;
pub use config::Config;
use names::Names;
pub(crate) use settings::Settings;

use crate::error::{Error, FlushError};
use crate::export::{Exporter, Facts, Item, SessionEnd, Stats, diagnostics, is_security};
use crate::protocol::{Category, DiscardReason};
use crate::record::{LogLine, Record};
use crate::redaction::Redactor;
use crate::sampling::Budget;

/// Requests a second that a parent's decision may add to the own rate, and at once.
const INHERITED: (f64, f64) = (10.0, 100.0);
/// Requests a second that are kept although the head said no, and at once.
const KEPT: (f64, f64) = (10.0, 100.0);
/// Events a second that say no more than that a response failed, and at once: an outage must not become a flood.
const FAILURES: (f64, f64) = (10.0, 100.0);

/// A handle to one exporter: cheap to clone, shared by layers, workers and hooks.
///
/// The drop of the last handle delivers what is waiting, for at most the configured shutdown timeout (2 s by default).
/// A client without a DSN and without a local sink is **off**: the same type, no thread, no socket, and nothing is recorded.
///
/// # Examples
///
/// ```
/// use tower_sentry::{Client, Config};
///
/// let client = Client::from(Config::builder().build()?);
/// assert!(!client.is_enabled());
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Client {
    inner: Option<Arc<Inner>>,
}

pub(crate) struct Inner {
    exporter: Exporter,
    settings: Arc<Settings>,
    inherited: Mutex<Budget>,
    kept: Mutex<Budget>,
    names: Mutex<Names>,
    failures: Mutex<Budget>,
}

impl Client {
    /// A client that is off.
    pub(crate) const fn off() -> Self {
        Self { inner: None }
    }

    /// Starts the exporter of `settings`, or gives a client that is off where there is nowhere to send to.
    pub(crate) fn start(settings: &Arc<Settings>) -> Result<Self, Error> {
        if settings.debug {
            diagnostics::aloud();
        }
        for warning in &settings.warnings {
            diagnostics::warn(warning);
        }
        if !settings.is_on() {
            if settings.debug {
                diagnostics::info("Sentry is off: no DSN is set");
            }
            return Ok(Self::off());
        }
        let exporter = Exporter::start(export_settings(settings))?;
        Ok(Self {
            inner: Some(Arc::new(Inner {
                exporter,
                settings: Arc::clone(settings),
                inherited: Mutex::new(Budget::new(INHERITED.0, INHERITED.1)),
                kept: Mutex::new(Budget::new(KEPT.0, KEPT.1)),
                names: Mutex::default(),
                failures: Mutex::new(Budget::new(FAILURES.0, FAILURES.1)),
            })),
        })
    }

    /// Whether anything is recorded.
    pub fn is_enabled(&self) -> bool {
        self.inner.is_some()
    }

    /// What was captured, sent and dropped so far. All zero while the client is off.
    pub fn stats(&self) -> Stats {
        self.inner.as_ref().map(|inner| inner.exporter.stats()).unwrap_or_default()
    }

    /// Waits until everything captured so far is delivered or dropped. Needs no runtime.
    ///
    /// # Errors
    ///
    /// If something is still waiting after `timeout`.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the delivery as it is; nothing is lost by it.
    pub async fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.finish(timeout, false).await
    }

    /// Waits like [`flush`](Self::flush), then takes nothing more: what comes later is counted as dropped.
    ///
    /// # Errors
    ///
    /// If something was still waiting after `timeout`. It is dropped and counted.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the shutdown going on by itself.
    pub async fn shutdown(&self, timeout: Duration) -> Result<(), FlushError> {
        self.finish(timeout, true).await
    }

    async fn finish(&self, timeout: Duration, close: bool) -> Result<(), FlushError> {
        let Some(inner) = self.inner.clone() else { return Ok(()) };
        let (done, answer) = tokio::sync::oneshot::channel();
        // A thread of its own watches the clock: the caller's runtime may have no timer, and must not be blocked.
        let spawned = std::thread::Builder::new().name("tower-sentry-flush".to_owned()).spawn(move || {
            // Whoever asked may have gone.
            let _ = done.send(inner.exporter.flush(timeout, close));
        });
        match spawned {
            Ok(_) => answer.await.unwrap_or(Ok(())),
            Err(_) => self.close_blocking(timeout, close),
        }
    }

    /// The same for those who cannot wait asynchronously; blocks the calling thread for at most `timeout`.
    pub(crate) fn close_blocking(&self, timeout: Duration, close: bool) -> Result<(), FlushError> {
        self.inner.as_ref().map_or(Ok(()), |inner| inner.exporter.flush(timeout, close))
    }

    pub(crate) fn settings(&self) -> Option<&Settings> {
        self.inner.as_deref().map(|inner| &*inner.settings)
    }

    /// Whether a "yes" in a trace of others is granted: the own rate earns, each one granted spends, and some are free.
    pub(crate) fn grants(&self, rate: f64, wanted: bool, now: u64) -> bool {
        self.inner.as_ref().is_some_and(|inner| {
            let mut budget = inner.inherited.lock().unwrap_or_else(PoisonError::into_inner);
            budget.earn(rate);
            wanted && budget.spend(now)
        })
    }

    /// Takes one from the budget of requests that are kept after the fact.
    pub(crate) fn may_keep(&self, now: u64) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.kept.lock().unwrap_or_else(PoisonError::into_inner).spend(now))
    }

    /// Takes one from the budget of events that tell only of a failed response.
    pub(crate) fn may_tell_of_failure(&self, now: u64) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.failures.lock().unwrap_or_else(PoisonError::into_inner).spend(now))
    }

    /// Whether a name of the user's making may be used; `now` counts nanoseconds.
    pub(crate) fn admits_name(&self, name: &str, now: u64) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.names.lock().unwrap_or_else(PoisonError::into_inner).admit(name, now))
    }

    pub(crate) fn take_record(&self) -> Box<Record> {
        self.inner.as_ref().map(|inner| inner.exporter.take_record()).unwrap_or_default()
    }

    pub(crate) fn give_back(&self, record: Box<Record>) {
        if let Some(inner) = &self.inner {
            inner.exporter.give_back(record);
        }
    }

    pub(crate) fn submit(&self, item: Item) {
        if let Some(inner) = &self.inner {
            inner.exporter.submit(item);
        }
    }

    /// Writes an event of `tracing` to the file of security events.
    pub(crate) fn write_security_log(&self, line: LogLine) {
        if let Some(inner) = &self.inner {
            inner.exporter.write_security_log(Box::new(line));
        }
    }

    /// What is done with events of this target.
    pub(crate) fn keeps_logs_of(&self, target: &str) -> KeepsLogs {
        let Some(settings) = self.settings() else { return KeepsLogs::default() };
        let writes = settings.security_log.as_ref().is_some_and(|log| is_security(log, target));
        KeepsLogs { sends: settings.enable_logs, writes }
    }

    /// Counts a request for release health.
    pub(crate) fn end_session(&self, started: u64, end: SessionEnd) {
        if let Some(inner) = self.inner.as_ref().filter(|inner| inner.settings.tracks_sessions()) {
            inner.exporter.end_session(started, end);
        }
    }

    pub(crate) fn discard(&self, reason: DiscardReason, category: Category, quantity: u64) {
        if let Some(inner) = &self.inner {
            inner.exporter.discard(reason, category, quantity);
        }
    }

    pub(crate) fn downgrade(&self) -> WeakClient {
        WeakClient { inner: self.inner.as_ref().map(Arc::downgrade).unwrap_or_default() }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A drop has nobody to tell; the ledger's counts went into the last client report.
        let _ = self.exporter.flush(self.settings.shutdown_timeout, true);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("is_enabled", &self.is_enabled()).finish_non_exhaustive()
    }
}

/// What is done with events of `tracing` beside breadcrumbs and errors.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeepsLogs {
    /// They are sent as structured logs.
    pub(crate) sends: bool,
    /// They are written to the file of security events, whatever their level.
    pub(crate) writes: bool,
}

/// A client that does not keep the exporter alive.
#[derive(Clone, Default)]
pub(crate) struct WeakClient {
    inner: Weak<Inner>,
}

impl WeakClient {
    pub(crate) const fn new() -> Self {
        Self { inner: Weak::new() }
    }

    /// The client, off when its last handle is gone.
    pub(crate) fn upgrade(&self) -> Client {
        Client { inner: self.inner.upgrade() }
    }
}

impl fmt::Debug for WeakClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.upgrade().fmt(f)
    }
}

/// Serves what happens outside any request. Weak, so that the last handle's drop still delivers.
static DEFAULT: RwLock<WeakClient> = RwLock::new(WeakClient::new());

/// The client of events outside any request, off if there is none.
pub(crate) fn default_client() -> Client {
    DEFAULT.read().unwrap_or_else(PoisonError::into_inner).upgrade()
}

/// Makes `client` the one of events outside any request.
pub(crate) fn set_default_client(client: &Client) {
    *DEFAULT.write().unwrap_or_else(PoisonError::into_inner) = client.downgrade();
}

fn export_settings(settings: &Settings) -> crate::export::Settings {
    crate::export::Settings {
        dsn: settings.dsn.clone(),
        spotlight: settings.spotlight.clone(),
        console: settings.console,
        transport: settings.transport.clone(),
        facts: Facts {
            release: settings.release.clone(),
            environment: settings.environment.clone(),
            server_name: settings.server_name.clone(),
            tags: settings.tags.clone(),
            slow_query: settings.slow_query_threshold,
            public_key: settings.dsn.as_ref().map(|dsn| dsn.public_key().to_owned()).unwrap_or_default(),
            org_id: settings.dsn.as_ref().and_then(|dsn| dsn.org_id()).map(str::to_owned),
            redaction: Arc::clone(&settings.redaction),
        },
        ignored: settings.ignored.clone(),
        include_source_context: settings.include_source_context,
        default_fingerprint: settings.default_fingerprint,
        min_span_duration: settings.min_span_duration,
        security_log: settings.security_log.clone(),
        enable_logs: settings.enable_logs,
        redactor: Redactor::new(Arc::clone(&settings.redaction), settings.send_default_pii),
        before_send: settings.before_send.clone(),
        before_send_transaction: settings.before_send_transaction.clone(),
        connect_timeout: settings.connect_timeout,
        request_timeout: settings.request_timeout,
        queue_items: settings.queue_items,
        queue_bytes: settings.queue_bytes,
        start_line: Some(format!("Sentry initialized for environment '{}'", settings.environment)),
    }
}
