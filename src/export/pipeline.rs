//! What happens to an item between the queue and the transports: hooks, then redaction while it is serialised.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ledger::Load;
use super::payload::{self, EventPayload, HeaderPayload, LinePayload, LogsPayload, TransactionPayload};
use super::{BeforeSend, BeforeSendTransaction, Facts, IgnoredErrors, Item, diagnostics};
use crate::exception;
use crate::protocol::{
    Category, CheckIn, ClientReport, DebugMeta, DiscardReason, DiscardedEvent, EnvelopeHeader, Event, EventId, Exception, FeedbackEvent,
    ItemType, LogEntry, SdkInfo, SessionAggregate, SessionAggregates, Transaction, TransactionSource,
};
use crate::record::{EventRecord, LogLine, Record};
use crate::redaction::{OpenEnvelope, Redacted, Redactor, SealedEnvelope};

pub(super) struct Pipeline {
    pub(super) facts: Facts,
    pub(super) redactor: Redactor,
    pub(super) ignored: IgnoredErrors,
    /// Lines of code are read where they are at hand.
    pub(super) include_source_context: bool,
    /// Errors are grouped by what and where.
    pub(super) default_fingerprint: bool,
    /// Shorter spans are left out.
    pub(super) min_span_duration: Duration,
    pub(super) before_send: Option<BeforeSend>,
    pub(super) before_send_transaction: Option<BeforeSendTransaction>,
}

/// An envelope on its way, and what it counts for.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) envelope: Redacted<SealedEnvelope>,
    pub(super) load: Load,
    /// The rows of the client report inside.
    pub(super) reports: Vec<DiscardedEvent>,
    /// What has become of it so far.
    pub(super) strikes: Strikes,
    /// Bytes of files that do not go with it.
    pub(super) withheld_bytes: u64,
    /// Spans that a hook put in.
    pub(super) added_spans: u64,
    /// Spans that a hook took out of a transaction that is sent all the same.
    pub(super) removed_spans: u64,
    /// What items it holds, by the numbers the queue gave them.
    pub(super) numbers: Vec<u64>,
}

/// How often an envelope found no answer while others did: what a server or a proxy chokes on must not hold up the rest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Strikes {
    pub(super) count: u32,
    /// How many answers there had been at the last failure.
    pub(super) answers: u64,
}

impl Outbound {
    /// The smallest number of its items; what was made by the exporter has none, and nobody waits for it.
    pub(super) fn oldest(&self) -> u64 {
        self.numbers.iter().copied().min().unwrap_or(u64::MAX)
    }

    fn new(envelope: Redacted<SealedEnvelope>, load: Load, reports: Vec<DiscardedEvent>) -> Self {
        Self {
            envelope,
            load,
            reports,
            strikes: Strikes::default(),
            withheld_bytes: 0,
            added_spans: 0,
            removed_spans: 0,
            numbers: Vec::new(),
        }
    }
}

impl Pipeline {
    /// Turns an item into an envelope, with a client report beside it when there is something to report.
    pub(super) fn seal(
        &self,
        item: &mut Item,
        reports: Vec<DiscardedEvent>,
        buffer: Vec<u8>,
    ) -> Result<Outbound, (DiscardReason, Vec<DiscardedEvent>)> {
        let before = item.load();
        let mut withheld = 0;
        let sealed = match item {
            Item::Event(event) => self.seal_event(event, &reports, buffer).map(|(envelope, has_files)| {
                withheld = if has_files { 0 } else { before.bytes };
                (envelope, 0)
            }),
            Item::Transaction(record) => {
                let left_out = if self.min_span_duration.is_zero() { 0 } else { record.leave_out_short_spans(self.min_span_duration) };
                self.seal_transaction(record, left_out, &reports, buffer)
            }
            Item::CheckIn(check_in) => self.seal_check_in(check_in, &reports, buffer).map(|envelope| (envelope, 0)),
            Item::Feedback(feedback) => self.seal_feedback(feedback, &reports, buffer).map(|envelope| (envelope, 0)),
            Item::Log(line) => self.write_logs(std::slice::from_ref(line), buffer).map(|envelope| (envelope, 0)),
        };
        match sealed {
            Ok((envelope, spans)) => Ok(Outbound {
                envelope,
                load: Load { spans, bytes: before.bytes - withheld, ..before },
                withheld_bytes: withheld,
                reports,
                strikes: Strikes::default(),
                numbers: Vec::new(),
                added_spans: spans.saturating_sub(before.spans),
                removed_spans: before.spans.saturating_sub(spans),
            }),
            Err(reason) => Err((reason, reports)),
        }
    }

    /// An envelope of logs; at most a hundred.
    pub(super) fn seal_logs(&self, lines: &[Box<LogLine>], buffer: Vec<u8>) -> Option<Outbound> {
        let envelope = self.write_logs(lines, buffer).ok()?;
        let bytes = lines.iter().map(|line| line.size() as u64).sum();
        Some(Outbound::new(envelope, Load { quantity: lines.len() as u64, bytes, ..Load::one(Category::LogItem) }, Vec::new()))
    }

    /// A log as a line of a file.
    pub(super) fn line(&self, line: &LogLine) -> Option<Redacted<Vec<u8>>> {
        self.redactor.line(&LinePayload(line)).ok()
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
        let mut open = self.redactor.envelope(&Self::plain_header(None), Vec::new()).ok()?;
        open.item(kind, None, payload).ok()?;
        Some(Outbound::new(open.seal(), Load::one(category), reports))
    }

    /// A header that says nothing of a trace.
    fn plain_header(event_id: Option<EventId>) -> EnvelopeHeader {
        EnvelopeHeader { event_id, sdk: Some(SdkInfo::current()), ..EnvelopeHeader::default() }
    }

    fn seal_check_in(
        &self,
        check_in: &mut CheckIn,
        reports: &[DiscardedEvent],
        buffer: Vec<u8>,
    ) -> Result<Redacted<SealedEnvelope>, DiscardReason> {
        check_in.release.clone_from(&self.facts.release);
        check_in.environment = Some(self.facts.environment.clone());
        self.write(&Self::plain_header(None), reports, buffer, |open| open.item(ItemType::CheckIn, None, &*check_in))
    }

    fn seal_feedback(
        &self,
        feedback: &mut FeedbackEvent,
        reports: &[DiscardedEvent],
        buffer: Vec<u8>,
    ) -> Result<Redacted<SealedEnvelope>, DiscardReason> {
        feedback.release.clone_from(&self.facts.release);
        feedback.environment = Some(self.facts.environment.clone());
        feedback.sdk = Some(SdkInfo::current());
        let header = Self::plain_header(Some(feedback.event_id));
        self.write(&header, reports, buffer, |open| open.item(ItemType::Feedback, None, &*feedback))
    }

    fn write_logs(&self, lines: &[Box<LogLine>], buffer: Vec<u8>) -> Result<Redacted<SealedEnvelope>, DiscardReason> {
        const MEDIA_TYPE: &str = "application/vnd.sentry.items.log+json";
        let payload = LogsPayload { lines, facts: &self.facts };
        self.write(&Self::plain_header(None), &[], buffer, |open| open.container(ItemType::Log, lines.len(), MEDIA_TYPE, &payload))
    }

    fn seal_event(
        &self,
        event: &mut EventRecord,
        reports: &[DiscardedEvent],
        buffer: Vec<u8>,
    ) -> Result<(Redacted<SealedEnvelope>, bool), DiscardReason> {
        if self.ignored.contains(event) {
            return Err(DiscardReason::EventProcessor);
        }
        let name = payload::name(&event.scope);
        let Resolved { exceptions, images, fingerprint } = resolve(event, &name, self.include_source_context);
        let fingerprint = fingerprint.as_deref().filter(|_| self.default_fingerprint).unwrap_or_default();
        let payload = EventPayload { event, name: &name, exceptions: &exceptions, images: &images, fingerprint, facts: &self.facts };
        let header =
            HeaderPayload { event_id: event.captured.event_id, record: &event.scope, name: &name, facts: &self.facts, is_bare: false };
        let files = event.scope.set.rare().map(|rare| rare.attachments.as_slice()).unwrap_or_default();
        let attach = |open: &mut OpenEnvelope<'_>| files.iter().try_for_each(|file| open.attachment(file));
        let Some(hook) = &self.before_send else {
            let written = self.write(&header, reports, buffer, |open| {
                open.item(ItemType::Event, None, &payload)?;
                attach(open)
            });
            return written.map(|envelope| (envelope, true));
        };
        let (changed, has_panicked) = match through(hook.as_ref(), &payload)? {
            Hooked::Kept(changed) => (*changed, false),
            Hooked::Dropped => return Err(DiscardReason::BeforeSend),
            Hooked::Panicked(mut original) => {
                bare_event(&mut original);
                (*original, true)
            }
        };
        let name = if has_panicked { changed.transaction.as_deref().unwrap_or_default() } else { header.name };
        let header = HeaderPayload { event_id: changed.event_id, name, is_bare: has_panicked, ..header };
        let written = self.write(&header, reports, buffer, |open| {
            open.item(ItemType::Event, None, &changed)?;
            if has_panicked { Ok(()) } else { attach(open) }
        });
        written.map(|envelope| (envelope, !has_panicked))
    }

    fn seal_transaction(
        &self,
        record: &Record,
        left_out: u64,
        reports: &[DiscardedEvent],
        buffer: Vec<u8>,
    ) -> Result<(Redacted<SealedEnvelope>, u64), DiscardReason> {
        let event_id = EventId::new();
        let name = payload::name(record);
        let payload = TransactionPayload { event_id, record, name: &name, facts: &self.facts };
        let header = HeaderPayload { event_id, record, name: &name, facts: &self.facts, is_bare: false };
        let count = record.spans.len().saturating_sub(usize::try_from(left_out).unwrap_or_default());
        let Some(hook) = &self.before_send_transaction else {
            let write = |open: &mut OpenEnvelope<'_>| open.item(ItemType::Transaction, Some(count), &payload);
            return self.write(&header, reports, buffer, write).map(|envelope| (envelope, count as u64 + 1));
        };
        let (changed, has_panicked) = match through(hook.as_ref(), &payload)? {
            Hooked::Kept(changed) => (*changed, false),
            Hooked::Dropped => return Err(DiscardReason::BeforeSend),
            Hooked::Panicked(mut original) => {
                bare_transaction(&mut original);
                (*original, true)
            }
        };
        let name = if has_panicked { &changed.name } else { header.name };
        let header = HeaderPayload { event_id: changed.event_id, name, is_bare: has_panicked, ..header };
        let count = changed.spans.len();
        let write = |open: &mut OpenEnvelope<'_>| open.item(ItemType::Transaction, Some(count), &changed);
        self.write(&header, reports, buffer, write).map(|envelope| (envelope, count as u64 + 1))
    }

    fn write(
        &self,
        header: &impl Serialize,
        reports: &[DiscardedEvent],
        buffer: Vec<u8>,
        items: impl FnOnce(&mut OpenEnvelope<'_>) -> serde_json::Result<()>,
    ) -> Result<Redacted<SealedEnvelope>, DiscardReason> {
        let written = self.redactor.envelope(header, buffer).and_then(|mut open: OpenEnvelope<'_>| {
            items(&mut open)?;
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
    // Servers want `message`; `formatted` alone is an invalid log entry.
    event.logentry = Some(LogEntry { message: Some("the contents were withheld: before_send panicked".to_owned()), ..LogEntry::default() });
    if event.transaction.is_some() && event.transaction_info.is_none_or(|info| is_from_data(info.source)) {
        event.transaction = Some(WITHHELD.to_owned());
    }
    for exception in &mut event.exception.values {
        exception.value = None;
    }
    event.breadcrumbs.values.clear();
    event.request = None;
    event.user = None;
    event.tags.clear();
    event.extra.clear();
    event.fingerprint.clear();
    event.contexts.other.clear();
    if let Some(trace) = &mut event.contexts.trace {
        trace.data.clear();
    }
}

/// The same for a transaction.
fn bare_transaction(transaction: &mut Transaction) {
    if is_from_data(transaction.transaction_info.source) {
        WITHHELD.clone_into(&mut transaction.name);
    }
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

/// The name of a transaction whose own name may hold what a failed hook meant to remove.
const WITHHELD: &str = "<withheld>";

/// Whether a name may hold more than the program's text: it was set while the request or job ran.
const fn is_from_data(source: TransactionSource) -> bool {
    !matches!(source, TransactionSource::Route | TransactionSource::View | TransactionSource::Component)
}

/// What is found out about an event on the exporter's thread.
struct Resolved {
    /// Innermost first, as the wire wants it, each with its mechanism; frames on the outermost.
    exceptions: Vec<Exception>,
    images: DebugMeta,
    fingerprint: Option<Vec<String>>,
}

fn resolve(event: &mut EventRecord, name: &str, include_source_context: bool) -> Resolved {
    let captured = &mut event.captured;
    let mut chain = std::mem::take(&mut captured.exceptions);
    exception::mechanisms(&mut chain, captured.mechanism, captured.handled);
    if let Some(outermost) = chain.first_mut() {
        // The trace inside of an error shows where it was made; ours, where it was captured.
        let backtrace = captured.backtrace.take();
        let inside = backtrace.as_ref().and_then(|backtrace| backtrace.read());
        let is_trustworthy = inside.is_none() || backtrace.as_ref().is_some_and(|backtrace| backtrace.is_trustworthy());
        // It may be the last handle of an error of the user's, whose drop is theirs too.
        let _ = exception::contained(|| drop(backtrace));
        outermost.stacktrace = inside.or_else(|| exception::stacktrace(&captured.addresses));
        if let Some(trace) = outermost.stacktrace.as_mut().filter(|_| is_trustworthy && include_source_context) {
            exception::source::add(trace);
        }
    }
    let fingerprint = exception::fingerprint(&chain, name);
    chain.reverse();
    let images = DebugMeta { images: exception::images::of(&chain) };
    Resolved { exceptions: chain, images, fingerprint }
}
