//! An error, a panic or a message on its way to the exporter.

use std::fmt;
use std::sync::Arc;

use crate::protocol::{EventId, Exception, Level, SpanId, Stacktrace};
use crate::record::{FieldValue, Fields, LogRecord, Record, ScopeData};

/// Minimum length of an error text to look for in a log: a shorter one may occur there by chance.
pub(crate) const MENTIONED: usize = 4;

/// An error with a stack trace inside, which stable Rust exposes only as text.
///
/// The exporter reads it, because resolving the names takes milliseconds.
pub(crate) trait Backtrace: fmt::Debug + Send + Sync {
    /// Returns the trace, or `None` if no trace was taken.
    fn read(&self) -> Option<Stacktrace>;

    /// Whether all of the trace comes from the program.
    ///
    /// The text around a trace may contain any message, even one with the name of a file.
    fn is_trustworthy(&self) -> bool;
}

/// A captured error, panic or message, before its scope is attached.
#[derive(Debug)]
pub(crate) struct Captured {
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
    /// How the outermost error was caught.
    pub(crate) mechanism: &'static str,
    pub(crate) handled: bool,
    /// Return addresses, innermost call first; the exporter resolves them.
    pub(crate) addresses: Vec<usize>,
    /// A stack trace inside the error.
    pub(crate) backtrace: Option<Arc<dyn Backtrace>>,
    /// The active span.
    pub(crate) span: SpanId,
    /// The data of the nested scope it was captured in.
    pub(crate) nested: Option<Box<ScopeData>>,
}

impl Captured {
    /// Whether `other` reports the same failure: the same messages in the same order.
    ///
    /// An error that was logged as text matches if the log contains the outermost error's text.
    pub(crate) fn is_same_failure(&self, other: &Self) -> bool {
        self.tells_of(&other.exceptions) || self.mentions(&other.exceptions) || other.mentions(&self.exceptions)
    }

    fn mentions(&self, chain: &[Exception]) -> bool {
        let text = chain.first().and_then(|outermost| outermost.value.as_deref()).filter(|text| text.len() >= MENTIONED);
        let Some((log, text)) = self.log.as_ref().filter(|_| self.exceptions.is_empty()).zip(text) else { return false };
        let in_fields = || Fields::new(&log.fields).any(|(_, value)| matches!(value, FieldValue::Text(field) if field.contains(text)));
        self.message.as_ref().is_some_and(|message| message.contains(text)) || in_fields()
    }

    /// Whether a chain that is not captured yet has the same messages in the same order.
    pub(crate) fn tells_of(&self, chain: &[Exception]) -> bool {
        !self.exceptions.is_empty()
            && self.exceptions.len() == chain.len()
            && self.exceptions.iter().zip(chain).all(|(ours, theirs)| ours.value == theirs.value)
    }

    /// Merges `other` into this event and keeps this event's id.
    ///
    /// Returns the backtrace that is not kept. It is the user's: drop it while no lock is held.
    pub(crate) fn merge(&mut self, mut other: Self) -> Option<Arc<dyn Backtrace>> {
        if self.addresses.is_empty() {
            self.addresses = other.addresses;
        }
        let given = other.backtrace.take();
        let lost = if self.backtrace.is_none() { std::mem::replace(&mut self.backtrace, given) } else { given };
        self.nested = self.nested.take().or(other.nested);
        if self.exceptions.is_empty() {
            self.exceptions = other.exceptions;
            self.mechanism = other.mechanism;
            self.handled = other.handled;
            self.message = self.message.take().or(other.message);
            return lost;
        }
        if self.log.is_none() {
            self.log = other.log;
            self.message = self.message.take().or(other.message);
        }
        // `CaptureError` knows the type; a borrowed error has only its `Debug` text.
        if let (Some(ours), Some(theirs)) = (self.exceptions.first_mut(), other.exceptions.into_iter().next())
            && ours.module.is_none()
            && theirs.module.is_some()
        {
            *ours = theirs;
        }
        self.handled &= other.handled;
        lost
    }
}

/// A captured event with a copy of its scope.
#[derive(Debug)]
pub(crate) struct EventRecord {
    pub(crate) captured: Captured,
    pub(crate) scope: Box<Record>,
}

impl EventRecord {
    /// Returns the size of the attachments in bytes; the protocol counts an empty file as one.
    pub(crate) fn attached(&self) -> u64 {
        self.scope.set.rare().map_or(0, |rare| rare.attachments.iter().map(|file| file.bytes.len().max(1) as u64).sum())
    }

    /// Returns the approximate size of the event in bytes.
    pub(crate) fn size(&self) -> usize {
        let Captured { message, exceptions, addresses, .. } = &self.captured;
        let text = |exception: &Exception| exception.value.as_ref().map_or(0, String::len);
        self.scope.size()
            + message.as_ref().map_or(0, String::len)
            + exceptions.iter().map(|exception| size_of::<Exception>() + text(exception)).sum::<usize>()
            + addresses.len() * size_of::<usize>()
            + self.captured.log.as_ref().map_or(0, |log| log.fields.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(message: Option<&str>, chain: &[(&str, Option<&str>)], handled: bool) -> Captured {
        let exception = |(value, module): &(&str, Option<&str>)| Exception {
            value: Some((*value).to_owned()),
            module: module.map(str::to_owned),
            ..Exception::default()
        };
        Captured {
            event_id: EventId::new(),
            at: 0,
            level: Level::Error,
            log: None,
            message: message.map(str::to_owned),
            follows_name: false,
            exceptions: chain.iter().map(exception).collect(),
            mechanism: if handled { "generic" } else { "panic" },
            handled,
            addresses: Vec::new(),
            backtrace: None,
            span: SpanId::new(),
            nested: None,
        }
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
            assert!(merged.is_same_failure(&other));

            merged.merge(other);

            let module = merged.exceptions.first().and_then(|outermost| outermost.module.as_deref());
            assert_eq!((merged.handled, module, merged.message.as_deref(), merged.event_id), (expected.0, expected.1, expected.2, id));
        }
        let mut text_alone = captured(Some("it said no order"), &[], true);
        text_alone.merge(captured(None, &[typed], false));
        assert_eq!((text_alone.handled, text_alone.mechanism, text_alone.exceptions.len()), (false, "panic", 1));
    }
}
