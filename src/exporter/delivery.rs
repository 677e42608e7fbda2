//! Sends sealed envelopes, several at a time, retries them, and counts the result.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::backlog::Backlog;
use super::backoff::{Backoff, Failure};
use super::buffers::Buffers;
use super::collector::Collector;
use super::destination::{Answer, Destination, Destinations};
use super::flights::{Flight, Flights, Landed};
use super::flow::{FEWEST, Flow, MOST};
use super::gzip::Gzip;
use super::load::Load;
use super::outbound::Outbound;
use super::pace::Pace;
use super::rate_limit::RateLimits;
use super::retries::Retries;
use super::settings::DeliverySettings;
use super::shared::Shared;
use super::sinks::Sink;
use crate::protocol::{Category, DiscardReason, TraceLifecycle};
use crate::transport::{LONGEST_WAIT, TransportError, TransportResponse};
use crate::{diagnostics, unwind};

/// Envelopes that wait for a retry, and those in flight, may each take this many bytes, or a quarter
/// of the queue's.
const BYTES: usize = 1024 * 1024;
/// Requests of any size that may be in flight.
const FEW: usize = 8;

/// All destinations, and the envelopes on their way to them.
pub(super) struct Delivery {
    shared: Arc<Shared>,
    /// The project's server or what replaces it. Its answers decide what happens to an envelope.
    server: Option<Destination>,
    sinks: Vec<Sink>,
    /// Gets copies of transactions.
    pub(super) collector: Option<Collector>,
    request_timeout: Duration,
    gzip: Gzip,
    limits: RateLimits,
    /// The category of requests and jobs: transactions, or spans if they are streamed.
    of_requests: Category,
    backoff: Backoff,
    pace: Pace,
    flow: Flow,
    retry: Retries,
    bytes_limit: usize,
    flights: Flights,
    backlog: Backlog,
    /// During a shutdown, what still waits in the queue goes to the spool from this time on.
    spools_from: Option<Instant>,
    buffers: Buffers,
    trouble: diagnostics::Quiet,
    /// The number of answers from the server so far.
    answers: u64,
    /// The number of answers at which a shutdown began.
    answers_at_hurry: Option<u64>,
    /// Whether the current turn belongs to a retry; turns alternate with new envelopes.
    is_retrys_turn: bool,
    /// What the exporter is working on. It is counted as lost if that panics.
    pub(super) in_hand: Option<Load>,
}

impl Delivery {
    pub(super) fn new(settings: &DeliverySettings, shared: Arc<Shared>) -> Self {
        let Destinations { server, spotlight, console, is_alone } = Destinations::of(settings);
        let request_timeout = settings.http.request_timeout.min(LONGEST_WAIT);
        let sink = |name, destination: Option<Destination>| {
            destination.map(|destination| Sink::new(name, destination, request_timeout, Arc::clone(&shared)))
        };
        let sinks = [sink("the console", console), sink("Spotlight", spotlight)].into_iter().flatten().collect();
        Self {
            backlog: Backlog::new(settings, is_alone, Arc::clone(&shared)),
            spools_from: None,
            shared,
            server,
            sinks,
            collector: None,
            request_timeout,
            gzip: Gzip::default(),
            limits: RateLimits::default(),
            of_requests: match settings.trace_lifecycle {
                TraceLifecycle::Static => Category::Transaction,
                TraceLifecycle::Stream => Category::Span,
            },
            backoff: Backoff::default(),
            pace: Pace::default(),
            flow: Flow::default(),
            retry: Retries::default(),
            bytes_limit: BYTES.max(settings.queue_bytes / 4),
            flights: Flights::default(),
            buffers: Buffers::default(),
            trouble: diagnostics::Quiet::new(),
            answers: 0,
            answers_at_hurry: None,
            is_retrys_turn: false,
            in_hand: None,
        }
    }

    /// Processes the attempts that have ended.
    pub(super) fn settle_finished(&mut self) {
        while let Some(landed) = self.flights.land() {
            match landed {
                Landed::Answered(outbound, answer, flight) => {
                    self.in_hand = Some(flight.load);
                    self.settle(*outbound, answer, flight);
                    self.in_hand = None;
                }
                Landed::Crashed(flight) => {
                    self.shared.ledger.lose(flight.load, DiscardReason::InternalSdkError);
                    self.backlog.finish(flight.place);
                }
            }
        }
        self.sinks.iter_mut().for_each(Sink::go_on);
        if let Some(collector) = &mut self.collector {
            collector.settle(Instant::now());
        }
        self.backlog.look_after(Instant::now());
        if self.pace.is_on() && self.retry.is_empty() && self.shared.queue.is_empty() && !self.backlog.has_any() {
            self.pace.end();
        }
        self.update_queue();
    }

    /// The memory of the queue is also that of what has left it.
    fn update_queue(&self) {
        self.shared.queue.set_on_the_way(self.retry.bytes() + self.flights.bytes());
    }

    /// Whether one more attempt may begin.
    ///
    /// While the server does not answer, it gets one probe at a time, after a pause.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        let is_hurried = self.backoff.is_hurried();
        let limit = match (self.backoff.is_failing(), is_hurried) {
            (false, _) => self.flow.limit(),
            (true, false) => 1,
            (true, true) => FEWEST,
        };
        let most = if is_hurried { 2 * MOST } else { MOST };
        let has_place = self.flights.len() < limit || self.flights.len() < most && self.taken(now, limit) < limit;
        let has_memory = self.flights.len() < FEW || self.flights.bytes() < self.bytes_limit;
        has_place && has_memory && self.pause(now).is_none()
    }

    /// Whether envelopes go to the spool instead of waiting in memory: the server does not answer, or
    /// is slower than the traffic.
    pub(super) fn spools(&self, now: Instant) -> bool {
        let is_late = || self.spools_from.is_some_and(|from| from <= now);
        self.backlog.is_well() && (self.backoff.is_failing() || is_late() || !self.shared.queue.has_much_room())
    }

    /// The attempts that hold a place. One that hangs, or that two rounds of others overtake, does
    /// not.
    fn taken(&self, now: Instant, limit: usize) -> usize {
        self.flights.taken(now, self.answers, 2 * limit.max(FEWEST) as u64, self.flow.long())
    }

    /// When the pause after a failure ends, if there is one, or the pace allows the next envelope.
    pub(super) fn pause(&self, now: Instant) -> Option<Instant> {
        let pause = self.backoff.until(now, || !self.shared.queue.has_much_room() || self.backlog.has_any());
        pause.or_else(|| self.pace.until(now))
    }

    /// Lets what has waited since an outage go as fast as it can, because a flush waits for it.
    pub(super) fn end_pace(&mut self) {
        self.pace.end();
    }

    /// Takes the buffer of a sent envelope, or a new one.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        self.buffers.take()
    }

    /// Sends an envelope to the server.
    pub(super) fn dispatch(&mut self, mut outbound: Outbound) {
        let Some(server) = &self.server else {
            // Without a server, an envelope counts as sent once a local sink has it, or the collector.
            if self.collector.is_some() && !self.has_copies(outbound.load.category) {
                self.shared.ledger.lose(outbound.load, DiscardReason::NetworkError);
            } else {
                self.shared.ledger.sent(outbound.load);
            }
            return self.buffers.keep(outbound.envelope);
        };
        let now = Instant::now();
        self.pace.spend(now);
        let is_failing = self.backoff.is_failing();
        self.backlog.write(&mut outbound, is_failing.then_some(&mut self.gzip), now);
        // While the server does not answer, an old connection proves nothing.
        let is_doubtful = is_failing || self.answers_at_hurry == Some(self.answers);
        let is_on_new_connection = is_doubtful || std::mem::take(&mut outbound.attempts.goes_at_once);
        let request = server.request(&mut self.gzip, &mut outbound.envelope).on_new_connection(is_on_new_connection);
        let flight = Flight {
            load: outbound.load,
            place: outbound.place,
            oldest: outbound.oldest(),
            bytes: outbound.envelope.len() + request.body().len(),
            since: Instant::now(),
            answers: self.answers,
            is_on_new_connection,
            is_left_behind: false,
        };
        let mut attempt = server.send(request);
        // A function needs no task: it has done its work when it is polled for the first time. The
        // time to wait for others starts after that, so a transport's own timeout comes first.
        if let Poll::Ready(answer) = attempt.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return self.settle(outbound, answer, flight);
        }
        let (shared, limit) = (Arc::clone(&self.shared), self.request_timeout);
        let attempt = async move {
            let answer = timeout(limit, attempt).await.unwrap_or_else(|_| Some(Err(TransportError::timed_out())));
            shared.queue.wake();
            (outbound, answer)
        };
        self.flights.start(flight, attempt);
        self.update_queue();
    }

    /// Puts an envelope on disk, where it waits for the server.
    pub(super) fn set_aside(&mut self, mut outbound: Outbound) {
        self.backlog.write(&mut outbound, Some(&mut self.gzip), Instant::now());
        self.keep(outbound);
    }

    /// Keeps an envelope on disk, or in memory if that is not possible.
    fn keep(&mut self, outbound: Outbound) {
        let Some(outbound) = self.backlog.put_down(outbound) else { return };
        for displaced in self.retry.push(outbound, self.bytes_limit) {
            // Only while the disk hangs can it be there.
            if !self.backlog.leave(displaced.place, displaced.load) {
                self.lose(displaced, DiscardReason::NetworkError);
            }
        }
    }

    /// Takes an envelope from the spool, as long as newer ones have room beside it. A shutdown has half
    /// of its time for this.
    pub(super) fn next_spooled(&mut self, now: Instant) -> Option<Outbound> {
        let is_over = self.spools_from.is_some_and(|from| from <= now);
        if is_over || self.flights.len() >= (self.flow.limit() / 2).max(1) {
            return None;
        }
        let of = |category| if category == Category::Transaction { self.of_requests } else { category };
        self.backlog.take(now, |category| self.limits.is_closed(of(category), now))
    }

    /// Counts an envelope by the answer to it, or keeps it for a retry.
    fn settle(&mut self, outbound: Outbound, answer: Answer, flight: Flight) {
        match answer {
            Some(Ok(response)) => self.settle_answered(outbound, &response, flight),
            Some(Err(error)) => {
                self.settle_unanswered(outbound, &error, flight);
                // The error may be the user's, and its `drop` may panic.
                let _ = unwind::catch(|| drop(error));
            }
            None => {
                self.trouble.warn("the transport panicked; what it was given is dropped and counted");
                self.lose(outbound, DiscardReason::SendError);
            }
        }
    }

    fn settle_answered(&mut self, outbound: Outbound, response: &TransportResponse, flight: Flight) {
        let ledger = &self.shared.ledger;
        let status = response.status();
        let (now, health) = (Instant::now(), &self.shared.health);
        if self.backoff.is_failing() {
            self.pace.came_back(self.backoff.failures(), self.shared.queue.next_number(), now);
        }
        self.backoff.succeeded();
        health.answered(status, response.headers());
        if self.limits.note(status, response.headers(), now) {
            health.limited(self.limits.in_force(now));
        }
        match status.as_u16() {
            200..=299 => ledger.sent(outbound.load),
            429 => ledger.refused(outbound.load),
            _ => ledger.lose(outbound.load, DiscardReason::SendError),
        }
        if status.is_success() {
            health.succeeded();
            let is_full = self.taken(now, self.flow.limit()) + 1 >= self.flow.limit();
            self.flow.accepted(flight.since.elapsed(), is_full);
        } else {
            self.flow.refused();
        }
        self.answers += 1;
        if !status.is_success() {
            // The server rejected the client report together with its envelope.
            ledger.put_back(&outbound.reports);
            let refusal = match status.as_u16() {
                429 => "the server asks for silence (429)".to_owned(),
                _ => format!("the server answered {status}{}", response.explanation()),
            };
            health.failed(&refusal);
            let until = if status.as_u16() == 429 { ", as is what comes until its limit ends" } else { "" };
            self.trouble.warn(&format!("{refusal}; what was sent is dropped and counted{until}"));
        }
        if status.is_server_error() {
            self.shared.sessions.put_back(&outbound.sessions);
        }
        self.backlog.finish(outbound.place);
        self.buffers.keep(outbound.envelope);
    }

    /// Decides what failed: the connection, the envelope or the server.
    fn settle_unanswered(&mut self, mut outbound: Outbound, error: &TransportError, flight: Flight) {
        let now = Instant::now();
        if !flight.is_on_new_connection && !error.is_unreachable() {
            // The connection, or the one backend behind it. A new one may lead elsewhere.
            outbound.attempts.goes_at_once = true;
            return self.retry.push_first(outbound);
        }
        if self.answers > flight.answers {
            // Others were answered meanwhile, so the server is well.
            diagnostics::debug(&format!("{error} ({}); the envelope is sent again", error.reason()));
            return self.keep_for_later(outbound, error, now);
        }
        self.backoff.failed(Failure::of(error), now);
        self.pace.failed(self.shared.queue.next_number(), now);
        let failure = format!("{error} ({})", error.reason());
        self.shared.health.failed(&failure);
        self.trouble.warn(&format!("{failure}; events wait {}", if self.backlog.is_well() { "on disk" } else { "in memory" }));
        self.keep_for_later(outbound, error, now);
    }

    /// Keeps an unanswered envelope for a retry, or drops it.
    ///
    /// It is dropped after three more failures, each with an answer to another envelope in between.
    /// The envelope itself is then the likely cause; it never is if there was no connection.
    fn keep_for_later(&mut self, mut outbound: Outbound, error: &TransportError, now: Instant) {
        if error.is_unreachable() {
            outbound.attempts.wait(now);
        } else if !outbound.attempts.strike(self.answers, now) {
            return self.lose(outbound, DiscardReason::NetworkError);
        }
        self.keep(outbound);
    }

    /// Drops an envelope and counts it. The rows of its client report go into the next one.
    pub(super) fn lose(&mut self, outbound: Outbound, reason: DiscardReason) {
        self.shared.ledger.put_back(&outbound.reports);
        self.shared.sessions.put_back(&outbound.sessions);
        self.shared.ledger.lose(outbound.load, reason);
        self.backlog.finish(outbound.place);
        self.buffers.keep(outbound.envelope);
    }

    /// Takes the next envelope to retry, in turns with new ones.
    ///
    /// Envelopes that the server cannot handle therefore never block the rest.
    pub(super) fn next_retry(&mut self, now: Instant) -> Option<Outbound> {
        if let Some(outbound) = self.retry.pop_at_once() {
            return Some(outbound);
        }
        self.is_retrys_turn = !self.is_retrys_turn || self.shared.queue.is_empty();
        if self.is_retrys_turn { self.retry.pop(now) } else { None }
    }

    /// Shortens the pauses and goes past attempts that hang, because the process is about to end.
    ///
    /// What still waits at `spools_from` goes to the spool.
    pub(super) fn hurry(&mut self, spools_from: Instant) {
        self.spools_from = Some(spools_from);
        self.backoff.hurry();
        self.collector.iter_mut().for_each(Collector::hurry);
        self.pace.end();
        self.retry.hurry();
        self.answers_at_hurry = Some(self.answers);
        self.flights.leave_behind();
    }

    /// Waits until the disk has noted the delivered envelopes, unless it hangs.
    pub(super) fn settle_disk(&mut self) {
        self.backlog.settle();
    }

    /// Drops everything that was not delivered, and counts it.
    pub(super) fn give_up(&mut self, reason: DiscardReason) {
        for flight in self.flights.give_up() {
            if !self.backlog.leave(flight.place, flight.load) {
                self.shared.ledger.lose(flight.load, reason);
            }
        }
        for mut outbound in self.retry.take_all() {
            self.backlog.write(&mut outbound, Some(&mut self.gzip), Instant::now());
            if !self.backlog.leave(outbound.place, outbound.load) {
                self.shared.ledger.lose(outbound.load, reason);
            }
        }
        self.update_queue();
    }
}

mod copies;
#[cfg(test)]
mod disk_tests;
mod questions;
#[cfg(test)]
mod tests;
