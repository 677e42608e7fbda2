//! The items that are handed over to the exporter.

use super::load::Load;
use crate::event::EventRecord;
#[cfg(profiles)]
use crate::profiling::SessionChunk;
use crate::protocol::{Category, CheckIn, FeedbackEvent};
use crate::record::{LogLine, MetricRecord, Record, Suppressed};

/// A record that is handed over to the exporter.
#[derive(Debug)]
pub(crate) enum Item {
    Event(Box<EventRecord>),
    Transaction(Box<Record>),
    /// The spans of a request or job: the rest of them with itself, or those that ended while it runs.
    Spans(Box<Record>),
    CheckIn(Box<CheckIn>),
    Feedback(Box<FeedbackEvent>),
    Log(Box<LogLine>),
    Metric(Box<MetricRecord>),
    #[cfg(profiles)]
    ProfileChunk(Box<SessionChunk>),
}

/// What an event counts for in the ledger.
pub(super) fn load_of(event: &EventRecord) -> Load {
    Load { bytes: event.attached(), ..Load::one(Category::Error) }
}

/// Priority: which items leave first, and which give way when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Few and small, and each lost one is a false alarm. They have places of their own.
    CheckIns,
    /// Errors, and feedback, for which a user waits.
    Errors,
    Transactions,
    Logs,
    Metrics,
}

impl Item {
    pub(crate) fn category(&self) -> Category {
        match self {
            Self::Event(_) => Category::Error,
            Self::Transaction(_) => Category::Transaction,
            Self::Spans(_) => Category::Span,
            Self::CheckIn(_) => Category::Monitor,
            Self::Feedback(_) => Category::Feedback,
            Self::Log(_) => Category::LogItem,
            Self::Metric(_) => Category::TraceMetric,
            #[cfg(profiles)]
            Self::ProfileChunk(_) => Category::ProfileChunk,
        }
    }

    pub(super) fn class(&self) -> Class {
        match self {
            Self::CheckIn(_) => Class::CheckIns,
            Self::Event(_) | Self::Feedback(_) => Class::Errors,
            Self::Transaction(_) | Self::Spans(_) => Class::Transactions,
            Self::Log(_) => Class::Logs,
            Self::Metric(_) => Class::Metrics,
            // The protocol gives them the same priority.
            #[cfg(profiles)]
            Self::ProfileChunk(_) => Class::Metrics,
        }
    }

    /// What the item counts for in the ledger.
    pub(super) fn load(&self) -> Load {
        let one = Load::one(self.category());
        match self {
            Self::Event(event) => load_of(event),
            // The root counts as a span too.
            Self::Transaction(record) => Load {
                spans: record.spans.len() as u64 + 1,
                #[cfg(profiles)]
                has_profile: record.profile.is_some(),
                ..one
            },
            Self::Spans(record) => Load { quantity: record.spans.len() as u64 + u64::from(record.has_ended()), ..one },
            Self::Log(line) => Load { bytes: line.size() as u64, ..one },
            Self::Metric(metric) => Load { bytes: metric.size() as u64, ..one },
            Self::Feedback(feedback) => Load { bytes: feedback.contexts.feedback.attached(), ..one },
            Self::CheckIn(_) => one,
            #[cfg(profiles)]
            Self::ProfileChunk(_) => one,
        }
    }

    /// Whether the item has attachments.
    pub(super) fn attaches(&self) -> bool {
        match self {
            Self::Event(event) => event.scope.set.has_attachments(),
            Self::Feedback(feedback) => !feedback.contexts.feedback.attachments.is_empty(),
            Self::CheckIn(_) | Self::Log(_) | Self::Metric(_) | Self::Spans(_) | Self::Transaction(_) => false,
            #[cfg(profiles)]
            Self::ProfileChunk(_) => false,
        }
    }

    /// Removes the attachments. Returns their bytes.
    pub(super) fn withhold_attachments(&mut self) -> u64 {
        match self {
            Self::Event(event) if event.scope.set.has_attachments() => {
                let bytes = event.attached();
                event.scope.set.clear_attachments();
                bytes
            }
            Self::Feedback(feedback) => {
                let feedback = &mut feedback.contexts.feedback;
                let bytes = feedback.attached();
                feedback.attachments.clear();
                bytes
            }
            _ => 0,
        }
    }

    /// Removes the profile of a transaction. Returns whether it had one.
    #[cfg(profiles)]
    pub(super) fn withhold_profile(&mut self) -> bool {
        let profile = if let Self::Transaction(record) = self { record.profile.take() } else { None };
        profile.is_some()
    }

    /// Notes how many others of its issue, its place or its name are not sent.
    pub(super) fn note_suppressed(&mut self, suppressed: Suppressed) {
        match self {
            Self::Event(event) => {
                event.captured.suppressed = Some(suppressed);
                event.scope.set.set_tag("tower_sentry.suppressed".into(), suppressed.count.to_string());
            }
            Self::Log(line) => line.suppressed = Some(suppressed),
            Self::Metric(metric) => metric.suppressed = Some(suppressed),
            Self::CheckIn(_) | Self::Feedback(_) | Self::Spans(_) | Self::Transaction(_) => {}
            #[cfg(profiles)]
            Self::ProfileChunk(_) => {}
        }
    }

    /// When it began or was captured, in nanoseconds since the epoch. None for a check-in.
    pub(super) fn began_at(&self) -> Option<u64> {
        match self {
            Self::Event(event) => Some(event.captured.at),
            Self::Transaction(record) | Self::Spans(record) => Some(record.started_at),
            Self::CheckIn(_) => None,
            Self::Feedback(feedback) => Some(feedback.timestamp.as_nanos()),
            Self::Log(line) => Some(line.at),
            Self::Metric(metric) => Some(metric.at),
            #[cfg(profiles)]
            Self::ProfileChunk(chunk) => Some(chunk.samples.began_at),
        }
    }

    /// The approximate number of bytes that the item holds.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Event(event) => event.size(),
            Self::Transaction(record) | Self::Spans(record) => record.size(),
            Self::CheckIn(_) => size_of::<CheckIn>(),
            Self::Feedback(feedback) => feedback.size(),
            Self::Log(line) => size_of::<LogLine>() + line.size(),
            Self::Metric(metric) => size_of::<MetricRecord>() + metric.size(),
            #[cfg(profiles)]
            Self::ProfileChunk(chunk) => chunk.samples.size(),
        }
    }
}
