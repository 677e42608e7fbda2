//! What is handed over to the exporter.

use super::ledger::Load;
use crate::protocol::{Category, CheckIn, FeedbackEvent};
use crate::record::{EventRecord, LogLine, Record};

/// What is handed over.
#[derive(Debug)]
pub(crate) enum Item {
    Event(Box<EventRecord>),
    Transaction(Box<Record>),
    CheckIn(Box<CheckIn>),
    Feedback(Box<FeedbackEvent>),
    Log(Box<LogLine>),
}

/// Who goes first, and who gives way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Errors, and the few that somebody waits for.
    Urgent,
    Transactions,
    Logs,
}

impl Item {
    pub(crate) fn category(&self) -> Category {
        match self {
            Self::Event(_) => Category::Error,
            Self::Transaction(_) => Category::Transaction,
            Self::CheckIn(_) => Category::Monitor,
            Self::Feedback(_) => Category::Feedback,
            Self::Log(_) => Category::LogItem,
        }
    }

    pub(super) fn class(&self) -> Class {
        match self {
            Self::Event(_) | Self::CheckIn(_) | Self::Feedback(_) => Class::Urgent,
            Self::Transaction(_) => Class::Transactions,
            Self::Log(_) => Class::Logs,
        }
    }

    /// What it counts for.
    pub(super) fn load(&self) -> Load {
        let one = Load::one(self.category());
        match self {
            Self::Event(event) => Load { bytes: event.attached(), ..one },
            // The root is a span as well.
            Self::Transaction(record) => Load { spans: record.spans.len() as u64 + 1, ..one },
            Self::Log(line) => Load { bytes: line.size() as u64, ..one },
            Self::CheckIn(_) | Self::Feedback(_) => one,
        }
    }

    /// About how many bytes it holds.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Event(event) => event.size(),
            Self::Transaction(record) => record.size(),
            Self::CheckIn(_) => size_of::<CheckIn>(),
            Self::Feedback(feedback) => feedback.size(),
            Self::Log(line) => size_of::<LogLine>() + line.size(),
        }
    }
}
