//! The exporter's worker: takes items from the queue, seals them, and hands them to the delivery.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::collector::Collector;
use super::delivery::Delivery;
use super::entry::Entry;
use super::failures::Failures;
use super::flushes::Flushes;
use super::item::Item;
use super::looks::Looks;
use super::outbound::Outbound;
use super::pipeline::{Pipeline, SealedBatch};
use super::pressure::Judge;
use super::settings::ExporterSettings;
use super::shared::Shared;
use super::start_line::StartLine;
use super::turn::Turn;
use crate::protocol::{Category, DiscardReason, DiscardedEvent};
use crate::record::{LogLine, MetricRecord};
use crate::redaction::Redactor;
use crate::{diagnostics, unwind};

/// A client report without an envelope to travel with is sent alone after this time.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// Sessions are counted for this long before they are sent.
const SESSIONS_EVERY: Duration = Duration::from_secs(60);
/// During a pause after a failure, the worker looks this often whether the queue fills up.
const RECHECK_EVERY: Duration = Duration::from_secs(1);

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Closed,
    /// It panicked too often.
    Failed,
}

/// What follows a step of the worker.
enum Next {
    Again,
    End,
    Wait(Instant),
}

pub(super) struct Worker<'a> {
    shared: &'a Arc<Shared>,
    pipeline: Pipeline,
    delivery: Delivery,
    logs: Batch<LogLine>,
    metrics: Batch<MetricRecord>,
    flushes: Flushes,
    last_report: Instant,
    last_sessions: Instant,
    /// When the worker looked last what can go.
    looked: Instant,
    looks: Looks,
    turn: Turn,
    start_line: StartLine,
    failures: Failures,
    judge: Judge,
}

impl<'a> Worker<'a> {
    pub(super) fn new(settings: ExporterSettings, shared: &'a Arc<Shared>) -> Self {
        let mut delivery = Delivery::new(&settings.delivery, Arc::clone(shared));
        delivery.collector = Collector::of(&settings, shared);
        let now = Instant::now();
        Self {
            shared,
            pipeline: Pipeline {
                facts: settings.facts,
                redactor: Redactor::new(settings.privacy.redaction, settings.privacy.send_default_pii),
                hooks: settings.hooks,
                limits: settings.limits,
            },
            delivery,
            logs: Batch::default(),
            metrics: Batch::default(),
            flushes: Flushes::default(),
            last_report: now,
            last_sessions: now,
            looked: now,
            looks: Looks::new(now),
            turn: Turn::default(),
            start_line: StartLine::new(settings.start_line, now),
            failures: Failures::default(),
            judge: Judge::new(now),
        }
    }

    /// Runs until the exporter is closed.
    ///
    /// A step that panics loses the item that it works on, which is counted. Everything else stays:
    /// the queue, the envelopes in flight, and those that wait for a retry.
    pub(super) async fn run(mut self) -> Ended {
        loop {
            match unwind::catch(|| self.step()) {
                Some(Next::Again) => {}
                Some(Next::End) => return Ended::Closed,
                Some(Next::Wait(latest)) => {
                    let _ = tokio::time::timeout_at(latest.into(), self.shared.queue.woken()).await;
                }
                None if self.goes_on() => {}
                None => {
                    self.fail();
                    return Ended::Failed;
                }
            }
        }
    }

    fn step(&mut self) -> Next {
        self.start_line.log_if_due();
        self.take_commands();
        self.delivery.settle_finished();
        self.judge.judge(Instant::now(), &self.shared.pressure, |now| self.delivery.troubles(now));
        self.send_what_can_go(Instant::now());
        if self.answer_flushes() {
            return Next::End;
        }
        self.next_look().map_or(Next::Again, Next::Wait)
    }

    /// Counts what a step that panicked was working on. Returns whether the worker may go on.
    fn goes_on(&mut self) -> bool {
        if let Some(load) = self.delivery.in_hand.take() {
            self.shared.ledger.lose(load, DiscardReason::InternalSdkError);
        }
        let goes_on = self.failures.add(Instant::now());
        if goes_on {
            diagnostics::warn("the exporter has failed and goes on; what it was working on is dropped and counted");
        }
        goes_on
    }

    /// Drops and counts everything, because the worker has failed too often.
    fn fail(&mut self) {
        let left = self.shared.ledger.stats().waiting();
        // Before anything is dropped: `stats` must not show less than a flush returns.
        self.shared.calls.lose(left.max(1));
        self.shared.queue.close();
        let _ = unwind::catch(|| self.give_up(DiscardReason::InternalSdkError));
        self.flushes.answer(left.max(1), true, Instant::now(), |_| false);
    }

    fn take_commands(&mut self) {
        if let Some(deadline) = self.flushes.add(self.shared.calls.take()) {
            // The second half of the time is for the spool.
            let now = Instant::now();
            self.delivery.hurry(now + deadline.saturating_duration_since(now) / 2);
        }
        if !self.flushes.is_empty() {
            self.delivery.end_pace();
        }
    }

    fn send_what_can_go(&mut self, now: Instant) {
        self.looked = now;
        self.shared.look_after(now);
        // Sessions, logs and metrics that are due first: a few envelopes, which a backlog must not hold up.
        self.send_sessions(now);
        self.send_batches(now);
        while !self.is_called() {
            let has_room = self.delivery.has_room(now);
            if let Some(outbound) = has_room.then(|| self.delivery.next_retry(now)).flatten() {
                if self.delivery.is_closed(outbound.load.category, now) {
                    self.delivery.lose(outbound, DiscardReason::RatelimitBackoff);
                } else {
                    self.send_again(outbound);
                }
            } else if let Some((number, item)) = self.next_item(has_room, now) {
                self.looks.found(now);
                self.shared.ledger.take(item.load());
                self.delivery.in_hand = Some(item.load());
                self.take_item(number, item, now);
                self.delivery.in_hand = None;
                let may_wait = || self.flushes.is_empty() && self.shared.queue.has_much_room();
                self.turn.let_others_go(may_wait);
            } else if let Some(outbound) = has_room.then(|| self.delivery.next_spooled(now)).flatten() {
                self.send_again(outbound);
            } else {
                break;
            }
        }
        self.send_batches(now);
        // A flush asks for all copies; those that are still to come need not wait for places at the server.
        let goes_on_at_once = !self.shared.queue.is_empty() && self.delivery.has_room(now);
        self.delivery.send_copies(now, !self.flushes.is_empty() && !goes_on_at_once);
        let is_asked = self.is_drained() && self.flushes.ask_for_report();
        let is_due = now.duration_since(self.last_report) >= REPORT_EVERY;
        if (is_due || is_asked) && self.delivery.has_room(now) && self.delivery.has_no_backlog() {
            self.flushes.took_report();
            self.send_report(now);
        }
    }

    /// Takes the next item, if it can be sent or put on disk.
    fn next_item(&self, has_room: bool, now: Instant) -> Option<(u64, Item)> {
        if !has_room && !self.delivery.spools(now) {
            return None;
        }
        if self.delivery.is_paced() { self.shared.queue.pop_newest() } else { self.shared.queue.pop() }
    }

    fn send_again(&mut self, outbound: Outbound) {
        self.delivery.in_hand = Some(outbound.load);
        self.delivery.dispatch(outbound);
        self.delivery.in_hand = None;
    }

    /// Sends the sessions if a minute has passed or a flush asks for them.
    ///
    /// Each flush asks only once, because counting continues.
    fn send_sessions(&mut self, now: Instant) {
        let is_asked = self.flushes.ask_for_sessions();
        let is_due = now.duration_since(self.last_sessions) >= SESSIONS_EVERY;
        if !(is_asked || is_due) || !self.delivery.has_room(now) {
            return;
        }
        self.flushes.took_sessions();
        if self.shared.sessions.is_empty() || self.delivery.is_closed(Category::Session, now) {
            return;
        }
        self.last_sessions = now;
        if let Some(sessions) = self.pipeline.seal_sessions(self.shared.sessions.take()).filter(|_| self.delivery.reports_losses()) {
            self.delivery.dispatch(sessions);
        }
    }

    /// Sends the gathered logs and metrics that are due.
    fn send_batches(&mut self, now: Instant) {
        self.send_batch(|worker| &mut worker.logs, now);
        self.send_batch(|worker| &mut worker.metrics, now);
    }

    /// Sends what is gathered of one kind if there is enough, if the first is due, or if a flush asks
    /// for it.
    fn send_batch<T: Entry>(&mut self, batch: fn(&mut Self) -> &mut Batch<T>, now: Instant) {
        let is_asked = !self.flushes.is_empty() && self.shared.queue.is_empty();
        if !batch(self).is_due(now, is_asked) || !self.can_go_on(now) {
            return;
        }
        let (numbers, entries) = batch(self).take();
        let buffer = self.delivery.take_buffer();
        // A panic would lose all entries, and the step counts only the one in hand.
        let sealed = unwind::catch(|| self.pipeline.seal_batch(&entries, buffer));
        match sealed.unwrap_or(Err(DiscardReason::InternalSdkError)) {
            Ok(SealedBatch { outbound, dropped }) => {
                for (place, entry) in entries.into_iter().enumerate().filter(|_| !dropped.is_empty()) {
                    if let Some(reason) = dropped.get(&place) {
                        self.shared.lose(&entry.into_item(), *reason);
                    }
                }
                if let Some(outbound) = outbound {
                    self.hand_over(Outbound { numbers, ..outbound }, now);
                }
            }
            Err(reason) => entries.into_iter().for_each(|entry| self.shared.lose(&entry.into_item(), reason)),
        }
    }

    /// Adds an entry to those that are sent together.
    fn gather<T: Entry>(&mut self, batch: fn(&mut Self) -> &mut Batch<T>, number: u64, entry: Box<T>, now: Instant) {
        batch(self).push(number, entry, now);
        if batch(self).is_full() {
            self.send_batch(batch, now);
        }
    }

    /// Whether a flush needs attention now.
    ///
    /// This matters if the transport is a function: it may be slow, and it always has room, so the
    /// loop would not pause.
    fn is_called(&self) -> bool {
        let is_late = || self.flushes.deadlines().any(|deadline| deadline <= Instant::now());
        self.shared.calls.any(|_| true) || is_late()
    }

    fn take_item(&mut self, number: u64, mut item: Item, now: Instant) {
        let is_limited = self.delivery.is_closed(item.category(), now);
        if is_limited && !self.delivery.has_copies(item.category()) {
            self.shared.lose(&item, DiscardReason::RatelimitBackoff);
            return self.shared.recycle(item);
        }
        match item {
            Item::Log(line) => return self.gather(|worker| &mut worker.logs, number, line, now),
            Item::Metric(metric) => return self.gather(|worker| &mut worker.metrics, number, metric, now),
            Item::Spans(record) => return self.send_spans(number, record, now),
            _ => {}
        }
        let takes_reports = self.delivery.reports_losses() && self.delivery.has_room(now) && !is_limited;
        let reports = if takes_reports { self.take_reports(now) } else { Vec::new() };
        #[cfg(profiles)]
        if self.delivery.is_closed(Category::Profile, now) && item.withhold_profile() {
            self.shared.ledger.lose_profile(DiscardReason::RatelimitBackoff);
        }
        let buffer = self.delivery.take_buffer();
        let rows = reports.clone();
        // Symbols of the program and code of the user are read here, so contain what they do.
        let sealed = unwind::catch(|| self.pipeline.seal(&mut item, reports, buffer));
        match sealed.unwrap_or(Err((DiscardReason::InternalSdkError, rows))) {
            Ok(mut outbound) => {
                outbound.numbers.push(number);
                self.shared.ledger.add_spans(outbound.added_spans);
                self.shared.ledger.lose_spans(outbound.removed_spans, DiscardReason::BeforeSend);
                self.shared.ledger.lose_spans(outbound.cut_spans, DiscardReason::BufferOverflow);
                outbound.lost_profile.into_iter().for_each(|reason| self.shared.ledger.lose_profile(reason));
                self.shared.ledger.lose_bytes(outbound.withheld_bytes, DiscardReason::BeforeSend);
                self.hand_over(outbound, now);
            }
            Err((reason, reports)) => {
                self.shared.ledger.put_back(&reports);
                self.shared.lose(&item, reason);
            }
        }
        self.shared.recycle(item);
    }

    /// Shows an envelope in the local sinks, and sends it unless the server limits its category.
    fn hand_over(&mut self, mut outbound: Outbound, now: Instant) {
        self.shared.ledger.truncate(outbound.envelope.reduction().values);
        self.delivery.show(&mut outbound, now);
        if self.delivery.is_closed(outbound.load.category, now) {
            self.shared.ledger.lose(outbound.load, DiscardReason::RatelimitBackoff);
        } else if self.delivery.has_room(now) || !self.delivery.spools(now) {
            self.delivery.dispatch(outbound);
        } else {
            self.delivery.set_aside(outbound);
        }
    }

    fn take_reports(&mut self, now: Instant) -> Vec<DiscardedEvent> {
        let rows = self.shared.ledger.take_unreported();
        if !rows.is_empty() {
            self.last_report = now;
        }
        rows
    }

    fn send_report(&mut self, now: Instant) {
        if !self.delivery.reports_losses() {
            return;
        }
        self.last_report = now;
        let reports = self.shared.ledger.take_unreported();
        if let Some(report) = Some(reports).filter(|rows| !rows.is_empty()).and_then(|rows| self.pipeline.seal_report(rows)) {
            self.delivery.dispatch(report);
        }
    }

    /// Whether an envelope can be sent, or put on disk.
    fn can_go_on(&self, now: Instant) -> bool {
        self.delivery.has_room(now) || self.delivery.spools(now)
    }

    /// Whether everything that was submitted has been sealed.
    fn is_drained(&self) -> bool {
        self.shared.queue.is_empty() && self.logs.is_empty() && self.metrics.is_empty()
    }

    /// Answers the flushes that are done or past their deadline.
    ///
    /// Returns `true` if the exporter is closed, and is done or past its deadline.
    fn answer_flushes(&mut self) -> bool {
        if self.flushes.is_empty() {
            return false;
        }
        self.delivery.settle_disk();
        let now = Instant::now();
        let is_done = self.is_drained() && self.delivery.is_idle() && self.shared.security.waiting() == 0;
        let closes = self.flushes.close(is_done, now);
        let stats = self.shared.ledger.stats();
        // Copies for Spotlight do not count here: an undelivered copy is not a loss.
        let mut left = stats.waiting() + self.shared.security.waiting() + self.delivery.copied_spans();
        if closes && !is_done {
            left = self.give_up(DiscardReason::NetworkError);
        }
        let waiting = [self.shared.queue.oldest(), self.logs.oldest(), self.metrics.oldest(), self.delivery.oldest()];
        let oldest = waiting.into_iter().flatten().min().unwrap_or(u64::MAX);
        let sends_sessions = self.delivery.is_sending(Category::Session);
        let lines = self.shared.security.settled();
        // Under traffic the queue may never be empty, so items after the call do not count.
        self.flushes.answer(left, closes, now, |flush| {
            let has_items = oldest < flush.up_to || lines < flush.lines_up_to;
            is_done || !flush.close && !has_items && flush.took_sessions && !sends_sessions
        });
        closes
    }

    /// Drops and counts everything that is left at the deadline of a shutdown and cannot be put on
    /// disk. Returns the number of items that are dropped.
    fn give_up(&mut self, reason: DiscardReason) -> u64 {
        let before = self.shared.ledger.stats();
        self.delivery.give_up(reason);
        let spans = self.delivery.collector.as_mut().map_or(0, |collector| collector.give_up(reason));
        let (logs, metrics) = (self.logs.take_all().into_iter(), self.metrics.take_all().into_iter());
        for item in logs.map(Item::Log).chain(metrics.map(Item::Metric)) {
            self.shared.ledger.lose(item.load(), reason);
        }
        let spooled = self.shared.ledger.stats().spooled().saturating_sub(before.spooled());
        let lines = self.shared.security.close();
        let left = before.waiting().saturating_sub(spooled);
        if left > 0 && reason == DiscardReason::NetworkError {
            diagnostics::warn_of_loss(left);
        }
        if lines > 0 {
            diagnostics::warn(&format!("{lines} lines of the security log were not written before the shutdown's deadline"));
        }
        self.shared.drop_queue(reason);
        left + lines + spans
    }
}

mod spans;
#[cfg(test)]
mod tests;
mod waits;
