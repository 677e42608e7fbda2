//! Requests that another layer serves inside a request or job. Each is a span, and has its own name.

use std::borrow::Cow;

use super::span::{INNER_REQUEST, InnerRequest};
use super::{FieldWriter, Key, LiveTransaction, Parent, Record, Slice, SpanName};
use crate::protocol::{EventId, SpanStatus, TransactionSource};

impl LiveTransaction {
    /// Begins a request inside this one, and returns the row of its span.
    ///
    /// Its row exists even if no spans are recorded, because the failures inside it need its name.
    /// Returns `None` at the span limit.
    pub(crate) fn start_inner_request(&mut self, name: &str, source: TransactionSource, is_unmatched: bool, parent: Parent) -> Option<u32> {
        let is_recording = std::mem::replace(&mut self.is_recording, true);
        let span = self.start_own_span("http.server", INNER_REQUEST, name, parent);
        self.is_recording = is_recording;
        let span = span?;
        // Its failures refer to the row.
        self.record.hold(Parent::Span(span));
        self.record.inner_requests.push(InnerRequest { span, source, is_unmatched, status: None, grpc_status: None, first_error: None });
        Some(span)
    }

    /// Ends an inner request.
    pub(crate) fn end_inner_request(&mut self, span: u32, status: SpanStatus) {
        let Some(InnerRequest { status: http, grpc_status, .. }) = self.record.inner_request(span).copied() else { return };
        let mut fields = Vec::new();
        let mut writer = FieldWriter::new(&mut fields);
        if let Some(code) = http {
            writer.u64(Key::Name("http.response.status_code"), code.into());
        }
        if let Some(code) = grpc_status {
            writer.u64(Key::Name("rpc.grpc.status_code"), code.into());
        }
        self.record.late_fields(Parent::Span(span), &fields);
        self.end_span(span, Some(status));
    }

    /// Notes that an error waits, which is sent with the name and the status of this inner request. At most `limit` errors
    /// wait.
    pub(crate) fn await_inner_request(&mut self, span: u32, limit: usize) {
        if self.streams && self.awaited.last() != Some(&span) {
            self.awaited.retain(|row| *row != span);
            self.awaited.push(span);
            let over = self.awaited.len().saturating_sub(limit);
            self.awaited.drain(..over);
        }
    }

    /// Notes that no error waits any more.
    pub(crate) fn await_none(&mut self) {
        self.awaited.clear();
    }
}

impl Record {
    /// Whether another layer serves or has served a request inside this one.
    #[cfg(feature = "axum")]
    pub(crate) fn has_inner_requests(&self) -> bool {
        !self.inner_requests.is_empty()
    }

    /// Gives an inner request the name of its route. Returns `false` if it has one already.
    pub(crate) fn name_inner_request(&mut self, span: u32, name: &str) -> bool {
        let Some(inner) = self.inner_requests.iter_mut().find(|inner| inner.span == span && inner.is_unmatched) else { return false };
        inner.is_unmatched = false;
        inner.source = TransactionSource::Route;
        let name = self.text(name.as_bytes());
        if let Some(SpanName::Own(own)) = self.row(span).map(|span| span.name)
            && let Some(own) = self.own_spans.get_mut(own as usize)
        {
            own.description = name;
        }
        true
    }

    /// The innermost inner request around a span, as the row of its span.
    pub(crate) fn inner_request_around(&self, span: Parent) -> Option<u32> {
        self.inner_requests_around(span).next()
    }

    /// Remembers an error that was captured inside `span`, for each inner request around it.
    pub(crate) fn note_inner_error(&mut self, span: Parent, event_id: EventId) {
        let mut next = self.inner_request_around(span);
        while let Some(row) = next {
            if let Some(inner) = self.inner_requests.iter_mut().find(|inner| inner.span == row) {
                inner.first_error.get_or_insert(event_id);
            }
            next = self.row(row).and_then(|span| self.inner_request_around(span.parent));
        }
    }

    /// Stores the status of an inner request's response.
    pub(crate) fn note_inner_status(&mut self, span: u32, http: Option<u16>, grpc: Option<u8>) {
        if let Some(inner) = self.inner_requests.iter_mut().find(|inner| inner.span == span) {
            (inner.status, inner.grpc_status) = (http, grpc);
        }
    }

    fn is_inner_request(&self, span: u32) -> bool {
        self.inner_request(span).is_some()
    }

    /// The first error that was captured inside an inner request.
    pub(crate) fn first_inner_error(&self, span: u32) -> Option<EventId> {
        self.inner_request(span)?.first_error
    }

    /// The first errors of all inner requests.
    pub(crate) fn first_inner_errors(&mut self) -> impl Iterator<Item = &mut EventId> {
        self.inner_requests.iter_mut().filter_map(|inner| inner.first_error.as_mut())
    }

    /// Gives a copy of this scope the name and the status of an inner request.
    pub(crate) fn copy_inner_request_to(&self, span: u32, target: &mut Self) {
        let Some(inner) = self.inner_request(span) else { return };
        target.full_name = self.name_of_inner(span).map(|name| target.text(self.bytes(name)));
        target.source = inner.source;
        target.response.status = inner.status;
        target.response.grpc_status = inner.grpc_status;
    }

    fn inner_request(&self, span: u32) -> Option<&InnerRequest> {
        self.inner_requests.iter().rev().find(|inner| inner.span == span)
    }

    /// The name of an inner request.
    pub(crate) fn inner_request_name(&self, span: u32) -> Option<Cow<'_, str>> {
        self.inner_request(span)?;
        self.name_of_inner(span).map(|name| self.str(name))
    }

    fn name_of_inner(&self, span: u32) -> Option<Slice> {
        match self.row(span)?.name {
            SpanName::Own(own) => self.own_spans.get(own as usize).map(|own| own.description),
            SpanName::Callsite(_) => None,
        }
    }

    /// The inner requests around a span, as the rows of their spans, innermost first.
    pub(crate) fn inner_requests_around(&self, span: Parent) -> impl Iterator<Item = u32> {
        // Nearly no request has another one inside.
        let mut next = if self.inner_requests.is_empty() { Parent::Root } else { span };
        std::iter::from_fn(move || {
            while let Parent::Span(row) = next {
                let span = self.row(row)?;
                next = span.parent;
                if matches!(span.name, SpanName::Own(_)) && self.is_inner_request(row) {
                    return Some(row);
                }
            }
            None
        })
    }
}
