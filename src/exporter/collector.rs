//! Copies of transactions for an OpenTelemetry collector.
//!
//! They have a queue of their own, and one request at a time. What the collector does never holds up the server.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::backoff::{Backoff, Failure};
use super::destination::{Answer, Destination, http};
use super::gzip::Gzip;
use super::load::Load;
use super::outbound::Outbound;
use super::rate_limit::retry_after;
use super::settings::ExporterSettings;
use super::shared::Shared;
use crate::otlp::{self, Export, ResourceAttributes};
use crate::protocol::{Category, DiscardReason};
use crate::redaction::{Redacted, Redactor};
use crate::transport::{Endpoint, LONGEST_WAIT, TransportError, TransportResponse};
use crate::{diagnostics, unwind};

/// Copies wait for others for at most this long: the default of OpenTelemetry's own SDKs.
const WAIT: Duration = Duration::from_secs(5);
/// A request has about this many spans, or bytes before compression. A single transaction may have more.
const BATCH_SPANS: u64 = 2_048;
const BATCH_BYTES: usize = 1024 * 1024;
/// The copies that may wait, with those in flight. Beyond this limit, the oldest are dropped.
const MOST_SPANS: u64 = 32_768;
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// A request is dropped after this many attempts. They take about five minutes.
const MOST_ATTEMPTS: u32 = 10;

/// Longer silence that the collector asks for is cut to this.
const LONGEST_SILENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// The collector, and the copies on their way to it.
pub(super) struct Collector {
    shared: Arc<Shared>,
    destination: Destination,
    resource: Redacted<ResourceAttributes>,
    request_timeout: Duration,
    waiting: VecDeque<Waiting>,
    /// The copies of a request that failed.
    retry: Option<Request>,
    /// The request in flight, without its copies, which its task has.
    in_flight: Option<Weight>,
    tasks: JoinSet<(Request, Answer)>,
    /// Of everything: in `waiting`, in `retry` and in flight.
    total: Weight,
    backoff: Backoff,
    /// The collector asked to wait until then.
    not_before: Option<Instant>,
    trouble: diagnostics::Quiet,
}

/// A transaction that waits.
struct Waiting {
    export: Redacted<Export>,
    weight: Weight,
    /// When it came.
    since: Instant,
}

/// Copies that are sent together.
struct Request {
    body: Redacted<Vec<u8>>,
    weight: Weight,
    attempts: u32,
}

/// What copies count for.
#[derive(Clone, Copy, Debug)]
struct Weight {
    spans: u64,
    bytes: usize,
    /// The smallest number that the exporter's queue gave to one of them.
    oldest: u64,
}

impl Weight {
    const NONE: Self = Self { spans: 0, bytes: 0, oldest: u64::MAX };

    fn plus(self, other: Self) -> Self {
        Self { spans: self.spans + other.spans, bytes: self.bytes + other.bytes, oldest: self.oldest.min(other.oldest) }
    }

    fn minus(self, other: Self) -> Self {
        Self { spans: self.spans.saturating_sub(other.spans), bytes: self.bytes.saturating_sub(other.bytes), ..self }
    }

    fn is_too_much(self) -> bool {
        self.spans > MOST_SPANS || self.bytes > MOST_BYTES
    }

    fn fills_a_request(self) -> bool {
        self.spans >= BATCH_SPANS || self.bytes >= BATCH_BYTES
    }

    /// The spans alone: a copy is not a transaction of the server's accounts.
    fn load(self) -> Load {
        Load { quantity: self.spans, ..Load::one(Category::Span) }
    }
}

impl Collector {
    /// Returns `None` if there is no collector, or if its HTTP client cannot be made.
    pub(super) fn of(settings: &ExporterSettings, shared: &Arc<Shared>) -> Option<Self> {
        let otlp = settings.delivery.otlp.as_ref()?;
        let url = otlp.checked().ok()?;
        let transport = http(url, &settings.delivery.http, "the OpenTelemetry collector gets nothing")?;
        let redactor = Redactor::new(Arc::clone(&settings.privacy.redaction), settings.privacy.send_default_pii);
        Some(Self {
            shared: Arc::clone(shared),
            destination: Destination::new(transport, Endpoint::of_collector(url.clone(), otlp.headers())),
            resource: ResourceAttributes::of(otlp, settings.facts.release.as_deref(), &redactor),
            request_timeout: settings.delivery.http.request_timeout.min(LONGEST_WAIT),
            waiting: VecDeque::new(),
            retry: None,
            in_flight: None,
            tasks: JoinSet::new(),
            total: Weight::NONE,
            backoff: Backoff::default(),
            not_before: None,
            trouble: diagnostics::Quiet::new(),
        })
    }

    /// Takes a copy of an envelope if it is a transaction.
    pub(super) fn add(&mut self, outbound: &Outbound, now: Instant) {
        if outbound.load.category != Category::Transaction {
            return;
        }
        // A panic here must not cost the server its envelope.
        let Some(export) = unwind::catch(|| otlp::export(&outbound.envelope, &self.resource)).flatten() else {
            let load = Load { quantity: outbound.load.spans, ..Load::one(Category::Span) };
            self.shared.copies.capture_and_discard(DiscardReason::InternalSdkError, load.category, load.quantity);
            return self
                .trouble
                .warn("a transaction could not be converted for the OpenTelemetry collector; its spans are dropped and counted");
        };
        let weight = Weight { spans: export.get().spans, bytes: export.get().len(), oldest: outbound.oldest() };
        if !self.shared.copies.capture_and_take(weight.load()) {
            return;
        }
        self.total = self.total.plus(weight);
        self.waiting.push_back(Waiting { export, weight, since: now });
        while self.total.is_too_much() && self.drop_oldest() {
            self.trouble.warn("the OpenTelemetry collector is too slow or away; the oldest spans for it are dropped and counted");
        }
    }

    /// Drops the oldest copies, except the last that came and those in flight.
    fn drop_oldest(&mut self) -> bool {
        let oldest = match self.retry.take() {
            Some(request) => request.weight,
            None if self.waiting.len() > 1 => self.waiting.pop_front().map_or(Weight::NONE, |copy| copy.weight),
            None => return false,
        };
        self.lose(oldest, DiscardReason::QueueOverflow);
        true
    }

    fn lose(&mut self, weight: Weight, reason: DiscardReason) {
        self.total = self.total.minus(weight);
        self.shared.copies.lose(weight.load(), reason);
    }

    /// Processes the request that has ended.
    pub(super) fn settle(&mut self, now: Instant) {
        while let Some(ended) = self.tasks.try_join_next() {
            let in_flight = self.in_flight.take();
            match (ended, in_flight) {
                (Ok((request, answer)), _) => self.settle_request(request, answer, now),
                // The task panicked, in our code.
                (Err(_), Some(weight)) => {
                    self.trouble.warn("a request to the OpenTelemetry collector has failed; its spans are dropped and counted");
                    self.lose(weight, DiscardReason::InternalSdkError);
                }
                (Err(_), None) => {}
            }
        }
    }

    fn settle_request(&mut self, request: Request, answer: Answer, now: Instant) {
        match answer {
            Some(Ok(response)) if response.status().is_success() => self.accepted(&request, &response),
            Some(Ok(response)) if matches!(response.status().as_u16(), 429 | 502..=504) => {
                // The collector may ask for no pause at all.
                self.backoff.failed(Failure::Silent, now);
                if let Some(pause) = retry_after(response.headers(), SystemTime::now()) {
                    self.not_before = Some(now + pause.min(LONGEST_SILENCE));
                }
                self.keep(request, &format!("the OpenTelemetry collector answered {}", response.status()));
            }
            Some(Ok(response)) => {
                self.backoff.succeeded();
                self.lose(request.weight, DiscardReason::SendError);
                self.trouble
                    .warn(&format!("the OpenTelemetry collector answered {}; what was sent is dropped and counted", response.status()));
            }
            Some(Err(error)) => {
                self.backoff.failed(Failure::of(&error), now);
                self.keep(request, &format!("the OpenTelemetry collector: {error} ({})", error.reason()));
            }
            None => {
                self.trouble.warn("the transport to the OpenTelemetry collector has panicked; its spans are dropped and counted");
                self.lose(request.weight, DiscardReason::SendError);
            }
        }
    }

    fn accepted(&mut self, request: &Request, response: &TransportResponse) {
        self.backoff.succeeded();
        self.not_before = None;
        let Some(rejected) = otlp::rejected(response.body()) else {
            self.total = self.total.minus(request.weight);
            return self.shared.copies.sent(request.weight.load());
        };
        let spans = rejected.spans.min(request.weight.spans);
        let (lost, sent) = (Weight { spans, bytes: 0, ..request.weight }, Weight { spans: request.weight.spans - spans, ..request.weight });
        self.total = self.total.minus(sent);
        self.shared.copies.sent(sent.load());
        self.lose(lost, DiscardReason::SendError);
        let what = if spans > 0 { format!("rejected {spans} spans, which are dropped and counted") } else { "warns".to_owned() };
        self.trouble.warn(&format!("the OpenTelemetry collector {what}: {}", rejected.reason));
    }

    /// Keeps the copies of a request that was not answered, or drops them after too many attempts.
    fn keep(&mut self, request: Request, trouble: &str) {
        // At the end of the process, pauses are short, and the deadline decides.
        let is_over = request.attempts >= MOST_ATTEMPTS && !self.backoff.is_hurried();
        self.trouble
            .warn(&format!("{trouble}; {}", if is_over { "its spans are dropped and counted" } else { "spans for it wait in memory" }));
        if is_over {
            return self.lose(request.weight, DiscardReason::NetworkError);
        }
        self.retry = Some(request);
        // While it was in flight, it could not be dropped.
        while self.total.is_too_much() && self.drop_oldest() {}
    }

    /// Sends the copies that are due, if no request is in flight. A flush sends all.
    pub(super) fn go_on(&mut self, gzip: &mut Gzip, now: Instant, is_asked: bool) {
        let is_due = is_asked || self.due(now).is_some_and(|due| due <= now);
        if !is_due || self.in_flight.is_some() || self.pause(now).is_some() {
            return;
        }
        let Some(mut request) = self.retry.take().or_else(|| self.next_request()) else { return };
        request.attempts += 1;
        self.in_flight = Some(request.weight);
        let message = self.destination.message(gzip, &request.body).on_new_connection(request.attempts > 1);
        let attempt = self.destination.send(message);
        let (shared, limit) = (Arc::clone(&self.shared), self.request_timeout);
        self.tasks.spawn(async move {
            let answer = timeout(limit, attempt).await.unwrap_or_else(|_| Some(Err(TransportError::timed_out())));
            shared.queue.wake();
            (request, answer)
        });
    }

    /// Takes the oldest copies, at most those that fit in one request.
    fn next_request(&mut self) -> Option<Request> {
        let mut weight = Weight::NONE;
        let mut copies = Vec::new();
        while !weight.fills_a_request()
            && let Some(copy) = self.waiting.pop_front()
        {
            weight = weight.plus(copy.weight);
            copies.push(copy.export);
        }
        (!copies.is_empty()).then(|| Request { body: otlp::body(&copies), weight, attempts: 0 })
    }

    /// When the next request may begin, if not now.
    fn pause(&self, now: Instant) -> Option<Instant> {
        self.backoff.until(now, || false).into_iter().chain(self.not_before.filter(|until| now < *until)).max()
    }

    /// When copies must be sent: now if there are enough of them, or after a failure.
    fn due(&self, now: Instant) -> Option<Instant> {
        let sent = self.retry.as_ref().map(|request| request.weight).into_iter().chain(self.in_flight);
        let waiting = sent.fold(self.total, Weight::minus);
        if self.retry.is_some() || waiting.fills_a_request() { Some(now) } else { self.waiting.front().map(|first| first.since + WAIT) }
    }

    /// When the worker must look next.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        // The end of a request wakes the worker.
        if self.in_flight.is_some() {
            return None;
        }
        self.due(now).map(|due| self.pause(now).map_or(due, |pause| pause.max(due)))
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.retry.is_none() && self.in_flight.is_none()
    }

    /// The smallest number of an item whose copy is not delivered.
    pub(super) fn oldest(&self) -> Option<u64> {
        let first = self.waiting.front().map(|copy| copy.weight);
        [first, self.retry.as_ref().map(|request| request.weight), self.in_flight].into_iter().flatten().map(|weight| weight.oldest).min()
    }

    /// The spans that are not delivered.
    pub(super) fn spans(&self) -> u64 {
        self.total.spans
    }

    /// Shortens the pauses, because the process is about to end.
    pub(super) fn hurry(&mut self) {
        self.backoff.hurry();
    }

    /// Drops all copies and counts them. Returns the number of spans.
    pub(super) fn give_up(&mut self, reason: DiscardReason) -> u64 {
        let lost = self.total;
        self.tasks.abort_all();
        self.waiting.clear();
        (self.retry, self.in_flight) = (None, None);
        self.lose(lost, reason);
        if lost.spans > 0 && reason == DiscardReason::NetworkError {
            let spans = lost.spans;
            diagnostics::warn(&format!(
                "not everything reached the OpenTelemetry collector before the shutdown's deadline; spans dropped: {spans}"
            ));
        }
        lost.spans
    }
}

#[cfg(test)]
mod tests;
