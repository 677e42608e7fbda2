//! Sends sealed envelopes, several at a time, retries them, and counts the result.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::task::{self, JoinSet};
use tokio::time::timeout;

use super::backoff::Backoff;
use super::destination::{Answer, Destination};
use super::gzip::Gzip;
use super::ledger::Load;
use super::pipeline::Outbound;
use super::rate_limit::RateLimits;
use super::settings::DeliverySettings;
use super::shared::Shared;
use crate::diagnostics;
use crate::error::Error;
use crate::protocol::{Category, DiscardReason};
use crate::transport::{Console, Endpoint, Http, LONGEST_WAIT, TransportError, TransportResponse};

/// At most this many requests are in flight at once.
const IN_FLIGHT: usize = 4;
/// Failed envelopes that may wait for a retry: eight of any size, and more while all of them
/// together take at most 1 MiB.
const RETRIES: usize = 8;
const RETRIED_BYTES: usize = 1024 * 1024;

/// All destinations, and the envelopes on their way to them.
pub(super) struct Delivery {
    shared: Arc<Shared>,
    /// The project's server or what replaces it. Its answers decide what happens to an envelope.
    server: Option<Destination>,
    /// Local sinks, for development. They get copies, whose outcome is not counted.
    sinks: Vec<Sink>,
    request_timeout: Duration,
    gzip: Gzip,
    limits: RateLimits,
    backoff: Backoff,
    /// Envelopes that got no answer. The one that waits longest is retried first.
    retry: VecDeque<Outbound>,
    in_flight: JoinSet<(Outbound, Answer)>,
    /// For each attempt in flight: what it counts for if it is given up, and its smallest number.
    in_flight_loads: HashMap<task::Id, (Load, u64)>,
    /// Buffers of sent envelopes, for reuse.
    buffers: Vec<Vec<u8>>,
    trouble: diagnostics::Quiet,
    /// The number of answers from the server so far.
    answers: u64,
    /// Whether the current turn belongs to a retry; turns alternate with new envelopes.
    is_retrys_turn: bool,
    /// The transport to the project's server could not be set up, so nothing can be sent.
    is_refused: bool,
}

/// A local sink, and the copies on their way to it.
struct Sink {
    name: &'static str,
    destination: Destination,
    copies: JoinSet<()>,
}

impl Delivery {
    pub(super) fn new(settings: &DeliverySettings, shared: Arc<Shared>) -> Self {
        let http = |url, what: &str| {
            let http = Http::new(url, &settings.http);
            // A destination that cannot be set up must not stop local sinks, the security log or
            // the ledger.
            http.map_err(|error: Error| diagnostics::warn(&format!("{what}: {error:#}"))).ok()
        };
        let of_project = settings.dsn.as_ref().map(Endpoint::of_project);
        let (server, is_refused) = match (&settings.transport, &settings.dsn, of_project) {
            (Some(own), _, endpoint) => (Some(Destination::new(Arc::clone(own), endpoint.unwrap_or_else(|| Endpoint::new(None)))), false),
            (None, Some(dsn), Some(endpoint)) => {
                let http = http(dsn.envelope_url(), "nothing will be sent");
                let is_refused = http.is_none();
                (http.map(|http| Destination::new(Arc::new(http), endpoint)), is_refused)
            }
            _ => (None, false),
        };
        // Without a project, Spotlight takes the server's place: its answers are awaited and
        // counted.
        let is_alone = settings.dsn.is_none() && settings.transport.is_none();
        let what = if is_alone { "nothing will be sent" } else { "Spotlight gets nothing" };
        let spotlight = settings.spotlight.as_ref().and_then(|url| {
            let http = http(url, what)?;
            Some(Destination::new(Arc::new(http), Endpoint::new(Some(url.clone()))))
        });
        let (server, spotlight) = if is_alone { (spotlight, None) } else { (server, spotlight) };
        let console = settings.console.then(|| Destination::new(Arc::new(Console), Endpoint::new(None)));
        let sink =
            |name, destination: Option<Destination>| destination.map(|destination| Sink { name, destination, copies: JoinSet::new() });
        Self {
            shared,
            server,
            sinks: [sink("the console", console), sink("Spotlight", spotlight)].into_iter().flatten().collect(),
            request_timeout: settings.http.request_timeout.min(LONGEST_WAIT),
            gzip: Gzip::default(),
            limits: RateLimits::default(),
            backoff: Backoff::default(),
            retry: VecDeque::new(),
            in_flight: JoinSet::new(),
            in_flight_loads: HashMap::new(),
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
                Ok((id, (outbound, answer))) => {
                    self.in_flight_loads.remove(&id);
                    self.settle(outbound, answer);
                }
                // The task panicked, in our code.
                Err(error) => {
                    if let Some((load, _)) = self.in_flight_loads.remove(&error.id()) {
                        self.shared.ledger.discard(load, DiscardReason::InternalSdkError);
                    }
                }
            }
        }
        for sink in &mut self.sinks {
            while sink.copies.try_join_next().is_some() {}
        }
    }

    /// Whether one more attempt may begin.
    ///
    /// While the server does not answer, it gets one probe at a time, after a pause.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        let limit = if self.backoff.is_failing() { 1 } else { IN_FLIGHT };
        self.in_flight.len() < limit && self.backoff.until(now).is_none()
    }

    /// When the pause after a failure ends, if there is one.
    pub(super) fn pause(&self, now: Instant) -> Option<Instant> {
        self.backoff.until(now)
    }

    /// Whether a rate limit of the server applies to a category.
    pub(super) fn is_closed(&self, category: Category, now: Instant) -> bool {
        self.limits.is_closed(category, now)
    }

    /// Whether a local sink shows envelopes even if the server limits them.
    pub(super) fn shows_locally(&self) -> bool {
        !self.sinks.is_empty()
    }

    /// Whether there is a receiver for client reports.
    pub(super) fn reports_losses(&self) -> bool {
        self.server.is_some()
    }

    /// Whether nothing is in flight or waits for a retry, copies included.
    pub(super) fn is_idle(&self) -> bool {
        self.retry.is_empty() && self.in_flight.is_empty() && self.sinks.iter().all(|sink| sink.copies.is_empty())
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

    /// Sends a copy of an envelope to each local sink.
    pub(super) fn show(&mut self, outbound: &mut Outbound) {
        for sink in self.sinks.iter_mut().filter(|sink| sink.copies.len() < IN_FLIGHT) {
            let request = sink.destination.request(&mut self.gzip, &mut outbound.envelope);
            let mut attempt = sink.destination.send(request);
            // The console is done at once.
            if attempt.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                continue;
            }
            let (name, shared, limit) = (sink.name, Arc::clone(&self.shared), self.request_timeout);
            sink.copies.spawn(async move {
                if let Ok(Some(Err(error))) = timeout(limit, attempt).await {
                    diagnostics::debug(&format!("{name} did not take an envelope: {}", error.reason()));
                }
                shared.queue.wake();
            });
        }
    }

    /// Sends an envelope to the server.
    pub(super) fn dispatch(&mut self, mut outbound: Outbound) {
        let Some(server) = &self.server else {
            if self.is_refused {
                self.shared.ledger.discard(outbound.load, DiscardReason::InternalSdkError);
            } else {
                // Without a server, an envelope counts as sent once a local sink has it.
                self.shared.ledger.sent(outbound.load);
            }
            return self.keep_buffer(outbound);
        };
        let request = server.request(&mut self.gzip, &mut outbound.envelope);
        let mut attempt = server.send(request);
        // A function needs no task: it has done its work when it is polled for the first time. The
        // time to wait for others starts after that, so a transport's own timeout comes first.
        if let Poll::Ready(answer) = attempt.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return self.settle(outbound, answer);
        }
        let (shared, limit) = (Arc::clone(&self.shared), self.request_timeout);
        let (load, number) = (outbound.load, outbound.oldest());
        let attempt = self.in_flight.spawn(async move {
            let answer = timeout(limit, attempt).await.unwrap_or_else(|_| Some(Err(TransportError::timed_out())));
            shared.queue.wake();
            (outbound, answer)
        });
        self.in_flight_loads.insert(attempt.id(), (load, number));
    }

    /// Counts an envelope by the answer to it, or keeps it for a retry.
    fn settle(&mut self, outbound: Outbound, answer: Answer) {
        match answer {
            Some(Ok(response)) => self.settle_answered(outbound, &response),
            Some(Err(error)) => {
                let now = Instant::now();
                if error.is_unreachable() {
                    self.backoff.failed(now);
                } else {
                    self.backoff.failed_midway(now);
                }
                self.trouble.warn(&format!("{error} ({}); events wait in memory", error.reason()));
                self.keep_for_later(outbound);
            }
            None => {
                self.trouble.warn("the transport panicked; what it was given is dropped and counted");
                self.lose(outbound, DiscardReason::SendError);
            }
        }
    }

    fn settle_answered(&mut self, outbound: Outbound, response: &TransportResponse) {
        let ledger = &self.shared.ledger;
        let status = response.status();
        self.backoff.succeeded();
        self.limits.note(status, response.headers(), Instant::now());
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
            self.trouble
                .warn("the server asks for silence (429); what was sent is dropped and counted, as is what comes until its limit ends");
        } else if !status.is_success() {
            self.trouble.warn(&format!("the server answered {status}; what was sent is dropped and counted"));
        }
        self.keep_buffer(outbound);
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
