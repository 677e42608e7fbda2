//! The transaction of a request: from the call to the end of the body.

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use tracing::Span;

use super::capture_error::CaptureError;
use super::rules::Rules;
use super::status::Outcome;
use crate::protocol::SpanStatus;
use crate::record::{Moment, Parent, ResponseFacts, clock};
use crate::scope::{Ending, Shared, current};

/// A poll of at least this many nanoseconds counts as blocking its thread.
const BLOCKED_FROM: u64 = 200_000_000;

/// The transaction of a request; dropping it ends the transaction.
///
/// Its state is boxed, and the thread's next request reuses the box: futures are moved several
/// times, and a large one costs more. This saves 500 instructions per request, also if nothing is
/// recorded.
pub(super) struct Root {
    /// None only in `Drop`.
    state: Option<Box<State>>,
}

/// The state of a request that is being served.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and most of their combinations happen")]
struct State {
    /// None once nothing more can happen in the request.
    scope: Option<Arc<Shared>>,
    /// Whether the transaction was handed over before the end of the body.
    has_ended: bool,
    is_head: bool,
    rules: Option<Arc<Rules>>,
    /// Status codes that count as a failure of the service.
    failed: Option<RangeInclusive<u16>>,
    outcome: Outcome,
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
    /// True while code of the request runs; still true in `Drop` if that code panicked.
    is_inside: bool,
}

thread_local! {
    #[expect(clippy::vec_box, reason = "what is used again is the box")]
    static SPARE: RefCell<Vec<Box<State>>> = const { RefCell::new(Vec::new()) };
}

impl Root {
    pub(super) fn new(scope: Arc<Shared>, method: &Method, rules: Arc<Rules>, failed: RangeInclusive<u16>) -> Self {
        let mut state = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten().unwrap_or_default();
        if rules.log_span {
            let (trace_id, ..) = scope.ids();
            state.log_span = Some(Box::new(tracing::info_span!(target: "tower_sentry", "request", %trace_id)));
        }
        state.scope = Some(scope);
        state.is_head = method == Method::HEAD;
        state.rules = Some(rules);
        state.failed = Some(failed);
        Self { state: Some(state) }
    }

    /// Whether nothing more can happen in the request.
    pub(super) fn is_over(&self) -> bool {
        self.state.as_ref().is_none_or(|state| state.scope.is_none())
    }

    /// Runs a part of the request with its scope current.
    pub(super) fn enter<R>(&mut self, work: impl FnOnce() -> R) -> R {
        match &mut self.state {
            Some(state) => state.enter(work),
            None => work(),
        }
    }

    /// A poll begins. The time since the call is not part of it.
    pub(super) fn resume(&mut self) {
        self.change(|state| state.poll_began = clock::now());
    }

    /// A poll has ended.
    pub(super) fn suspend(&mut self) {
        self.change(State::suspend);
    }

    /// The response head is ready; `error` is the [`CaptureError`] from its extensions.
    pub(super) fn head(&mut self, status: StatusCode, headers: &mut HeaderMap, error: Option<CaptureError>) {
        self.change(|state| state.head(status, headers, error));
    }

    /// The body's length, if known, and whether the body has ended already.
    pub(super) fn body(&mut self, expected: Option<u64>, is_end: bool) {
        self.change(|state| state.body(expected, is_end));
    }

    /// A frame of the body was delivered.
    pub(super) fn frame(&mut self, bytes: u64, trailers: Option<&HeaderMap>, is_end: bool) {
        self.change(|state| state.frame(bytes, trailers, is_end));
    }

    /// The body has ended.
    pub(super) fn complete(&mut self) {
        self.change(State::complete);
    }

    /// The service or its body returned an error of an unknown type: only `what` is reported.
    pub(super) fn fail(&mut self, what: &str) {
        self.change(|state| state.fail(what));
    }

    fn change(&mut self, change: impl FnOnce(&mut State)) {
        if let Some(state) = &mut self.state {
            change(state);
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        /// At most this many idle states are kept per thread; further ones are freed.
        const IDLE_LIMIT: usize = 16;
        let Some(mut state) = self.state.take() else { return };
        state.abandoned();
        *state = State::default();
        // Fails while the thread shuts down; the state is then freed.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < IDLE_LIMIT {
                spare.push(state);
            }
        });
    }
}

impl State {
    fn enter<R>(&mut self, work: impl FnOnce() -> R) -> R {
        // Some layers poll a body again after its end, when this scope is gone.
        if self.scope.is_none() {
            return work();
        }
        self.was_polled = true;
        self.is_inside = true;
        let Self { scope, log_span, .. } = self;
        let result = match log_span {
            None => current::visit(scope, None, work),
            Some(span) => current::visit(scope, None, || span.in_scope(work)),
        };
        self.is_inside = false;
        result
    }

    /// A poll has ended.
    fn suspend(&mut self) {
        let took = clock::now().nanos_since(self.poll_began);
        self.response.polls.add(took);
        if took >= BLOCKED_FROM
            && let Some(scope) = &self.scope
        {
            scope.warn_of_blocking(took);
        }
    }

    /// The response head is ready; `error` is the [`CaptureError`] from its extensions.
    fn head(&mut self, status: StatusCode, headers: &mut HeaderMap, error: Option<CaptureError>) {
        self.suspend();
        let Some(scope) = &self.scope else { return };
        self.outcome.head(status.as_u16(), headers);
        self.was_polled = false;
        if self.outcome.is_open() {
            self.awaits_trailers = true;
            self.waiting = error;
        } else if let Some(error) = error.filter(|_| self.has_failed()) {
            // Before the capture: if too many errors are parked, the event is sent at once and
            // needs the status.
            scope.note_status(status.as_u16());
            scope.capture(error.into_capture(), Parent::Root);
        } else if self.has_failed() {
            scope.note_status(status.as_u16());
            scope.capture_failure(|| self.outcome.told());
        }
        scope.release(status.as_u16());
        if !self.rules.as_ref().is_none_or(|rules| rules.echo.is_silent()) {
            let (trace, root, sampled, event) = scope.ids();
            if let Some(rules) = &self.rules {
                rules.echo.write(trace, root, sampled, event, headers);
            }
        }
    }

    /// The body's length, if known, and whether the body has ended already.
    fn body(&mut self, expected: Option<u64>, is_end: bool) {
        self.expected = expected;
        // After an upgrade the connection may live for hours, so the transaction ends here.
        if is_end || self.outcome.http == Some(StatusCode::SWITCHING_PROTOCOLS.as_u16()) {
            self.complete();
        }
    }

    fn frame(&mut self, bytes: u64, trailers: Option<&HeaderMap>, is_end: bool) {
        if let Some(trailers) = trailers {
            self.outcome.trailers(trailers);
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
            return self.complete_at(now);
        }
        if !is_first && !self.has_ended && self.is_too_long(now) {
            self.cut(now);
        }
    }

    fn is_too_long(&self, now: Moment) -> bool {
        let passed = self.scope.as_ref().map_or(0, |scope| now.nanos_since(scope.start));
        self.rules.as_ref().is_some_and(|rules| u128::from(passed) > rules.max_duration().as_nanos())
    }

    /// Whether the response counts as a failure of the service.
    fn has_failed(&self) -> bool {
        self.failed.as_ref().is_some_and(|failed| self.outcome.has_failed(failed))
    }

    /// The service or its body returned an error of an unknown type: only `what` is reported.
    fn fail(&mut self, what: &str) {
        if let Some(scope) = &self.scope {
            scope.capture_failure(|| what.to_owned());
        }
        self.end(SpanStatus::InternalError, true);
    }

    /// Ends the transaction of a stream that may go on for hours.
    ///
    /// Later errors still belong to the request.
    fn cut(&mut self, now: Moment) {
        self.has_ended = true;
        self.response.is_cut = true;
        if let Some(scope) = &self.scope {
            Arc::clone(scope).finish(self.ending(self.outcome.status(), self.has_failed(), now));
        }
    }

    fn complete(&mut self) {
        self.complete_at(Moment::default());
    }

    /// The body has ended, at `at` or now if that is unset.
    fn complete_at(&mut self, at: Moment) {
        self.outcome.end();
        if let Some(scope) = self.scope.as_ref().filter(|_| self.awaits_trailers && self.has_failed()) {
            match self.waiting.take() {
                Some(error) => drop(scope.capture(error.into_capture(), Parent::Root)),
                None => scope.capture_failure(|| self.outcome.told()),
            }
        }
        self.end_at(self.outcome.status(), self.has_failed(), at);
    }

    fn end(&mut self, status: SpanStatus, has_failed: bool) {
        self.end_at(status, has_failed, Moment::default());
    }

    fn end_at(&mut self, status: SpanStatus, has_failed: bool, at: Moment) {
        // After a cut this does nothing: a scope ends its transaction once.
        if let Some(scope) = self.scope.take() {
            scope.finish(self.ending(status, has_failed, at));
        }
    }

    fn ending(&self, status: SpanStatus, has_failed: bool, at: Moment) -> Ending {
        let response = ResponseFacts { status: self.outcome.http, grpc_status: self.outcome.grpc, ..self.response };
        Ending { status, response, at, has_failed, is_session: true }
    }

    /// The future or the body was dropped, perhaps before its end.
    fn abandoned(&mut self) {
        let Some(scope) = &self.scope else { return };
        if self.is_inside {
            scope.mark_crashed();
            return self.end(SpanStatus::InternalError, true);
        }
        let place = match self.outcome.http {
            None => "before_headers",
            Some(status) => {
                // axum drops the bodies of HEAD responses outside our layer, and tests drop
                // responses unread.
                let needs_none = self.is_head || matches!(status, 100..=199 | 204 | 304);
                let is_unread = !self.was_polled && (needs_none || self.expected.is_some());
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

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Root");
        if let Some(state) = &self.state {
            out.field("outcome", &state.outcome).field("response", &state.response);
            out.field("has_ended", &(state.has_ended || state.scope.is_none()));
        }
        out.finish_non_exhaustive()
    }
}
