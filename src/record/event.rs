//! An error, a panic or a message on its way to the exporter.

use std::fmt;
use std::sync::Arc;

use tracing::Metadata;

use super::{FieldValue, Fields, Record, ScopeData};
use crate::protocol::{EventId, Exception, Level, SpanId, Stacktrace, TraceId};

/// A shorter text may stand in a log by chance.
pub(crate) const MENTIONED: usize = 4;

/// An event of `tracing`.
#[derive(Debug)]
pub(crate) struct LogRecord {
    pub(crate) metadata: &'static Metadata<'static>,
    /// Its fields, encoded.
    pub(crate) fields: Vec<u8>,
}

/// An event of `tracing` as a structured log.
#[derive(Debug)]
pub(crate) struct LogLine {
    /// Nanoseconds since the epoch.
    pub(crate) at: u64,
    pub(crate) log: LogRecord,
    pub(crate) trace_id: TraceId,
    /// The span that was active.
    pub(crate) span: Option<SpanId>,
    pub(crate) user: Option<String>,
}

impl LogLine {
    /// About how many bytes it holds; never none.
    pub(crate) fn size(&self) -> usize {
        self.log.fields.len().max(1) + self.user.as_ref().map_or(0, String::len)
    }
}

/// An error that holds a stack trace, which stable Rust shows as text only. The exporter asks for it: names are resolved then, which takes milliseconds.
pub(crate) trait Backtrace: fmt::Debug + Send + Sync {
    /// The trace; none where none was taken.
    fn read(&self) -> Option<Stacktrace>;

    /// Whether all of it comes out of the program: a message can hold anything, also the name of a file.
    fn is_trustworthy(&self) -> bool;
}

/// What was captured, before its scope is joined to it.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) event_id: EventId,
    /// Nanoseconds since the epoch.
    pub(crate) at: u64,
    pub(crate) level: Level,
    /// The event of `tracing` it came with.
    pub(crate) log: Option<LogRecord>,
    pub(crate) message: Option<String>,
    /// The message goes on where the transaction's name ends, which only the exporter puts together.
    pub(crate) follows_name: bool,
    /// Outermost first; the wire wants it the other way round.
    pub(crate) exceptions: Vec<Exception>,
    /// How the outermost was caught.
    pub(crate) mechanism: &'static str,
    pub(crate) handled: bool,
    /// Return addresses, innermost call first; resolved by the exporter.
    pub(crate) addresses: Vec<usize>,
    /// A stack trace inside of the error.
    pub(crate) backtrace: Option<Arc<dyn Backtrace>>,
    /// The span that was active.
    pub(crate) span: SpanId,
    /// What is set in the nested scope it was captured in.
    pub(crate) nested: Option<Box<ScopeData>>,
}

impl Captured {
    /// Whether `other` tells of the same failure: the same messages in the same order, from the outermost on.
    ///
    /// An error that was logged as text is the one whose own text stands in that log.
    pub(crate) fn is_same_failure(&self, other: &Self) -> bool {
        self.tells_of(&other.exceptions) || self.mentions(&other.exceptions) || other.mentions(&self.exceptions)
    }

    fn mentions(&self, chain: &[Exception]) -> bool {
        let text = chain.first().and_then(|outermost| outermost.value.as_deref()).filter(|text| text.len() >= MENTIONED);
        let Some((log, text)) = self.log.as_ref().filter(|_| self.exceptions.is_empty()).zip(text) else { return false };
        let in_fields = || Fields::new(&log.fields).any(|(_, value)| matches!(value, FieldValue::Text(field) if field.contains(text)));
        self.message.as_ref().is_some_and(|message| message.contains(text)) || in_fields()
    }

    /// The same for a chain that has not been captured yet.
    pub(crate) fn tells_of(&self, chain: &[Exception]) -> bool {
        !self.exceptions.is_empty()
            && self.exceptions.len() == chain.len()
            && self.exceptions.iter().zip(chain).all(|(ours, theirs)| ours.value == theirs.value)
    }

    /// Takes over what `other` knows better; this event's id stays.
    ///
    /// Returns what is left of the other and is the user's, to be dropped where nothing is locked.
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
        // `CaptureError` knows the type where a borrowed error has only its `Debug` text.
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

/// What was captured, with a copy of the scope it was captured in.
#[derive(Debug)]
pub(crate) struct EventRecord {
    pub(crate) captured: Captured,
    pub(crate) scope: Box<Record>,
}

impl EventRecord {
    /// How many bytes of files ride on it; an empty file counts as one, by the protocol.
    pub(crate) fn attached(&self) -> u64 {
        self.scope.set.rare().map_or(0, |rare| rare.attachments.iter().map(|file| file.bytes.len().max(1) as u64).sum())
    }

    /// About how many bytes the event holds.
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
        // What came first and then; whether the whole is handled, its module, its message.
        let rows = [
            ((None, true), (None, true), (true, Some("shop"), None)),
            ((None, true), (Some("it said"), true), (true, Some("shop"), Some("it said"))),
            ((Some("it said"), true), (Some("once more"), true), (true, Some("shop"), Some("it said"))),
            // Told first, and then a crash: it crashed.
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
