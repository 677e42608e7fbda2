//! The trace of a scope, for other services and for web pages.

use std::sync::Arc;

use super::handle::Scope;
use super::state::{LiveScope, ScopeState};
use crate::client::Settings;
use crate::payload;
use crate::propagation::{self, Carrier, Incoming, Outgoing};
use crate::protocol::DynamicSamplingContext;
use crate::record::{Parent, Record};
use crate::redaction::Redactor;

impl Scope {
    /// Writes the trace into the headers of a request, a message or a job.
    ///
    /// The receiver continues this trace below the span that is active here. These headers are
    /// written:
    ///
    /// - `sentry-trace`.
    /// - `baggage`; members of other vendors stay.
    /// - `traceparent`, if [`propagate_traceparent`](crate::ConfigBuilder::propagate_traceparent)
    ///   is on.
    ///
    /// An existing trace is replaced, for example in the headers of a forwarded request. Outside
    /// requests and jobs nothing is written.
    ///
    /// The receiver can read your release, environment, transaction name and the public key of your
    /// DSN.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use tower_sentry::Scope;
    ///
    /// let mut message_headers = HashMap::new();
    /// Scope::current().inject(&mut message_headers);
    /// # assert!(message_headers.is_empty());
    /// ```
    pub fn inject(&self, carrier: &mut (impl Carrier + ?Sized)) {
        self.write_trace(carrier, true);
    }

    /// Writes the trace into a carrier; see [`Outgoing::write`]. If our members of the baggage do not fit,
    /// this is marked and counted.
    pub(crate) fn write_trace(&self, carrier: &mut (impl Carrier + ?Sized), replaces: bool) {
        let (Some((outgoing, with_traceparent)), Some(shared)) = (self.outgoing(), &self.shared) else { return };
        if !outgoing.write(carrier, with_traceparent, replaces) {
            shared.lock().transaction.record.note_cut_baggage();
        }
    }

    /// The trace of this request or job, for a transaction that begins inside it.
    ///
    /// None inside the transaction of a span: such a span may be open as long as the process, and its
    /// sampling decision must not apply to all work inside it.
    pub(crate) fn as_incoming(&self) -> Option<Incoming> {
        if self.shared.as_ref()?.is_of_span() {
            return None;
        }
        let (Outgoing { trace_id, span, sampled, baggage, .. }, _) = self.outgoing()?;
        Some(Incoming { trace_id, parent: span, sampled: Some(sampled), baggage, is_baggage_cut: false, is_own: true })
    }

    /// The trace for the next service, and whether to write `traceparent` too.
    pub(crate) fn outgoing(&self) -> Option<(Outgoing, bool)> {
        let shared = self.shared.as_ref().filter(|shared| !shared.is_ignored)?;
        let settings = shared.client.settings()?;
        Some((shared.outgoing(self.span, settings)?, settings.propagation.traceparent))
    }
}

impl LiveScope {
    /// The trace for the next service, as a child of `span`.
    ///
    /// None outside requests and jobs: no transaction would be sent that the trace could be linked
    /// to.
    pub(crate) fn outgoing(&self, span: Parent, settings: &Settings) -> Option<Outgoing> {
        let mut state = self.lock();
        if state.transaction.record.op.is_empty() {
            return None;
        }
        state.freeze(settings);
        let (transaction, trace) = (&state.transaction, &state.transaction.record.trace);
        let (trace_id, sampled, baggage) = (trace.trace_id, trace.sampled, trace.baggage.clone());
        Some(Outgoing { trace_id, parent: trace.parent, span: transaction.span_id(span), sampled, baggage })
    }
}

impl ScopeState {
    /// Freezes the sampling context (the `baggage`) at the first call.
    ///
    /// From then on all services and our own envelope header get the same one, even if the name
    /// changes. A continued trace without a context stays without: only the service that began the
    /// trace may set it.
    pub(super) fn freeze(&mut self, settings: &Settings) {
        let record = &mut self.transaction.record;
        if record.trace.baggage.is_empty()
            && record.trace.parent.is_none()
            && let Some(context) = own_context(record, settings)
        {
            record.trace.baggage = propagation::of_context(&context);
        }
    }
}

fn own_context(record: &Record, settings: &Settings) -> Option<DynamicSamplingContext> {
    let dsn = settings.delivery.dsn.as_ref()?;
    let trace = &record.trace;
    // The context leaves the process in a header, so the name is redacted.
    let redactor = Redactor::new(Arc::clone(&settings.privacy.redaction), settings.privacy.send_default_pii);
    Some(DynamicSamplingContext {
        trace_id: trace.trace_id.to_string(),
        public_key: dsn.public_key().to_owned(),
        sample_rate: Some(trace.sample_rate.to_string()),
        sample_rand: Some(format!("0.{:06}", trace.sample_rand)),
        sampled: Some(trace.sampled.to_string()),
        release: settings.facts.release.clone(),
        environment: Some(settings.facts.environment.clone()),
        transaction: Some(redactor.text(&payload::public_name(record)).into_owned()).filter(|name| !name.is_empty()),
        org_id: dsn.org_id().map(str::to_owned),
        replay_id: None,
    })
}
