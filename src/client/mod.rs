//! Settings, and the handle to the exporter.

mod builder;
mod config;
mod default;
mod env;
mod live;
mod name_rules;
mod names;
mod preset;
mod profiles;
mod resolve;
mod settings;
mod settings_file;
mod start;
mod update;
mod watch;
mod weak;

use std::fmt;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

pub use builder::ConfigBuilder;
pub use config::Config;
pub(crate) use default::{default_client, set_default_client};
use live::Live;
use names::Names;
pub use preset::Preset;
pub(crate) use settings::{KeepsLogs, Settings};
use start::exporter_settings;
pub(crate) use weak::WeakClient;

use crate::diagnostics;
use crate::error::FlushError;
use crate::event::{CapturedEvent, EarlierReport, WaitingEvent};
use crate::exporter::{Exporter, Health, HoldTime, IgnoredErrors, Item, Joined, SessionEnd, Stats, is_exporter, is_security};
use crate::fork::Lock;
use crate::protocol::{Category, DiscardReason, EventId};
use crate::record::{LogLine, Record};
use crate::sampling::{Kept, Medians, TargetSampler};

/// A handle to one exporter: cheap to clone, shared by layers, workers and hooks.
///
/// When the last handle is dropped, it delivers pending items. This takes at most the configured
/// shutdown timeout (2 s by default).
///
/// A client without a DSN, a local sink or an [alert rule](ConfigBuilder::on_alert) is **off**: it has
/// the same type, but no thread and no socket, and records nothing.
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
    inner: Option<Arc<LiveClient>>,
}

pub(crate) struct LiveClient {
    exporter: Exporter,
    settings: Arc<Settings>,
    live: Arc<Live>,
    target: Option<TargetSampler>,
    medians: Lock<Medians>,
    names: Lock<Names>,
    /// Names that callers choose. They must not use up those of the application.
    rpc_names: Lock<Names>,
}

impl Client {
    /// A client that is off.
    pub(crate) const fn off() -> Self {
        Self { inner: None }
    }

    /// Starts the exporter of `settings`.
    ///
    /// Returns a client that is off if there is no destination, or if the thread cannot be started.
    pub(crate) fn start(settings: &Arc<Settings>) -> Self {
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
            return Self::off();
        }
        let live = Arc::new(Live::new(&settings.live, settings.file.as_deref()));
        let exporter = match Exporter::start(exporter_settings(settings, &live)) {
            Ok(exporter) => exporter,
            // Monitoring must not keep the service from starting.
            Err(error) => {
                diagnostics::warn(&format!("nothing is recorded: {error:#}"));
                return Self::off();
            }
        };
        Self {
            inner: Some(Arc::new(LiveClient {
                exporter,
                settings: Arc::clone(settings),
                live,
                target: settings.sampling.traces_target.map(TargetSampler::new),
                medians: Lock::default(),
                names: Lock::default(),
                rpc_names: Lock::default(),
            })),
        }
        .with_profiler()
    }

    /// Whether this client records anything.
    pub fn is_enabled(&self) -> bool {
        self.inner.is_some()
    }

    /// Whether this process was forked from the one that started the client.
    pub(crate) fn is_in_child(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.exporter.is_in_child())
    }

    /// Whether both are handles to the same exporter.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.inner.as_ref().zip(other.inner.as_ref()).is_some_and(|(one, other)| Arc::ptr_eq(one, other))
    }

    /// Counts of captured, sent and dropped items so far.
    ///
    /// All zero while the client is off.
    pub fn stats(&self) -> Stats {
        let named = |inner: &Arc<LiveClient>| Stats { client_name: inner.settings.delivery.client_name.clone(), ..inner.exporter.stats() };
        self.inner.as_ref().map(named).unwrap_or_default()
    }

    /// The state of the delivery: last success, last failure and its reason, rate limits, and waiting
    /// items.
    ///
    /// While the client is off, all fields are empty or zero.
    pub fn health(&self) -> Health {
        self.inner.as_ref().map(|inner| inner.exporter.health()).unwrap_or_default()
    }

    /// Waits until everything captured so far is delivered, dropped or in the spool.
    ///
    /// This does not need a runtime.
    ///
    /// # Errors
    ///
    /// Returns an error if items are still pending after `timeout`.
    ///
    /// # Cancellation
    ///
    /// Dropping the future does not stop the delivery; nothing is lost.
    pub async fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.finish(timeout, false).await
    }

    /// Waits like [`flush`](Self::flush), then stops the exporter.
    ///
    /// Items captured later are counted as dropped.
    ///
    /// # Errors
    ///
    /// Returns an error if items were still pending after `timeout`. They are dropped and counted.
    ///
    /// # Cancellation
    ///
    /// Dropping the future does not stop the shutdown.
    pub async fn shutdown(&self, timeout: Duration) -> Result<(), FlushError> {
        self.finish(timeout, true).await
    }

    async fn finish(&self, timeout: Duration, close: bool) -> Result<(), FlushError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        if is_exporter() || inner.exporter.is_in_child() {
            // It fails at once: a hook that waits for the exporter waits for itself.
            return inner.exporter.flush(timeout, close);
        }
        let (done, answer) = tokio::sync::oneshot::channel();
        // A separate thread watches the clock: the caller's runtime may have no timer, and must not be blocked.
        let client = self.clone();
        let spawned = std::thread::Builder::new().name("tower-sentry-flush".to_owned()).spawn(move || {
            let _dropped_future = done.send(client.close_blocking(timeout, close));
        });
        match spawned {
            Ok(_) => answer.await.unwrap_or(Ok(())),
            Err(_) => self.close_blocking(timeout, close),
        }
    }

    /// The blocking form of flush and shutdown. Blocks the calling thread for at most `timeout`.
    pub(crate) fn close_blocking(&self, timeout: Duration, close: bool) -> Result<(), FlushError> {
        let timeout = self.finish_profiles(timeout, close);
        self.inner.as_ref().map_or(Ok(()), |inner| inner.exporter.flush(timeout, close))
    }

    /// See [`Exporter::note_dropped_guard`].
    pub(crate) fn note_dropped_guard(&self) {
        if let Some(inner) = &self.inner {
            inner.exporter.note_dropped_guard();
        }
    }

    pub(crate) fn settings(&self) -> Option<&Settings> {
        self.inner.as_deref().map(|inner| &*inner.settings)
    }

    /// Whether a request in the trace of a limited caller may be sampled.
    ///
    /// Every call adds `rate` to the budget, and every granted request spends one. The budget also
    /// refills with time.
    pub(crate) fn grants(&self, rate: f64, wanted: bool, now: u64) -> bool {
        self.inner.as_ref().is_some_and(|inner| {
            let mut budget = inner.live.inherited.lock();
            budget.earn(rate);
            wanted && budget.spend(now)
        })
    }

    /// How often the sample rate is halved, because the delivery is behind.
    pub(crate) fn halvings(&self) -> u8 {
        self.inner.as_ref().filter(|inner| inner.settings.sampling.backpressure).map_or(0, |inner| inner.exporter.halvings())
    }

    /// Whether a request is kept after the fact. If it is not sampled, this spends one from the budget.
    pub(crate) fn may_keep(&self, why: Kept, is_sampled: bool, now: u64) -> bool {
        self.inner.as_ref().is_some_and(|inner| {
            let budget = if why == Kept::Slow { &inner.live.kept_slow } else { &inner.live.kept };
            let mut budget = budget.lock();
            if is_sampled { budget.has_one(now) } else { budget.spend(now) }
        })
    }

    /// The times of the latest requests of each route.
    pub(crate) fn medians(&self) -> Option<MutexGuard<'_, Medians>> {
        self.inner.as_ref().map(|inner| inner.medians.lock())
    }

    /// Spends one from the budget of events that say only that a response failed.
    pub(crate) fn may_tell_of_failure(&self, now: u64) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.live.failures.lock().spend(now))
    }

    /// See [`Exporter::suppresses`].
    pub(crate) fn suppresses(&self, captured: &CapturedEvent, scope: &Record, route: &dyn fmt::Display) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.exporter.suppresses(captured, scope, route))
    }

    /// See [`Exporter::show_error`].
    pub(crate) fn show_error(&self, captured: &CapturedEvent, scope: &Record, route: &dyn fmt::Display) {
        if let Some(inner) = &self.inner {
            inner.exporter.show_error(captured, scope, route);
        }
    }

    /// See [`Exporter::show_duration`].
    #[inline]
    pub(crate) fn show_duration(&self, record: &Record) {
        if let Some(inner) = &self.inner {
            inner.exporter.show_duration(record);
        }
    }

    /// A transaction name from user code, or the name of all those beyond the limit. `now` is in nanoseconds.
    pub(crate) fn admitted_name<'n>(&self, name: &'n str, now: u64) -> &'n str {
        self.inner.as_ref().map_or(names::OVERFLOW, |inner| inner.names.lock().admitted(name, now))
    }

    /// The same for the method of a gRPC call, which the caller chooses.
    pub(crate) fn admitted_rpc_name<'n>(&self, method: &'n str, now: u64) -> &'n str {
        self.inner.as_ref().map_or(names::OVERFLOW, |inner| inner.rpc_names.lock().admitted(method, now))
    }

    /// Whether the transaction of a response with this status is not wanted.
    pub(crate) fn ignores_transactions_of(&self, status: u16) -> bool {
        let ignored = self.settings().and_then(|settings| settings.sampling.ignored_statuses.as_ref());
        ignored.is_some_and(|codes| codes.contains(status))
    }

    /// The user's rules for errors that are not reported.
    pub(crate) fn ignored_errors(&self) -> Option<&IgnoredErrors> {
        self.settings().map(|settings| &settings.hooks.ignored)
    }

    /// Whether `error_sample_rate` lets an event with this id pass.
    pub(crate) fn samples_event(&self, event_id: EventId) -> bool {
        self.inner.as_ref().is_none_or(|inner| inner.exporter.samples_event(event_id))
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

    /// See [`Exporter::hold`].
    pub(crate) fn hold(&self, waiting: WaitingEvent, time: HoldTime) {
        if let Some(inner) = &self.inner {
            inner.exporter.hold(waiting, time);
        }
    }

    /// See [`Exporter::release_if_ended`].
    pub(crate) fn release_if_ended(&self) {
        if let Some(inner) = &self.inner {
            inner.exporter.release_if_ended();
        }
    }

    /// See [`Exporter::join`].
    pub(crate) fn join(&self, earlier: &EarlierReport, later: CapturedEvent) -> Result<Joined, Box<CapturedEvent>> {
        match &self.inner {
            Some(inner) => inner.exporter.join(earlier, later),
            None => Err(Box::new(later)),
        }
    }

    /// See [`Exporter::discard_held`].
    pub(crate) fn discard_held(&self, ids: impl Iterator<Item = EventId>, reason: DiscardReason) {
        if let Some(inner) = &self.inner {
            inner.exporter.discard_held(ids, reason);
        }
    }

    /// See [`Exporter::take_held`].
    pub(crate) fn take_held(&self, ids: impl Iterator<Item = EventId>) -> Vec<WaitingEvent> {
        self.inner.as_ref().map(|inner| inner.exporter.take_held(ids)).unwrap_or_default()
    }

    /// See [`Exporter::enqueue`].
    pub(crate) fn enqueue(&self, item: Item) {
        if let Some(inner) = &self.inner {
            inner.exporter.enqueue(item);
        }
    }

    /// Writes a `tracing` event to the security log.
    pub(crate) fn write_security_log(&self, line: LogLine) {
        if let Some(inner) = &self.inner {
            inner.exporter.write_security_log(Box::new(line));
        }
    }

    /// How to treat `tracing` events of this target.
    pub(crate) fn keeps_logs_of(&self, target: &str) -> KeepsLogs {
        let Some(settings) = self.settings() else { return KeepsLogs::default() };
        let writes = settings.delivery.security_log.as_ref().is_some_and(|log| is_security(log, target));
        KeepsLogs { sends: settings.delivery.enable_logs, writes }
    }

    /// Counts a request for release health. `started` is in nanoseconds since the epoch.
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

    pub(crate) fn discard_item(&self, item: Item, reason: DiscardReason) {
        if let Some(inner) = &self.inner {
            inner.exporter.discard_item(item, reason);
        }
    }

    /// Counts values that were shortened or left out because of a limit of size.
    pub(crate) fn count_truncated(&self, values: u64) {
        if let Some(inner) = self.inner.as_ref().filter(|_| values > 0) {
            inner.exporter.count_truncated(values);
        }
    }

    /// Counts breadcrumbs that an event lacks, because newer ones replaced them.
    pub(crate) fn count_dropped_breadcrumbs(&self, count: u64) {
        if let Some(inner) = self.inner.as_ref().filter(|_| count > 0) {
            inner.exporter.count_dropped_breadcrumbs(count);
        }
    }

    pub(crate) fn downgrade(&self) -> WeakClient {
        WeakClient { inner: self.inner.as_ref().map(Arc::downgrade).unwrap_or_default() }
    }
}

impl Drop for LiveClient {
    fn drop(&mut self) {
        self.leave_profiler();
        // `drop` cannot return the error. The last client report already contains the counts.
        let _ = self.exporter.flush(self.settings.delivery.shutdown_timeout, true);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("is_enabled", &self.is_enabled()).finish_non_exhaustive()
    }
}
