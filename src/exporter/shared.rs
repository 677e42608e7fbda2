//! What the request path and the worker share.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::alerts::Alerts;
use super::budgets::Budgets;
use super::calls::Calls;
use super::event_limits::EventLimits;
use super::flood::{Fate, FloodGuard};
use super::health::HealthNotes;
use super::held::HeldEvents;
use super::ignore::IgnoredErrors;
use super::item::Item;
use super::ledger::Ledger;
use super::pressure::Pressure;
use super::queue::{Overflow, Queue, Sleep};
use super::security_log::SecurityQueue;
use super::sessions::Sessions;
use super::settings::ExporterSettings;
use crate::event::symbols::SYMBOLS;
use crate::event::{CapturedEvent, EventRecord, WaitingEvent};
use crate::payload::{Facts, RouteName};
use crate::protocol::{DiscardReason, EventId, TraceLifecycle};
use crate::record::{Pool, Record, clock};
use crate::redaction::Redactor;
use crate::{diagnostics, sampling, unwind};

/// The state that requests and the worker share.
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) flood: FloodGuard,
    limits: Arc<EventLimits>,
    pub(super) budgets: Budgets,
    alerts: Alerts,
    ignored: IgnoredErrors,
    pub(super) held: HeldEvents,
    pub(super) ledger: Ledger,
    /// The spans for the OpenTelemetry collector, which are copies: `ledger` has no part in them.
    #[cfg(feature = "otlp")]
    pub(super) copies: Ledger,
    pub(super) health: HealthNotes,
    pub(super) pressure: Pressure,
    pub(super) pool: Pool,
    pub(super) sessions: Sessions,
    pub(super) security: SecurityQueue,
    pub(super) calls: Calls,
    /// The deadline of the first shutdown. Nothing is delivered after it.
    pub(super) closes_at: OnceLock<Instant>,
    /// When the guard of `init` was dropped, in nanoseconds since the epoch. 0 if it was not.
    pub(super) guard_dropped_at: AtomicU64,
    /// Whether it was said that the guard was dropped too early.
    warned_of_guard: AtomicBool,
    /// Whether it was said that this process was forked.
    warned_of_fork: AtomicBool,
}

impl Shared {
    pub(super) fn of(settings: &ExporterSettings) -> Self {
        let queue = Queue::new(settings.delivery.queue_items, settings.delivery.queue_bytes);
        let budgets = Budgets::start(&settings.delivery.budgets, settings.hooks.on_budget.clone());
        let redactor = Redactor::new(Arc::clone(&settings.privacy.redaction), settings.privacy.send_default_pii);
        let alerts = Alerts::new(&settings.hooks.on_alert, &settings.facts, redactor);
        let mut shared =
            Self::new(queue, Arc::clone(&settings.event_limits), &settings.facts, budgets, alerts, settings.hooks.ignored.clone());
        shared.ledger.streams_spans = settings.delivery.trace_lifecycle == TraceLifecycle::Stream;
        shared
    }

    pub(super) fn new(
        queue: Queue,
        limits: Arc<EventLimits>,
        facts: &Facts,
        budgets: Budgets,
        alerts: Alerts,
        ignored: IgnoredErrors,
    ) -> Self {
        Self {
            queue,
            flood: FloodGuard::new(Arc::clone(&limits), facts),
            limits,
            budgets,
            alerts,
            ignored,
            held: HeldEvents::default(),
            ledger: Ledger::default(),
            #[cfg(feature = "otlp")]
            copies: Ledger::default(),
            health: HealthNotes::default(),
            pressure: Pressure::default(),
            pool: Pool::default(),
            sessions: Sessions::default(),
            security: SecurityQueue::default(),
            calls: Calls::default(),
            closes_at: OnceLock::new(),
            guard_dropped_at: AtomicU64::new(0),
            warned_of_guard: AtomicBool::new(false),
            warned_of_fork: AtomicBool::new(false),
        }
    }

    /// Drops and counts all that the worker has taken, because it does not deliver it any longer.
    pub(super) fn lose_taken(&self, reason: DiscardReason) {
        self.ledger.lose_taken(reason);
        #[cfg(feature = "otlp")]
        self.copies.lose_taken(reason);
    }

    /// Queues an item that is counted already, or drops it. Never waits.
    ///
    /// If there were too many like it, it may wait for the end of the minute.
    pub(super) fn enqueue(&self, item: Item) {
        if self.queue.is_known_orphan() {
            self.ledger.discard(item.load(), DiscardReason::InternalSdkError);
            return self.recycle(item);
        }
        if let Item::Event(event) = &item {
            self.show_error(&event.captured, &event.scope, &RouteName(&event.scope));
        }
        let (fate, ended) = self.flood.admit(item, clock::now);
        self.push_all(ended);
        match fate {
            Fate::Passes(item) if self.samples(&item) => self.push_within_budget(item),
            Fate::Passes(item) => {
                self.ledger.discard(item.load(), DiscardReason::SampleRate);
                self.recycle(item);
            }
            Fate::Waits(attached) => {
                self.ledger.drop_bytes(attached, DiscardReason::Backpressure);
                // It may be the first that waits.
                self.queue.wake_if_asleep();
            }
            Fate::Suppressed(item) => {
                self.ledger.discard(item.load(), DiscardReason::Backpressure);
                self.recycle(item);
            }
        }
    }

    /// Shows an error to the alert rules. The caller shows each error once.
    pub(super) fn show_error(&self, captured: &CapturedEvent, scope: &Record, route: &dyn fmt::Display) {
        if !self.alerts.watch_errors() {
            return;
        }
        let status = scope.response.status;
        if !self.ignored.contains_captured(captured) && !status.is_some_and(|status| self.ignored.contains_status(status)) {
            let issue = || self.flood.issue(captured, scope, route);
            self.alerts.see_error(captured, scope, route, issue, || self.queue.wake_from(Sleep::Light));
        }
    }

    /// Shows the alert rules how long a request or a job took.
    #[inline]
    pub(super) fn show_duration(&self, record: &Record) {
        self.alerts.see_duration(record, || self.queue.wake_from(Sleep::Light));
    }

    /// Does the work that is due at this time. For the exporter's thread.
    pub(super) fn look_after(&self, now: Instant) {
        self.enqueue_all(self.held.take_due(now));
        self.push_all(self.flood.end_due(now));
        self.budgets.look_after(now, self.closes_at.get().copied());
        self.alerts.look_after();
        SYMBOLS.give_back(now);
    }

    /// When [`look_after`](Self::look_after) has something to do.
    pub(super) fn next_due(&self) -> Option<Instant> {
        [self.held.next_due(), self.flood.next_due(), self.budgets.next_due(), SYMBOLS.give_back_at()].into_iter().flatten().min()
    }

    /// Queues items that waited because there were too many like them.
    pub(super) fn push_all(&self, items: Vec<Item>) {
        for item in items {
            self.push_within_budget(item);
        }
    }

    /// Queues an item, or drops it if its budget is used up.
    ///
    /// This is the last decision before the queue: items that are dropped before it do not count in the budget.
    fn push_within_budget(&self, item: Item) {
        if self.budgets.spend(&item, || self.queue.wake_from(Sleep::Light)) {
            return self.push(item);
        }
        self.ledger.discard(item.load(), DiscardReason::Backpressure);
        self.recycle(item);
    }

    /// Drops an item that the worker has taken and not sent.
    pub(super) fn lose(&self, item: &Item, reason: DiscardReason) {
        self.budgets.give_back(item);
        self.ledger.lose(item.load(), reason);
    }

    /// Whether chance lets an item pass. All but events do.
    fn samples(&self, item: &Item) -> bool {
        match item {
            Item::Event(event) => self.samples_event(event.captured.event_id),
            _ => true,
        }
    }

    /// The same for an event with this id. The answer is always the same.
    pub(super) fn samples_event(&self, event_id: EventId) -> bool {
        let rate = self.limits.sample_rate();
        rate >= 1.0 || f64::from(sampling::rand_of(event_id.to_u128())) < rate * 1e6
    }

    fn push(&self, item: Item) {
        let Overflow { mut evicted, refused } = self.queue.push(item);
        if let Some(refused) = &refused {
            self.warn_of_early_guard(refused);
        }
        match refused {
            // An event that does not fit with its attachments is sent without them.
            Some(mut event) if event.attaches() => {
                self.ledger.drop_bytes(event.withhold_attachments(), DiscardReason::QueueOverflow);
                let again = self.queue.push(event);
                evicted.extend(again.evicted.into_iter().chain(again.refused));
            }
            refused => evicted.extend(refused),
        }
        if self.queue.is_known_orphan() {
            self.leave();
        }
        for dropped in evicted {
            let is_gathered = matches!(dropped, Item::Log(_) | Item::Metric(_));
            let reason = if is_gathered { DiscardReason::BufferOverflow } else { DiscardReason::QueueOverflow };
            self.budgets.give_back(&dropped);
            self.ledger.discard(dropped.load(), reason);
            self.recycle(dropped);
        }
    }

    /// Whether this process was forked from the one with the exporter's thread. A system call.
    ///
    /// If so, everything that waits is dropped and counted in the accounts of this process. What waited
    /// at the fork is sent by the other one.
    pub(super) fn is_in_child(&self) -> bool {
        let is_in_child = self.queue.is_orphan();
        if is_in_child {
            self.leave();
        }
        is_in_child
    }

    #[cold]
    fn leave(&self) {
        if !self.warned_of_fork.swap(true, Ordering::Relaxed) {
            diagnostics::warn_in_child(
                "this process was forked from the one that started monitoring; nothing is recorded here until it starts a client itself",
            );
        }
        self.drop_queue(DiscardReason::InternalSdkError);
        self.enqueue_all(self.held.take_all());
    }

    /// Says once that nothing is recorded because the guard was dropped. What began before that is
    /// lost at the end of any process.
    #[cold]
    fn warn_of_early_guard(&self, refused: &Item) {
        let dropped_at = self.guard_dropped_at.load(Ordering::Relaxed);
        let is_later = dropped_at > 0 && refused.began_at().is_some_and(|began| began > dropped_at);
        if is_later && !self.warned_of_guard.swap(true, Ordering::Relaxed) {
            diagnostics::warn("nothing is recorded: the guard that `init` returned was dropped; keep it until the server has stopped");
        }
    }

    /// Queues events that waited. They are counted already.
    pub(super) fn enqueue_all(&self, waited: Vec<WaitingEvent>) {
        for waiting in waited {
            self.enqueue(Item::Event(waiting.into_event()));
        }
    }

    /// Drops and counts everything that waits in the queue, and before it for the end of a minute.
    /// Returns the number of items.
    pub(super) fn drop_queue(&self, reason: DiscardReason) -> u64 {
        let before = self.flood.close();
        let items = std::iter::from_fn(|| self.queue.pop()).map(|(_, item)| item);
        let mut count = 0;
        for item in before.into_iter().chain(items) {
            self.ledger.discard(item.load(), reason);
            self.recycle(item);
            count += 1;
        }
        count
    }

    /// Returns an item's memory to the pool.
    pub(super) fn recycle(&self, item: Item) {
        match item {
            Item::Event(event) => {
                let EventRecord { captured, scope } = *event;
                // A user's error may be inside, and its `drop` may panic.
                let _ = unwind::catch(|| drop(captured));
                self.pool.give_back(scope);
            }
            Item::Transaction(record) | Item::Spans(record) => self.pool.give_back(record),
            _ => {}
        }
    }
}
