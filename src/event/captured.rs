//! An error, a panic or a message on its way to the exporter.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::call_stack::CallStack;
use super::chain;
use super::hint::ErrorNotes;
use super::identity::{ErrorChain, FailureIdentity};
use super::panic::{ReadIn, panic_chain};
use crate::protocol::{Event, EventId, Exception, Frame, Level, SpanId};
use crate::record::{LogRecord, Record, ScopeData, Suppressed, clock};
use crate::unwind::Payload;

/// An error with a stack trace inside, which stable Rust exposes only as text.
///
/// The exporter reads it, because resolving the names takes milliseconds.
pub(crate) trait Backtrace: fmt::Debug + Send + Sync {
    /// Returns the frames of the trace, innermost first. There are none if no trace was taken.
    fn read(&self) -> Vec<Frame>;

    /// Whether all of the trace comes from the program.
    ///
    /// The text around a trace may contain any message, even one with the name of a file.
    fn is_trustworthy(&self) -> bool;
}

/// The mechanism of explicit captures.
const EXPLICIT: &str = "generic";
/// Whether the user has the id of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdUse {
    /// A `CaptureError` has returned it to the user before the capture.
    HandedOut,
    Internal,
    /// The user's call that captures the event returns it.
    Returned,
}

/// A captured error, panic or message, before its scope is attached.
#[derive(Debug)]
pub(crate) struct CapturedEvent {
    pub(crate) event_id: EventId,
    /// Nanoseconds since the epoch.
    pub(crate) at: u64,
    pub(crate) level: Level,
    /// The `tracing` event that it was captured with.
    pub(crate) log: Option<LogRecord>,
    pub(crate) message: Option<String>,
    /// The message continues the transaction's name, which only the exporter can build.
    pub(crate) follows_name: bool,
    /// Outermost first; the wire uses the reverse order.
    pub(crate) exceptions: Vec<Exception>,
    /// See [`ErrorChain::seen_through`].
    pub(crate) seen_through: Vec<String>,
    /// How the outermost error was caught.
    pub(crate) mechanism: &'static str,
    pub(crate) handled: bool,
    /// The calls that led to the report, and its place; the exporter resolves them.
    pub(crate) stack: CallStack,
    /// What distinguishes errors of the outermost type: a variant, or a literal of the program.
    pub(crate) detail: Option<Cow<'static, str>>,
    /// A stack trace inside the error.
    pub(crate) backtrace: Option<Arc<dyn Backtrace>>,
    /// Whether to send it at once instead of waiting for the response head, because the process may
    /// be about to end.
    pub(crate) at_once: bool,
    /// What identifies the failure, until the scope that captures it has taken it.
    pub(crate) identity: FailureIdentity,
    pub(crate) id_use: IdUse,
    /// The id of the `CaptureError` that it comes from. Clones of that error may be captured too.
    pub(crate) error_id: Option<EventId>,
    /// The active span; set by the scope that captures it.
    pub(crate) span: SpanId,
    /// The inner request it was captured in, as the row of its span.
    pub(crate) inner_request: Option<u32>,
    /// The data of the nested scope it was captured in.
    pub(crate) nested: Option<Box<ScopeData>>,
    /// The number of other events of its issue that are not sent.
    pub(crate) suppressed: Option<Suppressed>,
    /// The data that a hook has added for its error.
    pub(crate) notes: ErrorNotes,
    /// The event that the user has built, and its size in bytes.
    pub(crate) given: Option<(Box<Event>, usize)>,
}

impl CapturedEvent {
    /// An error that the user captures explicitly; `stack` is that of the call.
    pub(crate) fn error(chain: ErrorChain, stack: CallStack) -> Self {
        Self { stack, id_use: IdUse::Returned, ..Self::new(Level::Error, EXPLICIT) }.with_chain(chain)
    }

    /// A message.
    pub(crate) fn message(level: Level, message: String) -> Self {
        let message = chain::within_limit(message);
        Self { message: Some(message), id_use: IdUse::Returned, ..Self::new(level, EXPLICIT) }
    }

    /// An event that the user has built. Its identity is read here. The exporter replaces the scope's values with
    /// those of the event.
    pub(crate) fn given(event: Event) -> Self {
        let message = event.logentry.as_ref().and_then(|entry| entry.formatted.as_ref().or(entry.message.as_ref()));
        let message = message.map(|text| chain::within_limit(text.clone()));
        // Its frames and its mechanisms stay in the event.
        let named = |exception: &Exception| Exception { mechanism: None, stacktrace: None, ..exception.clone() };
        let exceptions = event.exception.values.iter().rev().map(named).collect();
        let level = event.level;
        let size = serde_json::to_vec(&event).map_or(0, |json| json.len());
        Self {
            event_id: event.event_id,
            message,
            exceptions,
            id_use: IdUse::Returned,
            given: Some((Box::new(event), size)),
            ..Self::new(level, EXPLICIT)
        }
    }

    /// The fingerprint that the user has given it, or its scope, or none.
    pub(crate) fn given_fingerprint<'a>(&'a self, scope: &'a Record) -> &'a [String] {
        let of_event = self.given.as_ref().map(|(event, _)| event.fingerprint.as_slice()).filter(|parts| !parts.is_empty());
        of_event.unwrap_or_else(|| scope.set.rare().map(|rare| rare.fingerprint.as_slice()).unwrap_or_default())
    }

    /// How many of its texts were cut, plus one if causes were left out.
    pub(crate) fn truncated(&self) -> u32 {
        chain::truncated(&self.exceptions) + u32::from(self.message.as_deref().is_some_and(chain::is_cut))
    }

    /// Whether a job returned it.
    pub(crate) fn is_returned(&self) -> bool {
        !self.handled && !self.is_panic()
    }

    /// Whether a call of the user captured it, and not the layer.
    pub(crate) fn is_explicit(&self) -> bool {
        self.mechanism == EXPLICIT
    }

    /// A panic, as the panic hook sees it.
    pub(crate) fn panic(payload: &Payload, stack: CallStack) -> Self {
        Self { stack, ..Self::unwound(panic_chain(payload, ReadIn::Hook)) }
    }

    /// A panic that our hook did not see. Its place and its frames are not known.
    pub(crate) fn resumed_panic(payload: &Payload) -> Self {
        Self::unwound(panic_chain(payload, ReadIn::Watch))
    }

    fn unwound(exceptions: Vec<Exception>) -> Self {
        let mechanism = chain::PANIC;
        let panic = Self { handled: false, at_once: true, ..Self::new(chain::level(mechanism), mechanism) };
        panic.with_chain(ErrorChain::of_exceptions(exceptions))
    }

    /// Whether it is a panic, and not an error or a message.
    pub(crate) fn is_panic(&self) -> bool {
        self.mechanism == chain::PANIC
    }

    /// The data of the outermost mechanism for a panic without a place.
    pub(crate) fn mechanism_data(&self) -> Option<(&'static str, &'static str)> {
        let is_unplaced = self.is_panic() && self.stack.location.is_none();
        is_unplaced.then_some(("location", "unknown: another panic hook was set, or the panic was resumed"))
    }

    /// A log event, with an error's chain if it has one. Without one, `identity` is that of its
    /// texts.
    pub(crate) fn log(log: LogRecord, message: Option<String>, chain: ErrorChain) -> Self {
        let level = Level::from(log.metadata.level());
        Self { log: Some(log), message, ..Self::new(level, "tracing") }.with_chain(chain)
    }

    /// An error that came with a response.
    pub(crate) fn response(chain: ErrorChain, stack: CallStack, backtrace: Option<Arc<dyn Backtrace>>) -> Self {
        Self { stack, backtrace, ..Self::new(Level::Error, "auto.http.tower") }.with_chain(chain)
    }

    /// A failed response without an error. The message is the transaction's name, followed by `what`.
    pub(crate) fn failed_response(what: String) -> Self {
        Self { message: Some(what), follows_name: true, ..Self::new(Level::Error, "auto.http.tower") }
    }

    /// An error that a job returned. It counts as unhandled, since no code in the job handled it.
    pub(crate) fn returned(chain: ErrorChain, mechanism: &'static str, stack: CallStack) -> Self {
        Self { handled: false, stack, ..Self::new(Level::Error, mechanism) }.with_chain(chain)
    }

    fn with_chain(self, chain: ErrorChain) -> Self {
        let ErrorChain { exceptions, identity, notes, seen_through } = chain;
        Self { exceptions, seen_through, identity, notes, ..self }
    }

    fn new(level: Level, mechanism: &'static str) -> Self {
        Self {
            event_id: EventId::new(),
            at: clock::wall(),
            level,
            log: None,
            message: None,
            follows_name: false,
            exceptions: Vec::new(),
            seen_through: Vec::new(),
            mechanism,
            handled: true,
            stack: CallStack::default(),
            detail: None,
            backtrace: None,
            at_once: false,
            identity: FailureIdentity::default(),
            id_use: IdUse::Internal,
            error_id: None,
            span: SpanId::default(),
            inner_request: None,
            nested: None,
            suppressed: None,
            notes: ErrorNotes::default(),
            given: None,
        }
    }

    /// Merges `other`, a later report, into this event, and keeps this event's id.
    ///
    /// `is_shorter` means that the other report has the longer chain. Returns the backtrace that is not
    /// kept. It belongs to the user, so drop it while no lock is held.
    pub(crate) fn merge(&mut self, mut other: Self, is_shorter: bool) -> Option<Arc<dyn Backtrace>> {
        if self.stack.is_empty() {
            (self.stack, self.detail) = (other.stack, other.detail);
        }
        let given = other.backtrace.take();
        let lost = if self.backtrace.is_none() { std::mem::replace(&mut self.backtrace, given) } else { given };
        self.nested = self.nested.take().or(other.nested);
        self.seen_through.append(&mut other.seen_through);
        self.level = self.level.max(other.level);
        self.notes.add(other.notes);
        if self.exceptions.is_empty() && !other.exceptions.is_empty() {
            self.exceptions = other.exceptions;
            self.mechanism = other.mechanism;
            self.handled = other.handled;
            self.message = self.message.take().or(other.message);
            return lost;
        }
        if is_shorter && self.exceptions.is_empty() {
            // If two functions log one error, the log of the outer one shows more.
            (self.log, self.message) = (other.log, other.message);
        } else if self.log.is_none() {
            self.log = other.log;
            self.message = self.message.take().or(other.message);
        }
        self.merge_chain(other.exceptions, is_shorter);
        self.handled &= other.handled;
        lost
    }

    /// Keeps the longer chain. For an error in both chains, it keeps the exact type.
    fn merge_chain(&mut self, mut other: Vec<Exception>, is_shorter: bool) {
        if is_shorter && other.len() > self.exceptions.len() {
            std::mem::swap(&mut self.exceptions, &mut other);
        }
        for (ours, theirs) in self.exceptions.iter_mut().rev().zip(other.into_iter().rev()) {
            // `CaptureError` knows the type; a borrowed error has only its `Debug` text.
            if ours.module.is_none() && theirs.module.is_some() {
                (ours.kind, ours.module) = (theirs.kind, theirs.module);
            }
        }
    }
}

/// A captured event with a copy of its scope.
#[derive(Debug)]
pub(crate) struct EventRecord {
    pub(crate) captured: CapturedEvent,
    pub(crate) scope: Box<Record>,
}

impl EventRecord {
    /// Returns the size of the attachments in bytes; the protocol counts an empty file as one.
    pub(crate) fn attached(&self) -> u64 {
        self.scope.set.rare().map_or(0, |rare| rare.attachments.iter().map(|file| file.bytes.len().max(1) as u64).sum())
    }

    /// Returns the approximate size of the event in bytes.
    pub(crate) fn size(&self) -> usize {
        let CapturedEvent { message, exceptions, stack, .. } = &self.captured;
        let text = |exception: &Exception| exception.value.as_ref().map_or(0, String::len);
        self.scope.size()
            + message.as_ref().map_or(0, String::len)
            + exceptions.iter().map(|exception| size_of::<Exception>() + text(exception)).sum::<usize>()
            + self.captured.seen_through.iter().map(|name| size_of::<String>() + name.len()).sum::<usize>()
            + stack.addresses.len() * size_of::<usize>()
            + self.captured.given.as_ref().map_or(0, |(_, size)| *size)
            + self.captured.log.as_ref().map_or(0, |log| log.fields.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Timestamp;

    fn captured(message: Option<&str>, chain: &[(&str, Option<&str>)], handled: bool) -> CapturedEvent {
        let exception = |(value, module): &(&str, Option<&str>)| Exception {
            value: Some((*value).to_owned()),
            module: module.map(str::to_owned),
            ..Exception::default()
        };
        let message = message.map(str::to_owned);
        let mechanism = if handled { "generic" } else { "panic" };
        CapturedEvent { message, handled, exceptions: chain.iter().map(exception).collect(), ..CapturedEvent::new(Level::Error, mechanism) }
    }

    #[test]
    fn a_message_of_megabytes_is_cut_when_it_is_captured() {
        let captured = CapturedEvent::message(Level::Error, "x".repeat(2 << 20));

        assert!(captured.message.as_ref().is_some_and(|message| message.len() < 64 * 1024));
        assert_eq!(captured.truncated(), 1);
    }

    #[test]
    fn what_the_user_has_built_counts_with_all_it_holds() {
        let size = |extra: usize| {
            // The same moment in both: a moment that ends in zeros is shorter in JSON.
            let mut event = Event { timestamp: Timestamp::default(), ..Event::new(Level::Error) };
            event.extra.insert("extra".to_owned(), "x".repeat(extra).into());
            EventRecord { captured: CapturedEvent::given(event), scope: Box::default() }.size()
        };

        assert_eq!(size(50_000) - size(10_000), 40_000);
    }

    #[test]
    fn what_is_merged_knows_the_best_of_both_and_keeps_the_first_id() {
        let (borrowed, typed) = (("no order", None), ("no order", Some("shop")));
        // First and second (message, handled); expected (handled, module, message).
        let rows = [
            ((None, true), (None, true), (true, Some("shop"), None)),
            ((None, true), (Some("it said"), true), (true, Some("shop"), Some("it said"))),
            ((Some("it said"), true), (Some("once more"), true), (true, Some("shop"), Some("it said"))),
            // First reported, then a crash: the event counts as crashed.
            ((None, true), (None, false), (false, Some("shop"), None)),
            ((None, false), (None, true), (false, Some("shop"), None)),
        ];

        for ((first, first_handled), (second, second_handled), expected) in rows {
            let mut merged = captured(first, &[borrowed], first_handled);
            let other = captured(second, &[typed], second_handled);
            let id = merged.event_id;

            merged.merge(other, false);

            let module = merged.exceptions.first().and_then(|outermost| outermost.module.as_deref());
            assert_eq!((merged.handled, module, merged.message.as_deref(), merged.event_id), (expected.0, expected.1, expected.2, id));
        }
        let mut text_alone = captured(Some("it said no order"), &[], true);
        text_alone.merge(captured(None, &[typed], false), true);
        assert_eq!((text_alone.handled, text_alone.mechanism, text_alone.exceptions.len()), (false, "panic", 1));
    }

    #[test]
    fn the_longer_chain_is_kept_with_the_exact_types_of_the_shorter() {
        let context = ("placing the order failed", None);
        let (borrowed, typed) = (("no order", None), ("no order", Some("shop")));
        let rows = [(vec![typed], vec![context, borrowed], true), (vec![context, borrowed], vec![typed], false)];

        for (first, second, is_shorter) in rows {
            let mut merged = captured(None, &first, true);
            merged.merge(captured(None, &second, true), is_shorter);

            let chain: Vec<_> =
                merged.exceptions.iter().map(|error| (error.value.as_deref().unwrap_or_default(), error.module.as_deref())).collect();
            assert_eq!(chain, [context, typed]);
        }
    }
}
