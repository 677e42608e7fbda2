//! The trace of a scope, for the next service and for the page.

use std::sync::Arc;

use super::state::State;
use super::{Scope, Shared};
use crate::client::Settings;
use crate::export;
use crate::propagation::{self, Carrier, Incoming, Outgoing};
use crate::protocol::DynamicSamplingContext;
use crate::record::{Parent, Record};
use crate::redaction::Redactor;

impl Scope {
    /// Puts the trace into the headers of a request, a message or a job, so that whoever takes it continues this trace below the span that is
    /// active here: `sentry-trace`, `baggage` (others' members stay), and `traceparent` where
    /// [`propagate_traceparent`](crate::ConfigBuilder::propagate_traceparent) asks for it. A trace that is in there already is replaced: headers of a request that
    /// is passed on. Nothing outside of requests and jobs.
    ///
    /// It goes to whomever you send the carrier: release, environment, the name of the transaction and the key of your DSN are in it.
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
        if let Some((outgoing, with_traceparent)) = self.outgoing() {
            outgoing.write(carrier, with_traceparent, true);
        }
    }

    /// The trace of this request or job, for work inside of it that is a transaction of its own.
    pub(crate) fn as_incoming(&self) -> Option<Incoming> {
        let (Outgoing { trace_id, span, sampled, baggage, .. }, _) = self.outgoing()?;
        Some(Incoming { trace_id, parent: span, sampled: Some(sampled), baggage, is_own: true })
    }

    /// What the next service is told of the trace, and whether in W3C's words too.
    pub(crate) fn outgoing(&self) -> Option<(Outgoing, bool)> {
        let shared = self.shared.as_ref()?;
        let settings = shared.client.settings()?;
        Some((shared.outgoing(self.span, settings)?, settings.propagate_traceparent))
    }
}

impl Shared {
    /// What the next service is told, whose work hangs below `span`. None outside of requests and jobs: nothing there would ever be sent
    /// that such a trace could be found by.
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

impl State {
    /// Freezes what the trace is sampled by: with the first call it is what all services will hear, and our own envelope's header; a name that comes
    /// later changes it no more. A trace that came in without stays without: only its head may say what it is.
    fn freeze(&mut self, settings: &Settings) {
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
    let dsn = settings.dsn.as_ref()?;
    let trace = &record.trace;
    // A header leaves as well.
    let redactor = Redactor::new(Arc::clone(&settings.redaction), settings.send_default_pii);
    Some(DynamicSamplingContext {
        trace_id: trace.trace_id.to_string(),
        public_key: dsn.public_key().to_owned(),
        sample_rate: Some(trace.sample_rate.to_string()),
        sample_rand: Some(format!("0.{:06}", trace.sample_rand)),
        sampled: Some(trace.sampled.to_string()),
        release: settings.release.clone(),
        environment: Some(settings.environment.clone()),
        transaction: Some(redactor.text(&export::name_of(record)).into_owned()).filter(|name| !name.is_empty()),
        org_id: dsn.org_id().map(str::to_owned),
        replay_id: None,
    })
}
