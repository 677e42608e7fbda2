//! Delivers records from the queue to their destinations, on one thread.
//!
//! A request hands over a finished record with one [`submit`](Exporter::submit), which never waits.
//! The exporter's own thread takes the record from the bounded queue and runs the hooks. It redacts
//! the data while it serialises, then compresses and sends the envelope, and obeys the server's
//! rate limits. The record's memory returns to the pool. One ledger counts everything that is
//! dropped, by reason.
//!
//! The exporter never records its own work. Its thread has no scope, and its messages have the
//! target `tower_sentry`, which the tracing layer ignores.

mod alerts;
mod backlog;
mod backoff;
mod bare;
mod batch;
mod budget_file;
mod budgets;
mod buffers;
mod calls;
#[cfg(feature = "otlp")]
mod collector;
#[cfg(not(feature = "otlp"))]
#[path = "no_collector.rs"]
mod collector;
mod delivery;
mod destination;
mod disk;
mod entry;
mod event_limits;
mod failures;
#[cfg(test)]
mod fleet;
mod flights;
mod flood;
mod flow;
mod flushes;
mod given;
mod gzip;
mod health;
mod held;
mod hooked;
mod hooks;
mod ignore;
mod item;
mod kept_budgets;
mod ledger;
mod load;
mod looks;
mod outbound;
mod pace;
mod pipeline;
mod pressure;
mod profile;
mod queue;
mod rate_limit;
mod resolved;
mod retries;
mod security_file;
mod security_log;
mod security_writer;
mod sessions;
mod settings;
mod shared;
mod shares;
mod sinks;
mod spans;
mod start_line;
mod stats;
mod streamed;
mod thread;
mod transaction;
mod turn;
mod worker;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

pub(crate) use event_limits::EventLimits;
pub use health::Health;
pub(crate) use held::{HoldTime, Joined};
pub(crate) use hooks::Hooks;
pub(crate) use ignore::IgnoredErrors;
pub(crate) use item::Item;
#[cfg(fuzzing)]
pub(crate) use rate_limit::fuzz;
pub(crate) use security_log::SecurityLog;
pub(crate) use sessions::SessionEnd;
pub(crate) use settings::{Beside, DeliverySettings, ExporterSettings};
pub use stats::{Counts, Stats};
pub(crate) use thread::is_exporter;

use self::flushes::Flush;
use self::shared::Shared;
use crate::error::{Error, FlushError};
use crate::event::{CallStack, CapturedEvent, EarlierReport, WaitingEvent};
use crate::protocol::{Category, DiscardReason, EventId, reseed_ids};
use crate::record::{LogLine, Record, clock};
use crate::transport::LONGEST_WAIT;
use crate::{diagnostics, fork};

/// Whether any client of the process keeps logs. Read for each `tracing` event.
static LOGS_WANTED: AtomicBool = AtomicBool::new(false);

/// Whether any client of the process keeps logs.
#[inline]
pub(crate) fn are_logs_wanted() -> bool {
    LOGS_WANTED.load(Ordering::Relaxed)
}

/// Whether any client of the process sends metrics.
static METRICS_WANTED: AtomicBool = AtomicBool::new(false);

/// Whether any client of the process sends metrics.
#[inline]
pub(crate) fn are_metrics_wanted() -> bool {
    METRICS_WANTED.load(Ordering::Relaxed)
}

/// Whether an event with this target is a security event.
pub(crate) fn is_security(log: &SecurityLog, target: &str) -> bool {
    ignore::is_below(target, &log.target)
}

/// A handle to the exporter, for the request path.
pub(crate) struct Exporter {
    shared: Arc<Shared>,
}

impl Exporter {
    /// Starts the exporter's thread.
    ///
    /// Slow steps (TLS roots, the HTTP client) happen on that thread.
    pub(crate) fn start(settings: ExporterSettings) -> Result<Self, Error> {
        if settings.delivery.enable_logs || settings.delivery.security_log.is_some() {
            LOGS_WANTED.store(true, Ordering::Relaxed);
        }
        METRICS_WANTED.fetch_or(settings.delivery.enable_metrics, Ordering::Relaxed);
        if fork::is_child() {
            reseed_ids();
            CallStack::try_to_walk();
        }
        let shared = Arc::new(Shared::of(&settings));
        thread::start(settings, &shared)?;
        Ok(Self { shared })
    }

    /// Whether this process was forked from the one with the exporter's thread. A system call.
    pub(crate) fn is_in_child(&self) -> bool {
        self.shared.is_in_child()
    }

    /// Whether `error_sample_rate` lets an event with this id pass.
    pub(crate) fn samples_event(&self, event_id: EventId) -> bool {
        self.shared.samples_event(event_id)
    }

    /// Takes a cleared record from the pool.
    pub(crate) fn take_record(&self) -> Box<Record> {
        self.shared.pool.take()
    }

    /// Returns a record to the pool.
    pub(crate) fn give_back(&self, record: Box<Record>) {
        self.shared.pool.give_back(record);
    }

    /// Submits an item, or drops and counts it. Never waits.
    pub(crate) fn submit(&self, item: Item) {
        self.shared.ledger.capture(item.load());
        if is_exporter() { self.refuse(item) } else { self.enqueue(item) }
    }

    /// Drops an item that code on the exporter's thread captured: a hook, or a transport.
    ///
    /// Such an item would cause the next one, without end.
    fn refuse(&self, item: Item) {
        static TROUBLE: diagnostics::Quiet = diagnostics::Quiet::new();
        self.shared.ledger.discard(item.load(), DiscardReason::BeforeSend);
        self.shared.recycle(item);
        TROUBLE.warn("a hook or a transport captures items itself; they are dropped and counted");
    }

    /// Counts an event that waits. Call [`release_if_ended`](Self::release_if_ended) once no lock is
    /// held.
    ///
    /// A flush sends it before its time.
    pub(crate) fn hold(&self, waiting: WaitingEvent, time: HoldTime) {
        // No worker of a forked child would ever take it.
        if is_exporter() || time != HoldTime::UntilHead && self.is_in_child() {
            return self.submit(Item::Event(waiting.into_event()));
        }
        self.shared.ledger.capture(item::load_of(waiting.event()));
        self.shared.held.insert(waiting, time);
        if time != HoldTime::UntilHead {
            self.shared.queue.wake_if_asleep();
        }
    }

    /// Drops and counts what waits if the worker has ended.
    pub(crate) fn release_if_ended(&self) {
        // Checked after an event is held: the worker takes held events when it ends.
        if self.shared.calls.has_ended() {
            self.release_held();
        }
    }

    /// Merges a later report of the same failure into the event of an earlier one, and counts the
    /// merge. The value that is returned holds values of the user's: drop it while no lock is held.
    ///
    /// # Errors
    ///
    /// Returns the report if it needs its own event, because that of the earlier one has gone.
    pub(crate) fn join(&self, earlier: &EarlierReport, later: CapturedEvent) -> Result<Joined, Box<CapturedEvent>> {
        let joined = self.shared.held.join(earlier, later)?;
        let mut merged = 1;
        for absorbed in joined.absorbed() {
            self.shared.ledger.uncapture(item::load_of(absorbed));
            merged += 1;
        }
        self.shared.ledger.merge(merged);
        Ok(joined)
    }

    /// Takes the events that wait, of those with these ids. They are counted already: pass them to
    /// [`enqueue`](Self::enqueue).
    pub(crate) fn take_held(&self, ids: impl Iterator<Item = EventId>) -> Vec<WaitingEvent> {
        self.shared.held.take(ids)
    }

    fn release_held(&self) {
        self.shared.enqueue_all(self.shared.held.take_all());
    }

    /// Drops events that wait and have these ids, and counts them.
    pub(crate) fn discard_held(&self, ids: impl Iterator<Item = EventId>, reason: DiscardReason) {
        for waiting in self.shared.held.take(ids) {
            let item = Item::Event(waiting.into_event());
            self.shared.ledger.discard(item.load(), reason);
            self.shared.recycle(item);
        }
    }

    /// Queues an item that is counted already, or drops it. Never waits.
    pub(crate) fn enqueue(&self, item: Item) {
        self.shared.enqueue(item);
    }

    /// Whether an event that is about to be captured would be dropped, because there were too many of its
    /// issue. It is counted then.
    pub(crate) fn suppresses(&self, captured: &CapturedEvent, scope: &Record, route: &dyn fmt::Display) -> bool {
        let is_suppressed = self.shared.flood.counts(captured, scope, route);
        if is_suppressed {
            self.shared.show_error(captured, scope, route);
            self.discard(DiscardReason::Backpressure, Category::Error, 1);
        }
        is_suppressed
    }

    /// Shows the alert rules an error that is counted as dropped instead of being captured.
    pub(crate) fn show_error(&self, captured: &CapturedEvent, scope: &Record, route: &dyn fmt::Display) {
        self.shared.show_error(captured, scope, route);
    }

    /// Shows the alert rules how long a request or a job took.
    #[inline]
    pub(crate) fn show_duration(&self, record: &Record) {
        self.shared.show_duration(record);
    }

    /// Hands over a line for the security log. Never waits.
    pub(crate) fn write_security_log(&self, line: Box<LogLine>) {
        if self.is_in_child() {
            return;
        }
        self.shared.security.push(line);
    }

    /// How often the sample rate is halved, because the delivery is behind.
    pub(crate) fn halvings(&self) -> u8 {
        self.shared.pressure.halvings()
    }

    /// Counts items that were dropped before they reached the exporter.
    pub(crate) fn discard(&self, reason: DiscardReason, category: Category, quantity: u64) {
        self.shared.ledger.capture_and_discard(reason, category, quantity);
    }

    /// Drops and counts an item that does not reach the queue.
    pub(crate) fn discard_item(&self, item: Item, reason: DiscardReason) {
        self.shared.ledger.capture(item.load());
        self.shared.ledger.discard(item.load(), reason);
        self.shared.recycle(item);
    }

    /// Counts values that were shortened or left out because of a limit of size.
    pub(crate) fn count_truncated(&self, values: u64) {
        self.shared.ledger.truncate(values);
    }

    /// Counts breadcrumbs that an event lacks, because newer ones replaced them.
    pub(crate) fn count_dropped_breadcrumbs(&self, count: u64) {
        self.shared.ledger.drop_breadcrumbs(count);
    }

    /// Counts a request for release health; `started` is in nanoseconds since the epoch.
    pub(crate) fn end_session(&self, started: u64, end: SessionEnd) {
        self.shared.sessions.add(started, end);
    }

    /// The guard of `init` is dropped now: what begins later is lost because of that.
    pub(crate) fn note_dropped_guard(&self) {
        self.shared.guard_dropped_at.store(clock::wall(), Ordering::Relaxed);
    }

    /// Returns the counts at this moment.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats { lost_security_lines: self.shared.security.lost(), ..self.shared.ledger.stats() };
        [stats.errors.over_budget, stats.transactions.over_budget] = self.shared.budgets.refused();
        #[cfg(feature = "otlp")]
        {
            stats.otlp = self.shared.copies.stats().spans;
        }
        stats
    }

    /// Returns how the delivery goes at this moment.
    pub(crate) fn health(&self) -> Health {
        let stats = self.stats();
        Health { waiting: stats.waiting(), spooled: stats.spooled(), ..self.shared.health.read() }
    }

    /// Waits at most `timeout` until everything submitted so far is delivered or dropped.
    ///
    /// If `close` is true, the exporter accepts no more items from the start of the call. Blocks
    /// the calling thread.
    ///
    /// # Errors
    ///
    /// Returns an error if items are left when the timeout ends, and if the exporter has ended by its
    /// own faults. On the exporter's thread (in a hook) and in a process without that thread (after a
    /// fork) it returns an error at once: waiting would be in vain.
    pub(crate) fn flush(&self, timeout: Duration, close: bool) -> Result<(), FlushError> {
        // `Instant::now() + Duration::MAX` would panic.
        let timeout = timeout.min(LONGEST_WAIT);
        if self.is_in_child() {
            return Err(FlushError::new(timeout, self.stats().waiting().max(1)));
        }
        let (done, answer) = mpsc::sync_channel(1);
        let mut deadline = Instant::now() + timeout;
        if close {
            // Nothing is delivered after the first shutdown: the drop of a guard is followed by that of its client.
            deadline = deadline.min(*self.shared.closes_at.get_or_init(|| deadline));
        }
        self.release_held();
        self.shared.push_all(if close { self.shared.flood.close() } else { self.shared.flood.take_all() });
        // Close before sending the command: after the worker's answer no item may come in.
        if close {
            self.shared.queue.close();
            // What was captured in the meantime is dropped and counted.
            self.release_held();
        }
        let up_to = self.shared.queue.next_number();
        let lines_up_to = self.shared.security.accepted();
        let flush = Flush { deadline, close, up_to, lines_up_to, took_sessions: false, took_report: false, done };
        if let Some(lost) = self.shared.calls.add(flush, || self.shared.queue.wake()) {
            let lost = answer.try_recv().unwrap_or(lost);
            return if lost == 0 { Ok(()) } else { Err(FlushError::new(timeout, lost)) };
        }
        if is_exporter() {
            return Err(FlushError::new(timeout, self.stats().waiting().max(1)));
        }
        match answer.recv_timeout(deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(20)) {
            Ok(0) => Ok(()),
            Ok(left) => Err(FlushError::new(timeout, left)),
            // The worker is busy past the deadline: with a hook, or with symbols.
            Err(_) => {
                let left = self.stats().waiting().max(1);
                if close {
                    diagnostics::warn_of_loss(left);
                    self.shared.lose_taken(DiscardReason::NetworkError);
                    self.shared.drop_queue(DiscardReason::NetworkError);
                }
                Err(FlushError::new(timeout, left))
            }
        }
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
