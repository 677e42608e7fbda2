//! A request and its response: from the call to the end of the body.

use std::fmt;
use std::sync::Arc;
use std::task::Poll;

use http::{HeaderMap, Method, StatusCode};
use tracing::Span;

use super::capture_error::CaptureError;
use super::measured::MeasuredRequest;
use super::rules::{Rules, append_timing};
use super::status::{ResponseCodes, UNIMPLEMENTED};
use crate::event;
use crate::payload::server_timing;
use crate::protocol::SpanStatus;
use crate::record::{Moment, ResponseFacts, clock};
use crate::scope::current;
use crate::scope::{Active, BLOCKED_FROM, Ending, LiveScope, Served};
use crate::status_codes::StatusCodes;

/// A request that is being served, and the known facts about its response.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and most of their combinations happen")]
pub(super) struct Exchange {
    active: Active,
    served: Served,
    /// Whether a layer of another client is around this one, and reports the error too.
    is_shared: bool,
    /// Whether the transaction was handed over before the end of the body.
    has_ended: bool,
    is_head: bool,
    /// Whether it is inside a router that found no route for it.
    pub(super) is_unrouted: bool,
    rules: Option<Arc<Rules>>,
    /// Status codes that count as a failure of the service.
    failed: Option<Arc<StatusCodes>>,
    codes: ResponseCodes,
    /// Whether the result is still to come: a gRPC call reports it in its trailers.
    awaits_trailers: bool,
    /// The error of such a call, until its trailers arrive.
    waiting: Option<CaptureError>,
    /// The body's length, if it is known from the start.
    expected: Option<u64>,
    response: ResponseFacts,
    was_polled: bool,
    /// When the current poll began.
    poll_began: Moment,
    /// The span that adds the trace id to the log lines of other subscribers.
    log_span: Option<Box<Span>>,
    /// The data for metrics, if the layer sends them.
    measured: Option<MeasuredRequest>,
}

impl Exchange {
    /// Begins to serve a request.
    pub(super) fn begin(&mut self, scope: Arc<LiveScope>, method: &Method, rules: Arc<Rules>, failed: Arc<StatusCodes>) {
        if rules.log_span && !scope.is_ignored {
            let trace_id = scope.trace_id();
            let span = || tracing::info_span!(target: "tower_sentry", "request", %trace_id);
            // Inside the scope: a task that carries the span belongs to the request.
            self.log_span = Some(Box::new(current::enter(&scope, None, span)));
        }
        if let Some(active_requests) = rules.active_requests.as_ref().filter(|_| !scope.is_ignored) {
            self.measured = Some(MeasuredRequest::begin(active_requests));
        }
        self.active = Active::root(scope);
        self.is_head = method == Method::HEAD;
        self.rules = Some(rules);
        self.failed = Some(failed);
    }

    /// Begins to serve a request inside another one of the same client.
    pub(super) fn begin_inner(
        &mut self,
        scope: Arc<LiveScope>,
        served: Served,
        method: &Method,
        rules: Arc<Rules>,
        failed: Arc<StatusCodes>,
    ) {
        self.active = Active::span(scope, served.span());
        self.served = served;
        self.is_head = method == Method::HEAD;
        self.rules = Some(rules);
        self.failed = Some(failed);
    }

    /// The request waited for the inner service to be ready, before it began.
    pub(super) fn waited(&mut self, nanos: u64) {
        self.active.scope().into_iter().for_each(|scope| scope.lock().transaction.record.queued = nanos);
    }

    /// Leaves the error on the response, for a layer of another client around this one.
    pub(super) fn share_errors(&mut self) {
        self.is_shared = true;
    }

    /// Whether nothing more can happen in the request.
    pub(super) fn is_over(&self) -> bool {
        self.active.is_over()
    }

    /// Runs a part of the request with its scope current.
    pub(super) fn enter<R>(&mut self, work: impl FnOnce() -> R) -> R {
        self.was_polled = true;
        match &self.log_span {
            Some(span) if !self.active.is_over() => self.active.enter(|| span.in_scope(work)),
            _ => self.active.enter(work),
        }
    }

    /// Drops the future or the body with the scope current. This is not a poll.
    pub(super) fn leave(&mut self, end: impl FnOnce()) {
        match &self.log_span {
            Some(span) => self.active.leave(|| span.in_scope(end)),
            None => self.active.leave(end),
        }
    }

    /// Runs a poll until the response head. The last one is closed in `head`, not here.
    pub(super) fn poll<T>(&mut self, work: impl FnOnce() -> Poll<T>) -> Poll<T> {
        // The time since the call is not part of the poll.
        self.poll_began = clock::now();
        let polled = self.enter(work);
        if polled.is_pending() {
            self.suspend();
        }
        polled
    }

    /// A poll has ended.
    fn suspend(&mut self) {
        let took = clock::now().nanos_since(self.poll_began);
        self.response.polls.add(took);
        if took >= BLOCKED_FROM
            && let Some(scope) = self.active.scope()
        {
            // The request may have waited for the exporter, which renders a stack trace.
            let took = took.saturating_sub(event::rendering::rendered_since(self.poll_began));
            if took >= BLOCKED_FROM {
                scope.warn_of_blocking(self.served, took);
            }
        }
    }

    /// The response head is ready; `error` is the [`CaptureError`] from its extensions.
    ///
    /// Returns the error if it stays on the response, for an outer layer.
    pub(super) fn head(&mut self, status: StatusCode, headers: &mut HeaderMap, mut error: Option<CaptureError>) -> Option<CaptureError> {
        self.suspend();
        let Some(scope) = self.active.scope() else { return error };
        self.codes.head(status.as_u16(), headers);
        self.was_polled = false;
        if self.is_unrouted && status.as_u16() < 400 && self.codes.grpc != Some(UNIMPLEMENTED) {
            scope.name_by_fallback(self.served);
        }
        let has_failed = self.has_failed();
        if has_failed && !self.codes.is_open() {
            self.log(scope, error.as_mut());
        }
        let mut left = error.clone().filter(|_| self.is_shared);
        if self.codes.is_open() {
            self.awaits_trailers = true;
            self.waiting = error;
        } else if has_failed {
            // Before the capture: if too many errors are parked, the event is sent at once and
            // needs the status.
            scope.note_status(self.served, self.codes.http, self.codes.grpc);
            match error {
                Some(error) => drop(scope.capture(error.into_captured(), self.served.span())),
                None if scope.is_ignored => {}
                None => scope.capture_failure(self.served, || self.codes.describe(scope.take_rejection(status.as_u16()).as_deref())),
            }
        } else if self.served != Served::Whole {
            // The failed codes of the outer layer may be others.
            left = error;
        }
        match self.served {
            Served::Whole => scope.release(status.as_u16()),
            served => scope.note_status(served, self.codes.http, self.codes.grpc),
        }
        if let Some(rules) = self.rules.as_ref().filter(|rules| !rules.echo.is_silent() && !scope.is_ignored) {
            let (trace, span, sampled, event) = scope.ids_of(self.served);
            rules.echo.write(trace, span, sampled, event, headers);
            if rules.echo.durations && self.served == Served::Whole {
                append_timing(headers, server_timing(&scope.lock().transaction.record, clock::now()));
            }
        }
        left
    }

    /// Writes the error behind a failed response to the local log, if the layer does that.
    fn log(&self, scope: &LiveScope, error: Option<&mut CaptureError>) {
        if let Some(error) = error.filter(|_| self.rules.as_ref().is_some_and(|rules| rules.logs_errors)) {
            let mut log = || error.log(scope.client.settings());
            match &self.log_span {
                Some(span) => span.in_scope(log),
                None => log(),
            }
        }
    }

    /// The body's length, if known, and whether the body has ended already.
    pub(super) fn body(&mut self, expected: Option<u64>, is_end: bool) {
        self.expected = expected;
        // After an upgrade the connection may live for hours, so the transaction ends here.
        if self.codes.http == Some(StatusCode::SWITCHING_PROTOCOLS.as_u16()) {
            self.complete();
        } else if is_end {
            self.end_of_body();
        }
    }

    pub(super) fn frame(&mut self, bytes: u64, trailers: Option<&HeaderMap>, is_end: bool) {
        if let Some(trailers) = trailers {
            self.codes.trailers(trailers);
        }
        self.response.body_bytes += bytes;
        self.response.frames = self.response.frames.saturating_add(1);
        let now = clock::now();
        let is_first = self.response.frames == 1;
        if is_first {
            self.response.first_byte = now;
        }
        // `is_end_stream` may turn true with the last data frame; hyper then never polls again.
        if is_end {
            return self.end_of_body_at(now);
        }
        if !is_first && !self.has_ended && self.served == Served::Whole && self.is_too_long(now) {
            self.cut(now);
        }
    }

    fn is_too_long(&self, now: Moment) -> bool {
        let passed = self.active.scope().map_or(0, |scope| now.nanos_since(scope.start));
        self.rules.as_ref().is_some_and(|rules| u128::from(passed) > rules.max_duration().as_nanos())
    }

    /// Whether the response counts as a failure of the service.
    fn has_failed(&self) -> bool {
        self.failed.as_ref().is_some_and(|failed| self.codes.has_failed(failed))
    }

    /// The service or its body returned an error, or ended too early: `what` is reported.
    pub(super) fn fail(&mut self, what: &str) {
        if let Some(scope) = self.active.scope() {
            scope.capture_failure(self.served, || what.to_owned());
        }
        self.end(SpanStatus::InternalError, true);
    }

    /// Ends the transaction of a stream that may go on for hours.
    ///
    /// Later errors still belong to the request.
    fn cut(&mut self, now: Moment) {
        self.has_ended = true;
        self.response.is_cut = true;
        if let Some(scope) = self.active.scope() {
            Arc::clone(scope).finish(self.ending(self.codes.status(), self.has_failed(), now));
        }
    }

    /// The body has ended.
    pub(super) fn end_of_body(&mut self) {
        self.end_of_body_at(Moment::default());
    }

    /// The body has ended at `at`, or now if that is unset: perhaps before all of it was sent.
    fn end_of_body_at(&mut self, at: Moment) {
        let is_short = self.expected.is_some_and(|expected| self.response.body_bytes < expected);
        if is_short && self.codes.http.is_none_or(|status| !self.needs_no_body(status)) {
            return self.fail("ended its body before its content-length");
        }
        self.complete_at(at);
    }

    /// Whether a response of this status has no body, whatever its headers say.
    fn needs_no_body(&self, status: u16) -> bool {
        self.is_head || matches!(status, 100..=199 | 204 | 304)
    }

    fn complete(&mut self) {
        self.complete_at(Moment::default());
    }

    /// The body has ended, at `at` or now if that is unset.
    fn complete_at(&mut self, at: Moment) {
        self.codes.end();
        let has_failed = self.has_failed();
        if let Some(scope) = self.active.scope().filter(|_| self.awaits_trailers && has_failed) {
            let mut error = self.waiting.take();
            self.log(scope, error.as_mut());
            match error {
                Some(error) => drop(scope.capture(error.into_captured(), self.served.span())),
                None if scope.is_ignored => {}
                None => scope.capture_failure(self.served, || self.codes.describe(None)),
            }
        }
        self.end_at(self.codes.status(), has_failed, at);
    }

    fn end(&mut self, status: SpanStatus, has_failed: bool) {
        self.end_at(status, has_failed, Moment::default());
    }

    fn end_at(&mut self, status: SpanStatus, has_failed: bool, at: Moment) {
        // After a cut this does nothing: a scope ends its transaction once.
        let Some(scope) = self.active.take() else { return };
        // Dropped before the transaction ends, because the span holds the scope too.
        self.log_span = None;
        let at = if self.measured.is_some() { self.measure(&scope, at) } else { at };
        match self.served {
            Served::Whole => scope.finish(self.ending(status, has_failed, at)),
            served => scope.end_inner_request(served, status, has_failed),
        }
    }

    fn ending(&self, status: SpanStatus, has_failed: bool, at: Moment) -> Ending {
        let response = ResponseFacts { status: self.codes.http, grpc_status: self.codes.grpc, ..self.response };
        Ending { status, response, at, has_failed, is_session: true }
    }

    /// Captures the metrics of the request, which ended at `at`, or now if that is unset.
    #[cold]
    fn measure(&mut self, scope: &LiveScope, at: Moment) -> Moment {
        let Some(measured) = self.measured.take() else { return at };
        measured.end(scope, self.codes.http, self.response.body_bytes, at)
    }

    /// The future or the body was dropped, perhaps before its end.
    pub(super) fn abandoned(&mut self) {
        let Some(scope) = self.active.scope() else { return };
        if self.active.has_unwound() {
            scope.mark_crashed();
            return self.end(SpanStatus::InternalError, true);
        }
        let place = match self.codes.http {
            None => "before_headers",
            Some(status) => {
                // Servers poll a body as soon as they have it. A body that is dropped unread was replaced
                // by an outer layer, or is not sent at all, as in the response to a HEAD request.
                let is_unread = !self.was_polled && !self.codes.is_open();
                if is_unread {
                    self.response.is_unread = self.expected.is_none() && !self.needs_no_body(status);
                }
                if is_unread || self.expected.is_some_and(|expected| self.response.body_bytes >= expected) {
                    return self.complete();
                }
                "in_body"
            }
        };
        self.response.cancelled = Some(place);
        self.end(SpanStatus::Cancelled, false);
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_ended = self.has_ended || self.active.is_over();
        f.debug_struct("Exchange")
            .field("outcome", &self.codes)
            .field("response", &self.response)
            .field("has_ended", &has_ended)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "test"))]
mod tests;
