//! Decides whether two reports are about the same failure and become one event.
//!
//! Which events the server shows as one issue is decided in `grouping`.

use super::CapturedEvent;
use crate::protocol::Exception;
use crate::record::{FieldReader, FieldValue};

/// Minimum length of an error text to look for in a log: a shorter one may occur there by chance.
const MENTIONED: usize = 4;

/// The messages of an error chain, outermost first. They identify the error.
pub(crate) struct ChainMessages(Vec<Option<String>>);

impl ChainMessages {
    pub(crate) fn of(chain: &[Exception]) -> Self {
        Self(chain.iter().map(|exception| exception.value.clone()).collect())
    }

    /// Whether `chain` has the same messages in the same order. An empty chain equals none.
    pub(crate) fn are_of(&self, chain: &[Exception]) -> bool {
        !chain.is_empty() && self.0.iter().map(Option::as_deref).eq(messages(chain))
    }
}

/// A failure that was sent: its error chain, or the text of its log.
pub(crate) struct ReportedFailure {
    chain: ChainMessages,
    text: Option<String>,
}

impl ReportedFailure {
    pub(crate) fn new(captured: &CapturedEvent) -> Self {
        let text = captured.message.clone().filter(|_| captured.exceptions.is_empty());
        Self { chain: ChainMessages::of(&captured.exceptions), text }
    }

    /// Whether `chain` describes this failure.
    pub(crate) fn is(&self, chain: &[Exception]) -> bool {
        self.chain.are_of(chain) || self.text.as_deref().zip(outermost(chain)).is_some_and(|(text, error)| text.contains(error))
    }
}

impl CapturedEvent {
    /// Whether `other` reports the same failure: the same messages in the same order.
    ///
    /// An error that was logged as text matches if the log contains the outermost error's text.
    pub(crate) fn is_same_failure(&self, other: &Self) -> bool {
        self.has_chain(&other.exceptions) || self.mentions(&other.exceptions) || other.mentions(&self.exceptions)
    }

    /// Whether its chain has the same messages in the same order as `chain`.
    pub(crate) fn has_chain(&self, chain: &[Exception]) -> bool {
        !chain.is_empty() && messages(&self.exceptions).eq(messages(chain))
    }

    /// Whether its log contains the outermost error's text.
    fn mentions(&self, chain: &[Exception]) -> bool {
        let Some((log, text)) = self.log.as_ref().filter(|_| self.exceptions.is_empty()).zip(outermost(chain)) else { return false };
        let in_fields = || FieldReader::new(&log.fields).any(|(_, value)| matches!(value, FieldValue::Text(field) if field.contains(text)));
        self.message.as_ref().is_some_and(|message| message.contains(text)) || in_fields()
    }
}

fn messages(chain: &[Exception]) -> impl Iterator<Item = Option<&str>> {
    chain.iter().map(|exception| exception.value.as_deref())
}

/// The text of the outermost error, if it is long enough to look for.
fn outermost(chain: &[Exception]) -> Option<&str> {
    chain.first().and_then(|outermost| outermost.value.as_deref()).filter(|text| text.len() >= MENTIONED)
}
