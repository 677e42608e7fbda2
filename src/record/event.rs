//! An error, a panic or a message on its way to the exporter.

use super::Record;
use crate::protocol::{EventId, Exception, Level, SpanId};

/// What was captured, before its scope is joined to it.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) event_id: EventId,
    /// Nanoseconds since the epoch.
    pub(crate) at: u64,
    pub(crate) level: Level,
    pub(crate) logger: Option<&'static str>,
    pub(crate) message: Option<String>,
    /// Outermost first; the wire wants it the other way round.
    pub(crate) exceptions: Vec<Exception>,
    /// How the outermost was caught.
    pub(crate) mechanism: &'static str,
    pub(crate) handled: bool,
    /// Return addresses, innermost call first; resolved by the exporter.
    pub(crate) addresses: Vec<usize>,
    /// The span that was active.
    pub(crate) span: SpanId,
}

impl Captured {
    /// Whether `other` tells of the same failure: the same messages in the same order, from the outermost on.
    pub(crate) fn is_same_failure(&self, other: &Self) -> bool {
        self.tells_of(&other.exceptions)
    }

    /// The same for a chain that has not been captured yet.
    pub(crate) fn tells_of(&self, chain: &[Exception]) -> bool {
        !self.exceptions.is_empty()
            && self.exceptions.len() == chain.len()
            && self.exceptions.iter().zip(chain).all(|(ours, theirs)| ours.value == theirs.value)
    }

    /// Takes over what `other` knows better; this event's id stays.
    pub(crate) fn merge(&mut self, other: Self) {
        if self.addresses.is_empty() {
            self.addresses = other.addresses;
        }
        // `CaptureError` knows the type where a borrowed error has only its `Debug` text.
        if let (Some(ours), Some(theirs)) = (self.exceptions.first_mut(), other.exceptions.into_iter().next())
            && ours.module.is_none()
            && theirs.module.is_some()
        {
            *ours = theirs;
        }
        self.handled &= other.handled;
    }
}

/// What was captured, with a copy of the scope it was captured in.
#[derive(Debug)]
pub(crate) struct EventRecord {
    pub(crate) captured: Captured,
    pub(crate) scope: Box<Record>,
}

impl EventRecord {
    /// About how many bytes the event holds.
    pub(crate) fn size(&self) -> usize {
        let Captured { message, exceptions, addresses, .. } = &self.captured;
        let text = |exception: &Exception| exception.value.as_ref().map_or(0, String::len);
        self.scope.size()
            + message.as_ref().map_or(0, String::len)
            + exceptions.iter().map(|exception| size_of::<Exception>() + text(exception)).sum::<usize>()
            + addresses.len() * size_of::<usize>()
    }
}
