//! What happens to an item between the queue and the transports: hooks, then redaction while it is serialised.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::payload::{EventPayload, HeaderPayload, TransactionPayload};
use super::{BeforeSend, BeforeSendTransaction, Facts, Item, diagnostics};
use crate::exception;
use crate::protocol::{
    Category, ClientReport, DiscardReason, DiscardedEvent, EnvelopeHeader, Event, EventId, Exception, ItemType, LogEntry, SessionAggregate,
    SessionAggregates, Transaction,
};
use crate::record::{EventRecord, Record};
use crate::redaction::{OpenEnvelope, Redacted, Redactor, SealedEnvelope};

pub(super) struct Pipeline {
    pub(super) facts: Facts,
    pub(super) redactor: Redactor,
    pub(super) before_send: Option<BeforeSend>,
    pub(super) before_send_transaction: Option<BeforeSendTransaction>,
}

/// An envelope on its way, and what it counts for.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) envelope: Redacted<SealedEnvelope>,
    pub(super) category: Category,
    pub(super) spans: u64,
    /// The rows of the client report inside.
    pub(super) reports: Vec<DiscardedEvent>,
    /// What has become of it so far.
    pub(super) strikes: Strikes,
    /// Spans that a hook put in.
    pub(super) added_spans: u64,
    /// Spans that a hook took out of a transaction that is sent all the same.
    pub(super) removed_spans: u64,
}

/// How often an envelope found no answer while others did: what a server or a proxy chokes on must not hold up the rest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Strikes {
    pub(super) count: u32,
    /// How many answers there had been at the last failure.
    pub(super) answers: u64,
}

impl Pipeline {
    /// Turns an item into an envelope, with a client report beside it when there is something to report.
    pub(super) fn seal(
        &self,
        item: &mut Item,
        reports: Vec<DiscardedEvent>,
        buffer: Vec<u8>,
    ) -> Result<Outbound, (DiscardReason, Vec<DiscardedEvent>)> {
        let before = item.spans();
        let sealed = match item {
            Item::Event(event) => self.seal_event(event, &reports, buffer),
            Item::Transaction(record) => self.seal_transaction(record, &reports, buffer),
        };
        match sealed {
            Ok((envelope, spans)) => Ok(Outbound {
                envelope,
                category: item.category(),
                spans,
                reports,
                strikes: Strikes::default(),
                added_spans: spans.saturating_sub(before),
                removed_spans: before.saturating_sub(spans),
            }),
            Err(reason) => Err((reason, reports)),
        }
    }

    /// An envelope that holds nothing but a client report.
    pub(super) fn seal_report(&self, reports: Vec<DiscardedEvent>) -> Option<Outbound> {
        let report = ClientReport::new(reports.clone());
        self.seal_alone(ItemType::ClientReport, &report, Category::Internal, reports)
    }

    /// An envelope of sessions.
    pub(super) fn seal_sessions(&self, minutes: Vec<SessionAggregate>) -> Option<Outbound> {
        let release = self.facts.release.as_ref()?;
        let sessions = SessionAggregates::new(minutes, release, &self.facts.environment);
        self.seal_alone(ItemType::Sessions, &sessions, Category::Session, Vec::new())
    }

    fn seal_alone(&self, kind: ItemType, payload: &impl Serialize, category: Category, reports: Vec<DiscardedEvent>) -> Option<Outbound> {
        let header = EnvelopeHeader { sdk: Some(self.facts.sdk.clone()), ..EnvelopeHeader::default() };
        let mut open = self.redactor.envelope(&header, Vec::new()).ok()?;
        open.item(kind, None, payload).ok()?;
        let envelope = open.seal();
        Some(Outbound { envelope, category, spans: 0, reports, strikes: Strikes::default(), added_spans: 0, removed_spans: 0 })
    }

    fn seal_event(
        &self,
        event: &mut EventRecord,
        reports: &[DiscardedEvent],
        buffer: Vec<u8>,
    ) -> Result<(Redacted<SealedEnvelope>, u64), DiscardReason> {
        let exceptions = exceptions(event);
        let payload = EventPayload { event, exceptions: &exceptions, facts: &self.facts };
        let header = HeaderPayload { event_id: event.captured.event_id, record: &event.scope, facts: &self.facts };
        let Some(hook) = &self.before_send else {
            return self.write(&header, ItemType::Event, None, &payload, reports, buffer).map(|envelope| (envelope, 0));
        };
        let changed = match through(hook.as_ref(), &payload)? {
            Hooked::Kept(changed) => *changed,
            Hooked::Dropped => return Err(DiscardReason::BeforeSend),
            Hooked::Panicked(mut original) => {
                bare_event(&mut original);
                *original
            }
        };
        let header = HeaderPayload { event_id: changed.event_id, ..header };
        self.write(&header, ItemType::Event, None, &changed, reports, buffer).map(|envelope| (envelope, 0))
    }

    fn seal_transaction(
        &self,
        record: &Record,
        reports: &[DiscardedEvent],
        buffer: Vec<u8>,
    ) -> Result<(Redacted<SealedEnvelope>, u64), DiscardReason> {
        let event_id = EventId::new();
        let payload = TransactionPayload { event_id, record, facts: &self.facts };
        let header = HeaderPayload { event_id, record, facts: &self.facts };
        let count = record.spans.len();
        let Some(hook) = &self.before_send_transaction else {
            return self
                .write(&header, ItemType::Transaction, Some(count), &payload, reports, buffer)
                .map(|envelope| (envelope, count as u64 + 1));
        };
        let changed = match through(hook.as_ref(), &payload)? {
            Hooked::Kept(changed) => *changed,
            Hooked::Dropped => return Err(DiscardReason::BeforeSend),
            Hooked::Panicked(mut original) => {
                bare_transaction(&mut original);
                *original
            }
        };
        let header = HeaderPayload { event_id: changed.event_id, ..header };
        let count = changed.spans.len();
        self.write(&header, ItemType::Transaction, Some(count), &changed, reports, buffer).map(|envelope| (envelope, count as u64 + 1))
    }

    fn write(
        &self,
        header: &HeaderPayload<'_>,
        kind: ItemType,
        span_count: Option<usize>,
        payload: &impl Serialize,
        reports: &[DiscardedEvent],
        buffer: Vec<u8>,
    ) -> Result<Redacted<SealedEnvelope>, DiscardReason> {
        let written = self.redactor.envelope(header, buffer).and_then(|mut open: OpenEnvelope<'_>| {
            open.item(kind, span_count, payload)?;
            // Behind the event: a receiver may stop reading at a type it does not know.
            if !reports.is_empty() {
                open.item(ItemType::ClientReport, None, &ClientReport::new(reports.to_vec()))?;
            }
            Ok(open.seal())
        });
        written.map_err(|error| {
            diagnostics::warn(&format!("a payload could not be serialised and is dropped: {error}"));
            DiscardReason::InternalSdkError
        })
    }
}

/// What a hook made of a payload.
enum Hooked<T> {
    Kept(Box<T>),
    Dropped,
    /// With the payload as it was before.
    Panicked(Box<T>),
}

/// Builds the protocol's value of a payload, only because a hook wants to see it.
fn through<T: DeserializeOwned>(
    hook: &(dyn Fn(T) -> Option<T> + Send + Sync),
    payload: &impl Serialize,
) -> Result<Hooked<T>, DiscardReason> {
    let read = serde_json::to_vec(payload).and_then(|json| Ok((serde_json::from_slice(&json)?, json)));
    let (value, json): (T, Vec<u8>) = read.map_err(|error| {
        diagnostics::warn(&format!("a payload could not be shown to its hook and is dropped: {error}"));
        DiscardReason::InternalSdkError
    })?;
    Ok(match exception::contained(|| hook(value)) {
        Some(Some(changed)) => Hooked::Kept(Box::new(changed)),
        Some(None) => Hooked::Dropped,
        None => {
            diagnostics::warn("a before_send hook panicked; what it was shown is sent without its contents");
            let original = serde_json::from_slice(&json).map_err(|_| DiscardReason::InternalSdkError)?;
            Hooked::Panicked(Box::new(original))
        }
    })
}

/// What may leave when a hook failed that perhaps meant to remove something: ids, times and types.
fn bare_event(event: &mut Event) {
    event.logentry =
        Some(LogEntry { formatted: Some("the contents were withheld: before_send panicked".to_owned()), ..LogEntry::default() });
    for exception in &mut event.exception.values {
        exception.value = None;
    }
    event.breadcrumbs.values.clear();
    event.request = None;
    event.user = None;
    event.tags.clear();
    event.contexts.other.clear();
    if let Some(trace) = &mut event.contexts.trace {
        trace.data.clear();
    }
}

/// The same for a transaction.
fn bare_transaction(transaction: &mut Transaction) {
    transaction.request = None;
    transaction.user = None;
    transaction.tags.clear();
    transaction.contexts.other.clear();
    if let Some(trace) = &mut transaction.contexts.trace {
        trace.data.clear();
    }
    for span in &mut transaction.spans {
        span.description = None;
        span.data.clear();
    }
}

/// The chain as the wire wants it: innermost first, each with its mechanism, frames on the outermost.
fn exceptions(event: &mut EventRecord) -> Vec<Exception> {
    let captured = &mut event.captured;
    let mut chain = std::mem::take(&mut captured.exceptions);
    exception::mechanisms(&mut chain, captured.mechanism, captured.handled);
    if let Some(outermost) = chain.first_mut() {
        outermost.stacktrace = exception::stacktrace(&captured.addresses);
    }
    chain.reverse();
    chain
}
