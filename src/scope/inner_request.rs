//! Requests that another layer of the same client serves inside a request or job.
//!
//! Each is a span. What fails inside it is reported with its name.

use std::borrow::Cow;
use std::fmt;

use super::state::LiveScope;
use crate::client::Client;
use crate::event::CapturedEvent;
use crate::payload::{self, RouteName};
use crate::protocol::{Category, DiscardReason, EventId, SpanId, SpanStatus, TraceId, TransactionSource};
use crate::record::{FALLBACK, FieldWriter, Key, Parent, Record, clock};

/// The part of a scope that one layer serves: the whole request, or a request inside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Served {
    #[default]
    Whole,
    /// A request inside, by the row of its span.
    Inner(u32),
    /// A request inside that is beyond the span limit, by the span around it.
    BeyondLimit(Parent),
}

impl Served {
    /// The span of the work.
    pub(crate) fn span(self) -> Parent {
        match self {
            Self::Whole => Parent::Root,
            Self::Inner(row) => Parent::Span(row),
            Self::BeyondLimit(around) => around,
        }
    }
}

impl LiveScope {
    /// Whether the scope's request or job belongs to `client`, even if it is ignored.
    pub(crate) fn is_of(&self, client: &Client) -> bool {
        self.client.is_same(client) || self.ignored_by.is_same(client)
    }

    /// Begins a request inside this one.
    ///
    /// `name` is its complete name with the source; without one, it is named by its route.
    pub(crate) fn start_inner_request(
        &self,
        parent: Parent,
        method: &str,
        route: Option<&str>,
        name: Option<(&str, TransactionSource)>,
    ) -> Served {
        let by_route = || (payload::request_name(method, route).into(), TransactionSource::Route);
        let (name, source) = name.map_or_else(by_route, |(name, source)| (Cow::Borrowed(name), source));
        let mut state = self.lock();
        let Some(row) = state.transaction.start_inner_request(&name, source, route.is_none(), parent) else {
            return Served::BeyondLimit(parent);
        };
        state.transaction.record.late_fields(Parent::Span(row), &route_fields(Some(method), route));
        Served::Inner(row)
    }

    /// Makes the whole request sensitive, because a request inside it is.
    pub(crate) fn make_sensitive(&self) {
        self.lock().transaction.record.request.is_sensitive = true;
    }

    /// Names the innermost request inside this one by its route, if that was not known before.
    #[cfg(feature = "axum")]
    pub(crate) fn name_inner_request(&self, span: Parent, method: &str, route: &str) {
        let record = &mut self.lock().transaction.record;
        if let Some(row) = record.inner_request_around(span)
            && record.name_inner_request(row, &payload::request_name(method, Some(route)))
        {
            record.late_fields(Parent::Span(row), &route_fields(None, Some(route)));
        }
    }

    /// Names the request after the fallback that answered it, if it has no other name.
    pub(crate) fn name_by_fallback(&self, served: Served) {
        let record = &mut self.lock().transaction.record;
        match served {
            Served::Whole => record.name_by_fallback(),
            Served::Inner(row) => {
                let name = record.inner_request_name(row).map(|name| name.replace(payload::UNMATCHED, FALLBACK));
                record.name_inner_request(row, &name.unwrap_or_default());
            }
            Served::BeyondLimit(_) => {}
        }
    }

    /// Ends a request inside this one.
    pub(crate) fn end_inner_request(&self, served: Served, status: SpanStatus, has_failed: bool) {
        let mut state = self.lock();
        state.has_failed |= has_failed;
        if let Served::Inner(row) = served {
            state.transaction.end_inner_request(row, status);
        }
    }

    /// Stores the status of the response.
    pub(crate) fn note_status(&self, served: Served, http: Option<u16>, grpc: Option<u8>) {
        let record = &mut self.lock().transaction.record;
        match served {
            Served::Whole => record.response.status = http,
            Served::Inner(row) => record.note_inner_status(row, http, grpc),
            Served::BeyondLimit(_) => {}
        }
    }

    /// Captures a failed response for which no error was captured.
    ///
    /// Beyond `max_events_per_issue` and `failure_budget`, the event is dropped and counted.
    pub(crate) fn capture_failure(&self, served: Served, what: impl FnOnce() -> String) {
        if self.first_error(served).is_some() || self.is_left_out() {
            return;
        }
        let captured = CapturedEvent::failed_response(what());
        // Checked before the budget: many failures of one route must not spend that of the others.
        if self.is_suppressed(served, &captured) {
            return;
        }
        if !self.client.may_tell_of_failure(clock::nanos(clock::now())) {
            self.with_route_of(served, |record, route| self.client.show_error(&captured, record, route));
            return self.client.discard(DiscardReason::SampleRate, Category::Error, 1);
        }
        self.capture(captured, served.span());
    }

    /// Whether an event is dropped because there were too many of its issue. It is counted then.
    fn is_suppressed(&self, served: Served, captured: &CapturedEvent) -> bool {
        self.with_route_of(served, |record, route| self.client.suppresses(captured, record, route))
    }

    /// Passes the record, and the route of the request or of the inner request.
    fn with_route_of<T>(&self, served: Served, work: impl FnOnce(&Record, &dyn fmt::Display) -> T) -> T {
        let state = self.lock();
        let record = &state.transaction.record;
        match served {
            Served::Inner(row) => work(record, &record.inner_request_name(row).unwrap_or_default()),
            Served::Whole | Served::BeyondLimit(_) => work(record, &RouteName(record)),
        }
    }

    /// Returns the trace id, the span of the work, the sampling decision, and the id of the work's first
    /// error. That id counts as handed out.
    pub(crate) fn ids_of(&self, served: Served) -> (TraceId, SpanId, bool, Option<EventId>) {
        let event_id = self.first_error(served);
        let mut state = self.lock();
        let event_id = event_id.filter(|event_id| state.will_send(*event_id, &self.client));
        if let Some(event_id) = event_id {
            state.known.hand_out(event_id);
        }
        let trace = &state.transaction.record.trace;
        (trace.trace_id, state.transaction.span_id(served.span()), trace.sampled, event_id)
    }

    fn first_error(&self, served: Served) -> Option<EventId> {
        let state = self.lock();
        match served {
            Served::Inner(row) => state.transaction.record.first_inner_error(row),
            Served::Whole | Served::BeyondLimit(_) => state.first_error,
        }
    }
}

fn route_fields(method: Option<&str>, route: Option<&str>) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut writer = FieldWriter::new(&mut fields);
    if let Some(method) = method {
        writer.text(Key::Name("http.request.method"), method);
    }
    if let Some(route) = route {
        writer.text(Key::Name("http.route"), route);
    }
    fields
}
