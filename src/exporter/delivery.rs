//! Sends sealed envelopes, several at a time, retries them, and counts the result.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::task::{self, JoinSet};

use super::backoff::Backoff;
use super::gzip::{Gzip, encode};
use super::ledger::Load;
use super::pipeline::Outbound;
use super::rate_limit::RateLimits;
use super::{Settings, Shared};
use crate::error::Error;
use crate::protocol::{Category, DiscardReason};
use crate::transport::{Http, Outcome, Transport, console};
use crate::{diagnostics, unwind};

/// At most this many requests are in flight at once.
const IN_FLIGHT: usize = 4;
/// Failed envelopes that may wait for a retry: eight of any size, and more while all of them
/// together take at most 1 MiB.
const RETRIES: usize = 8;
const RETRIED_BYTES: usize = 1024 * 1024;

/// All destinations, and the envelopes on their way to them.
pub(super) struct Delivery {
    shared: Arc<Shared>,
    console: bool,
    /// Replaces the project's server.
    transport: Option<Transport>,
    project: Option<Http>,
    spotlight: Option<Http>,
    gzip: Gzip,
    limits: RateLimits,
    backoff: Backoff,
    /// Envelopes that got no answer. The one that waits longest is retried first.
    retry: VecDeque<Outbound>,
    in_flight: JoinSet<(Outbound, Outcome)>,
    /// For each attempt in flight: what it counts for if it is given up, and its smallest number.
    in_flight_loads: HashMap<task::Id, (Load, u64)>,
    /// Copies for the development server. Their outcome is not counted.
    copies: JoinSet<()>,
    /// Buffers of sent envelopes, for reuse.
    buffers: Vec<Vec<u8>>,
    trouble: diagnostics::Quiet,
    /// The number of answers from the server so far.
    answers: u64,
    /// Whether the current turn belongs to a retry; turns alternate with new envelopes.
    is_retrys_turn: bool,
    /// The client for the project's server could not be set up, so nothing can be sent.
    is_refused: bool,
}

impl Delivery {
    pub(super) fn new(settings: &Settings, shared: Arc<Shared>) -> Self {
        let Settings { connect_timeout, request_timeout, .. } = *settings;
        let project = settings.dsn.as_ref().filter(|_| settings.transport.is_none());
        // Without a project, Spotlight takes the server's place: its answers are awaited and
        // counted.
        let is_alone = project.is_none() && settings.transport.is_none();
        // A destination that cannot be set up must not stop local sinks, the security log or the
        // ledger.
        let taken = |http: Result<Http, Error>, what: &str| http.map_err(|error| diagnostics::warn(&format!("{what}: {error}"))).ok();
        let nothing = "nothing will be sent";
        let mut is_refused = false;
        let project = project.and_then(|dsn| {
            let http = taken(Http::to_project(dsn, connect_timeout, request_timeout), nothing);
            is_refused = http.is_none();
            http
        });
        let to_spotlight = if is_alone { nothing } else { "Spotlight gets nothing" };
        let spotlight = settings.spotlight.clone().and_then(|url| taken(Http::to_url(url, connect_timeout, request_timeout), to_spotlight));
        let (project, spotlight) = if is_alone { (spotlight, None) } else { (project, spotlight) };
        Self {
            shared,
            console: settings.console,
            transport: settings.transport.clone(),
            project,
            spotlight,
            gzip: Gzip::default(),
            limits: RateLimits::default(),
            backoff: Backoff::default(),
            retry: VecDeque::new(),
            in_flight: JoinSet::new(),
            in_flight_loads: HashMap::new(),
            copies: JoinSet::new(),
            buffers: Vec::new(),
            trouble: diagnostics::Quiet::new(),
            answers: 0,
            is_retrys_turn: false,
            is_refused,
        }
    }

    /// Processes the attempts that have ended.
    pub(super) fn settle_finished(&mut self) {
        while let Some(joined) = self.in_flight.try_join_next_with_id() {
            match joined {
                Ok((id, (outbound, outcome))) => {
                    self.in_flight_loads.remove(&id);
                    self.settle(outbound, outcome);
                }
                // The task panicked, in our code or in the HTTP client.
                Err(error) => {
                    if let Some((load, _)) = self.in_flight_loads.remove(&error.id()) {
                        self.shared.ledger.discard(load, DiscardReason::InternalSdkError);
                    }
                }
            }
        }
        while self.copies.try_join_next().is_some() {}
    }

    /// Whether one more attempt may begin.
    ///
    /// While the server does not answer, it gets one probe at a time, after a pause.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        let limit = if self.backoff.is_failing() { 1 } else { IN_FLIGHT };
        self.in_flight.len() < limit && (self.project.is_none() || self.backoff.until(now).is_none())
    }

    /// When the pause after a failure ends, if there is one.
    pub(super) fn pause(&self, now: Instant) -> Option<Instant> {
        self.backoff.until(now)
    }

    /// Whether a rate limit of the server applies to a category.
    pub(super) fn is_closed(&self, category: Category, now: Instant) -> bool {
        self.project.is_some() && self.limits.is_closed(category, now)
    }

    /// Whether a local sink shows envelopes even if the server limits them.
    pub(super) fn shows_locally(&self) -> bool {
        self.console || self.spotlight.is_some()
    }

    /// Whether a user's function replaces the network. It may be slow.
    pub(super) fn has_transport(&self) -> bool {
        self.transport.is_some()
    }

    /// Whether there is a receiver for client reports.
    pub(super) fn reports_losses(&self) -> bool {
        self.project.is_some() || self.transport.is_some()
    }

    /// Whether nothing is in flight or waits for a retry, copies included.
    pub(super) fn is_idle(&self) -> bool {
        self.retry.is_empty() && self.in_flight.is_empty() && self.copies.is_empty()
    }

    /// Whether no envelope waits for a retry.
    pub(super) fn has_no_backlog(&self) -> bool {
        self.retry.is_empty()
    }

    /// Whether an envelope of a category is in flight.
    pub(super) fn is_sending(&self, category: Category) -> bool {
        self.in_flight_loads.values().any(|(load, _)| load.category == category)
    }

    /// The smallest item number that is in flight or waits for a retry.
    pub(super) fn oldest(&self) -> Option<u64> {
        let waiting = self.retry.iter().map(Outbound::oldest);
        waiting.chain(self.in_flight_loads.values().map(|(_, number)| *number)).min()
    }

    /// Takes the buffer of a sent envelope, or a new one.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    /// Shows an envelope in the local sinks: prints it, and sends a copy to Spotlight.
    pub(super) fn show(&mut self, outbound: &mut Outbound) {
        if self.console {
            console::print(&mut outbound.envelope);
        }
        if let Some(spotlight) = self.spotlight.clone().filter(|_| self.copies.len() < IN_FLIGHT) {
            let (body, compressed) = encode(&mut self.gzip, &mut outbound.envelope, SystemTime::now());
            let shared = Arc::clone(&self.shared);
            self.copies.spawn(async move {
                if let Outcome::Unreachable(reason) | Outcome::Unanswered(reason) = spotlight.send(body, compressed).await {
                    diagnostics::debug(&format!("Spotlight did not take an envelope: {reason}"));
                }
                shared.queue.wake();
            });
        }
    }

    pub(super) fn dispatch(&mut self, mut outbound: Outbound) {
        if let Some(transport) = &self.transport {
            let bytes = outbound.envelope.bytes_at(SystemTime::now());
            if unwind::catch(|| transport(bytes)).is_none() {
                self.trouble.warn("the transport function panicked; what it was given is dropped and counted");
                self.shared.ledger.put_back(&outbound.reports);
                self.shared.ledger.discard(outbound.load, DiscardReason::SendError);
                return self.keep_buffer(outbound);
            }
        }
        let Some(project) = self.project.clone() else {
            if self.is_refused {
                self.shared.ledger.discard(outbound.load, DiscardReason::InternalSdkError);
            } else {
                // Without a server, an envelope counts as sent once the transport function or a
                // local sink has it.
                self.shared.ledger.sent(outbound.load);
            }
            return self.keep_buffer(outbound);
        };
        let (body, compressed) = encode(&mut self.gzip, &mut outbound.envelope, SystemTime::now());
        let shared = Arc::clone(&self.shared);
        let (load, number) = (outbound.load, outbound.oldest());
        let attempt = self.in_flight.spawn(async move {
            let outcome = project.send(body, compressed).await;
            shared.queue.wake();
            (outbound, outcome)
        });
        self.in_flight_loads.insert(attempt.id(), (load, number));
    }

    fn settle(&mut self, outbound: Outbound, outcome: Outcome) {
        let ledger = &self.shared.ledger;
        let now = Instant::now();
        match outcome {
            Outcome::Answered { status, headers } => {
                self.backoff.succeeded();
                self.limits.note(status, &headers, now);
                match status.as_u16() {
                    200..=299 => ledger.sent(outbound.load),
                    429 => ledger.refused(outbound.load),
                    _ => ledger.discard(outbound.load, DiscardReason::SendError),
                }
                self.answers += 1;
                if !status.is_success() {
                    // The server rejected the client report together with its envelope.
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
            Outcome::Unanswered(reason) => {
                self.backoff.failed_midway(now);
                self.trouble.warn(&format!("the server hangs up without an answer ({reason}); events wait in memory"));
                self.keep_for_later(outbound);
            }
            Outcome::Unreachable(reason) => {
                self.backoff.failed(now);
                self.trouble.warn(&format!("the server cannot be reached ({reason}); events wait in memory"));
                self.keep_for_later(outbound);
            }
        }
    }

    /// Keeps an unanswered envelope for a retry, or drops it.
    ///
    /// It is dropped after three more failures, each with an answer to another envelope in between.
    /// The envelope itself is then the likely cause.
    fn keep_for_later(&mut self, mut outbound: Outbound) {
        let strikes = &mut outbound.strikes;
        strikes.count += u32::from(strikes.count == 0 || self.answers > strikes.answers);
        strikes.answers = self.answers;
        if strikes.count > 3 {
            return self.lose(outbound, DiscardReason::NetworkError);
        }
        self.retry.push_back(outbound);
        let mut bytes: usize = self.retry.iter().map(|outbound| outbound.envelope.len()).sum();
        // New envelopes that fail are kept here too, but most of the memory must stay with the
        // queue. So the oldest are dropped; one large envelope may displace several small ones.
        while self.retry.len() > RETRIES
            && bytes > RETRIED_BYTES
            && let Some(oldest) = self.retry.pop_front()
        {
            bytes -= oldest.envelope.len();
            self.lose(oldest, DiscardReason::NetworkError);
        }
    }

    /// Drops an envelope and counts it. The rows of its client report go into the next one.
    pub(super) fn lose(&mut self, outbound: Outbound, reason: DiscardReason) {
        self.shared.ledger.put_back(&outbound.reports);
        self.shared.ledger.discard(outbound.load, reason);
        self.keep_buffer(outbound);
    }

    /// Takes the next envelope to retry, in turns with new ones.
    ///
    /// Envelopes that the server cannot handle therefore never block the rest.
    pub(super) fn next_retry(&mut self) -> Option<Outbound> {
        self.is_retrys_turn = !self.is_retrys_turn || self.shared.queue.is_empty();
        if self.is_retrys_turn { self.retry.pop_front() } else { None }
    }

    /// Shortens the pauses, because the process is about to end.
    pub(super) fn hurry(&mut self) {
        self.backoff.hurry();
    }

    fn keep_buffer(&mut self, outbound: Outbound) {
        // Only buffers of ordinary size, and few of them: unused memory should return to the
        // application.
        if self.buffers.len() < IN_FLIGHT && outbound.envelope.len() < 64 * 1024 {
            self.buffers.push(outbound.envelope.into_buffer());
        }
    }

    /// Drops everything that was not delivered, and counts it as a network error.
    pub(super) fn give_up(&mut self) {
        self.in_flight.abort_all();
        let retry = self.retry.drain(..).map(|outbound| outbound.load);
        for load in self.in_flight_loads.drain().map(|(_, (load, _))| load).chain(retry) {
            self.shared.ledger.discard(load, DiscardReason::NetworkError);
        }
    }
}

#[cfg(test)]
mod tests;
