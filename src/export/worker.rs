//! The exporter's own thread: takes items from the queue, seals them, sends several at a time, keeps the accounts.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::task::{self, JoinSet};

use super::backoff::Backoff;
use super::http::{self, Http, Outcome};
use super::pipeline::Outbound;
use super::rate_limit::RateLimits;
use super::{Flush, Item, Pipeline, Settings, Shared, Transport, console, diagnostics};
use crate::error::Error;
use crate::exception;
use crate::protocol::{Category, DiscardReason, DiscardedEvent};

/// Requests that may be on the wire at once.
const IN_FLIGHT: usize = 4;
/// While there is traffic the worker looks by itself, so that requests need not wake it.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// After so many looks at an empty queue it sleeps until it is woken.
const LOOKS_BEFORE_SLEEP: u32 = 50;
/// A client report that found no envelope to ride on goes alone after this.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// Sessions are counted for so long.
const SESSIONS_EVERY: Duration = Duration::from_secs(60);
/// The start line waits this long for somebody who listens.
const ANNOUNCE_WITHIN: Duration = Duration::from_secs(1);

pub(super) struct Worker<'a> {
    shared: &'a Arc<Shared>,
    pipeline: Pipeline,
    console: bool,
    /// Stands in for the project's server.
    transport: Option<Transport>,
    project: Option<Http>,
    spotlight: Option<Http>,
    limits: RateLimits,
    backoff: Backoff,
    /// Envelopes that found no server; the oldest goes first when it is back.
    retry: VecDeque<Outbound>,
    in_flight: JoinSet<(Outbound, Outcome)>,
    /// What each attempt in flight counts for, should it have to be given up.
    in_flight_counts: HashMap<task::Id, (Category, u64)>,
    /// Copies for the development server, whose answers nobody needs.
    copies: JoinSet<()>,
    flushes: Vec<Flush>,
    last_report: Instant,
    last_sessions: Instant,
    empty_looks: u32,
    /// The memory of sent envelopes, for the next ones.
    buffers: Vec<Vec<u8>>,
    start_line: Option<(String, Instant)>,
    trouble: diagnostics::Quiet,
    /// Answers of the server so far.
    answers: u64,
}

impl<'a> Worker<'a> {
    pub(super) fn new(settings: Settings, shared: &'a Arc<Shared>) -> Result<Self, Error> {
        let Settings { connect_timeout, request_timeout, .. } = settings;
        let project = settings.dsn.as_ref().filter(|_| settings.transport.is_none());
        let project = project.map(|dsn| Http::to_project(dsn, connect_timeout, request_timeout)).transpose()?;
        let spotlight = settings.spotlight.map(|url| Http::to_url(url, connect_timeout, request_timeout)).transpose()?;
        // Without a project, Spotlight is the server: waited for and counted like one.
        let (project, spotlight) = if project.is_some() || settings.transport.is_some() { (project, spotlight) } else { (spotlight, None) };
        let now = Instant::now();
        Ok(Self {
            shared,
            pipeline: Pipeline {
                facts: settings.facts,
                redactor: settings.redactor,
                before_send: settings.before_send,
                before_send_transaction: settings.before_send_transaction,
            },
            console: settings.console,
            transport: settings.transport,
            project,
            spotlight,
            limits: RateLimits::default(),
            backoff: Backoff::default(),
            retry: VecDeque::new(),
            in_flight: JoinSet::new(),
            in_flight_counts: HashMap::new(),
            copies: JoinSet::new(),
            flushes: Vec::new(),
            last_report: now,
            last_sessions: now,
            empty_looks: 0,
            buffers: Vec::new(),
            start_line: settings.start_line.map(|line| (line, now + ANNOUNCE_WITHIN)),
            trouble: diagnostics::Quiet::new(),
            answers: 0,
        })
    }

    /// Runs until the exporter is closed.
    pub(super) async fn run(mut self) {
        loop {
            self.announce();
            self.take_commands();
            // A task of ours neither panics nor is aborted before the end.
            while let Some(Ok((id, (outbound, outcome)))) = self.in_flight.try_join_next_with_id() {
                self.in_flight_counts.remove(&id);
                self.settle(outbound, outcome);
            }
            while self.copies.try_join_next().is_some() {}
            self.send_what_can_go();
            if self.answer_flushes() {
                return;
            }
            self.wait().await;
        }
    }

    /// Says that monitoring is on, to whoever listens, as soon as somebody does.
    fn announce(&mut self) {
        if let Some((line, _)) = self.start_line.take_if(|(_, latest)| tracing::dispatcher::has_been_set() || *latest <= Instant::now()) {
            diagnostics::info(&line);
        }
    }

    fn take_commands(&mut self) {
        self.flushes.append(&mut self.shared.commands.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn send_what_can_go(&mut self) {
        let now = Instant::now();
        // First: one small envelope a minute, which a backlog must not keep.
        self.send_sessions(now);
        while self.has_room(now) && !self.is_called() {
            if let Some(outbound) = self.next_retry() {
                self.dispatch(outbound);
                continue;
            }
            let Some(item) = self.shared.queue.pop() else { break };
            self.empty_looks = 0;
            self.take_item(item, now);
        }
        let is_asked = self.shared.queue.is_empty() && self.flushes.iter().any(|flush| !flush.took_report);
        let is_due = now.duration_since(self.last_report) >= REPORT_EVERY;
        if (is_due || is_asked) && self.has_room(now) && self.retry.is_empty() {
            self.flushes.iter_mut().for_each(|flush| flush.took_report = true);
            self.send_report(now);
        }
    }

    /// Sends the sessions of the last minute, or those that a flush asks for; once for each, since they are counted on.
    fn send_sessions(&mut self, now: Instant) {
        let is_asked = self.flushes.iter().any(|flush| !flush.took_sessions);
        let is_due = now.duration_since(self.last_sessions) >= SESSIONS_EVERY;
        if !(is_asked || is_due) || !self.has_room(now) {
            return;
        }
        self.flushes.iter_mut().for_each(|flush| flush.took_sessions = true);
        if self.shared.sessions.is_empty() || self.limits.is_closed(Category::Session, now) {
            return;
        }
        self.last_sessions = now;
        if let Some(sessions) = self.pipeline.seal_sessions(self.shared.sessions.take()).filter(|_| self.reports_losses()) {
            self.dispatch(sessions);
        }
    }

    /// Whether somebody waits for an answer now: a transport of the user's may take its time, and with one there is always room.
    fn is_called(&self) -> bool {
        let is_late = || self.flushes.iter().any(|flush| flush.deadline <= Instant::now());
        let has_commands = || !self.shared.commands.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        self.transport.is_some() && (has_commands() || is_late())
    }

    /// Whether one more attempt may begin: a server that does not answer gets one probe at a time, after a pause.
    fn has_room(&self, now: Instant) -> bool {
        let limit = if self.backoff.is_failing() { 1 } else { IN_FLIGHT };
        self.in_flight.len() < limit && (self.project.is_none() || self.backoff.until(now).is_none())
    }

    fn take_item(&mut self, mut item: Item, now: Instant) {
        let is_limited = self.project.is_some() && self.limits.is_closed(item.category(), now);
        if is_limited && !self.console && self.spotlight.is_none() {
            self.shared.ledger.discard(&item, DiscardReason::RatelimitBackoff);
            return self.shared.recycle(item);
        }
        let reports = if self.reports_losses() && !is_limited { self.take_reports(now) } else { Vec::new() };
        let buffer = self.buffers.pop().unwrap_or_default();
        match self.pipeline.seal(&mut item, reports, buffer) {
            Ok(mut outbound) => {
                self.shared.ledger.add_spans(outbound.added_spans);
                self.shared.ledger.drop_spans(outbound.removed_spans, DiscardReason::BeforeSend);
                self.show(&mut outbound);
                if is_limited {
                    self.shared.ledger.discard_shares(outbound.category, outbound.spans, DiscardReason::RatelimitBackoff);
                } else {
                    self.dispatch(outbound);
                }
            }
            Err((reason, reports)) => {
                self.shared.ledger.put_back(&reports);
                self.shared.ledger.discard(&item, reason);
            }
        }
        self.shared.recycle(item);
    }

    /// Hands a copy to the local sinks.
    fn show(&mut self, outbound: &mut Outbound) {
        if self.console {
            console::print(&mut outbound.envelope);
        }
        if let Some(spotlight) = self.spotlight.clone().filter(|_| self.copies.len() < IN_FLIGHT) {
            let (body, compressed) = http::encode(&mut outbound.envelope, SystemTime::now());
            let shared = Arc::clone(self.shared);
            self.copies.spawn(async move {
                if let Outcome::Unreachable(reason) | Outcome::Failed(reason) = spotlight.send(body, compressed).await {
                    diagnostics::debug(&format!("Spotlight did not take an envelope: {reason}"));
                }
                shared.queue.wake();
            });
        }
    }

    fn dispatch(&mut self, mut outbound: Outbound) {
        if let Some(transport) = &self.transport {
            let bytes = outbound.envelope.bytes_at(SystemTime::now());
            if exception::contained(|| transport(bytes)).is_none() {
                self.trouble.warn("the transport function panicked; what it was given is dropped and counted");
                self.shared.ledger.put_back(&outbound.reports);
                self.shared.ledger.discard_shares(outbound.category, outbound.spans, DiscardReason::SendError);
                return self.keep_buffer(outbound);
            }
        }
        let Some(project) = self.project.clone() else {
            // Without a server, what a local sink has shown is as delivered as it can be.
            self.shared.ledger.sent(outbound.category, outbound.spans);
            return self.keep_buffer(outbound);
        };
        let (body, compressed) = http::encode(&mut outbound.envelope, SystemTime::now());
        let shared = Arc::clone(self.shared);
        let counts = (outbound.category, outbound.spans);
        let attempt = self.in_flight.spawn(async move {
            let outcome = project.send(body, compressed).await;
            shared.queue.wake();
            (outbound, outcome)
        });
        self.in_flight_counts.insert(attempt.id(), counts);
    }

    fn settle(&mut self, outbound: Outbound, outcome: Outcome) {
        let ledger = &self.shared.ledger;
        let now = Instant::now();
        match outcome {
            Outcome::Answered { status, headers } => {
                self.backoff.succeeded();
                self.limits.note(status, &headers, now);
                match status.as_u16() {
                    200..=299 => ledger.sent(outbound.category, outbound.spans),
                    429 => ledger.refused(outbound.category, outbound.spans),
                    _ => ledger.discard_shares(outbound.category, outbound.spans, DiscardReason::SendError),
                }
                self.answers += 1;
                if !status.is_success() {
                    // The report was refused together with what it rode on.
                    ledger.put_back(&outbound.reports);
                }
                if status.as_u16() == 429 {
                    self.trouble.warn(
                        "the server asks for silence (429); what was sent is dropped and counted, as is what comes until its limit ends",
                    );
                } else if !status.is_success() {
                    self.trouble.warn(&format!("the server answered {status}; what was sent is dropped and counted"));
                }
                self.keep_buffer(outbound);
            }
            Outcome::Unreachable(reason) => {
                self.backoff.failed(now);
                self.trouble.warn(&format!("the server cannot be reached ({reason}); events wait in memory"));
                self.keep_for_later(outbound);
            }
            Outcome::Failed(reason) => {
                self.trouble.warn(&format!("an envelope could not be sent and is dropped: {reason}"));
                ledger.discard_shares(outbound.category, outbound.spans, DiscardReason::InternalSdkError);
                self.keep_buffer(outbound);
            }
        }
    }

    /// Puts an envelope that found no answer aside; after three times that others found one, it is what the server chokes on.
    fn keep_for_later(&mut self, mut outbound: Outbound) {
        let strikes = &mut outbound.strikes;
        strikes.count += u32::from(strikes.count == 0 || self.answers > strikes.answers);
        strikes.answers = self.answers;
        if strikes.count <= 3 {
            return self.retry.push_back(outbound);
        }
        self.shared.ledger.put_back(&outbound.reports);
        self.shared.ledger.discard_shares(outbound.category, outbound.spans, DiscardReason::NetworkError);
        self.keep_buffer(outbound);
    }

    /// The next to send: while attempts fail, fresh ones take turns with those that failed, so that one cannot block all.
    fn next_retry(&mut self) -> Option<Outbound> {
        let takes_fresh = self.backoff.is_failing() && self.retry.len() < 2 * IN_FLIGHT && !self.shared.queue.is_empty();
        if takes_fresh { None } else { self.retry.pop_front() }
    }

    fn keep_buffer(&mut self, outbound: Outbound) {
        // Of ordinary size and not too many: memory that is never used again belongs to the application.
        if self.buffers.len() < IN_FLIGHT && outbound.envelope.len() < 64 * 1024 {
            self.buffers.push(outbound.envelope.into_buffer());
        }
    }

    /// Whether there is somebody to tell what was dropped.
    fn reports_losses(&self) -> bool {
        self.project.is_some() || self.transport.is_some()
    }

    fn take_reports(&mut self, now: Instant) -> Vec<DiscardedEvent> {
        let rows = self.shared.ledger.take_unreported();
        if !rows.is_empty() {
            self.last_report = now;
        }
        rows
    }

    fn send_report(&mut self, now: Instant) {
        if !self.reports_losses() {
            return;
        }
        self.last_report = now;
        let reports = self.shared.ledger.take_unreported();
        if let Some(report) = Some(reports).filter(|rows| !rows.is_empty()).and_then(|rows| self.pipeline.seal_report(rows)) {
            self.dispatch(report);
        }
    }

    /// Answers those whose wait is over. True when the exporter is closed and has no more to do.
    fn answer_flushes(&mut self) -> bool {
        if self.flushes.is_empty() {
            return false;
        }
        let now = Instant::now();
        let is_done = self.shared.queue.is_empty() && self.retry.is_empty() && self.in_flight.is_empty() && self.copies.is_empty();
        let closes = self.flushes.iter().any(|flush| flush.close && (is_done || flush.deadline <= now));
        let stats = self.shared.ledger.stats();
        // Copies that a development server does not take are nobody's loss.
        let left = stats.waiting();
        if closes && !is_done {
            self.give_up();
        }
        let settled = stats.captured() - stats.waiting();
        let sends_sessions = self.in_flight_counts.values().any(|(category, _)| *category == Category::Session);
        self.flushes.retain(|flush| {
            // Under traffic the queue may never be empty: what came after the call does not count.
            let is_flushed = is_done || !flush.close && settled >= flush.settled && flush.took_sessions && !sends_sessions;
            let over = closes || is_flushed || flush.deadline <= now;
            if over {
                // Whoever asked may have gone.
                let _ = flush.done.try_send(if is_flushed { 0 } else { left });
            }
            !over
        });
        closes
    }

    /// The deadline of a shutdown: what is left is dropped and counted.
    fn give_up(&mut self) {
        let left = self.shared.ledger.stats().waiting();
        if left > 0 {
            diagnostics::warn(&format!("{left} events and transactions were not delivered before the shutdown's deadline and are dropped"));
        }
        self.in_flight.abort_all();
        let retry = self.retry.drain(..).map(|outbound| (outbound.category, outbound.spans));
        for (category, spans) in self.in_flight_counts.drain().map(|(_, counts)| counts).chain(retry) {
            self.shared.ledger.discard_shares(category, spans, DiscardReason::NetworkError);
        }
        while let Some(item) = self.shared.queue.pop() {
            self.shared.ledger.discard(&item, DiscardReason::NetworkError);
            self.shared.recycle(item);
        }
    }

    /// Waits until there is something to do, or might be.
    async fn wait(&mut self) {
        let now = Instant::now();
        // A report that is due and cannot go waits for what keeps it, and that wakes us.
        let report = self.last_report + REPORT_EVERY;
        let mut latest = if report > now { report } else { now + REPORT_EVERY };
        if !self.has_room(now) {
            // The end of an attempt wakes us, or the end of the pause.
            latest = self.backoff.until(now).map_or(latest, |until| latest.min(until));
        } else if self.empty_looks < LOOKS_BEFORE_SLEEP {
            self.empty_looks += 1;
            latest = latest.min(now + LOOK_EVERY);
        } else if !self.shared.queue.fall_asleep() {
            self.empty_looks = 0;
            return;
        }
        for deadline in self.flushes.iter().map(|flush| flush.deadline).chain(self.start_line.as_ref().map(|(_, latest)| *latest)) {
            latest = latest.min(deadline);
        }
        if self.start_line.is_some() {
            latest = latest.min(now + LOOK_EVERY);
        }
        let _ = tokio::time::timeout_at(latest.into(), self.shared.queue.woken()).await;
    }
}
