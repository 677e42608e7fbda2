//! What was dropped before it left, and why.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A kind of telemetry that is counted and limited on its own.
///
/// The order is that of the server's table; only kinds that this crate sends are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Category {
    /// Error events and messages.
    Error,
    /// Transactions.
    Transaction,
    /// Spans: the children of a transaction and the transaction itself.
    Span,
    /// Files that ride on events, in bytes.
    Attachment,
    /// Sessions. They are counts already, and not counted again.
    Session,
    /// Check-ins of cron jobs.
    Monitor,
    /// What users say.
    Feedback,
    /// Structured logs.
    LogItem,
    /// The same, in bytes.
    LogByte,
    /// Client reports. Never limited, never counted.
    Internal,
}

impl Category {
    /// All that are counted.
    pub const COUNTED: [Self; 8] =
        [Self::Error, Self::Transaction, Self::Span, Self::Attachment, Self::Monitor, Self::Feedback, Self::LogItem, Self::LogByte];

    /// The word the protocol uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Transaction => "transaction",
            Self::Attachment => "attachment",
            Self::Session => "session",
            Self::Monitor => "monitor",
            Self::Feedback => "feedback",
            Self::LogItem => "log_item",
            Self::LogByte => "log_byte",
            Self::Span => "span",
            Self::Internal => "internal",
        }
    }
}

/// Why something was dropped, in the protocol's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DiscardReason {
    /// A `before_send*` hook returned nothing, or panicked.
    BeforeSend,
    /// A buffer in memory was full or gone: more spans than a transaction may have, spans after its end, a file that is too large.
    BufferOverflow,
    /// A rule of the user's says that such an error is none.
    EventProcessor,
    /// Serialising or compressing failed.
    InternalSdkError,
    /// The server could not be reached, up to the shutdown.
    NetworkError,
    /// The queue to the exporter was full.
    QueueOverflow,
    /// The server asked for silence.
    RatelimitBackoff,
    /// Sampling decided so.
    SampleRate,
    /// The server refused it.
    SendError,
}

impl DiscardReason {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::BeforeSend,
        Self::BufferOverflow,
        Self::EventProcessor,
        Self::InternalSdkError,
        Self::NetworkError,
        Self::QueueOverflow,
        Self::RatelimitBackoff,
        Self::SampleRate,
        Self::SendError,
    ];
}

/// The counts of what was dropped since the last report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClientReport {
    /// When the report was made.
    pub timestamp: Timestamp,
    /// One row per reason and category.
    pub discarded_events: Vec<DiscardedEvent>,
}

impl ClientReport {
    /// A report made now.
    pub fn new(discarded_events: Vec<DiscardedEvent>) -> Self {
        Self { timestamp: Timestamp::now(), discarded_events }
    }
}

/// One row of a [`ClientReport`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DiscardedEvent {
    /// Why.
    pub reason: DiscardReason,
    /// What.
    pub category: Category,
    /// How many.
    pub quantity: u64,
}

impl DiscardedEvent {
    /// A row.
    pub const fn new(reason: DiscardReason, category: Category, quantity: u64) -> Self {
        Self { reason, category, quantity }
    }
}
