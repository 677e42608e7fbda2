//! Client reports: counts of dropped data, with the reasons.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A kind of data that is counted and rate-limited separately.
///
/// The order is that of the server's table. Only categories that this crate uses are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Category {
    /// Error events and messages.
    Error,
    /// Transactions.
    Transaction,
    /// Spans: the children of a transaction and the transaction itself.
    Span,
    /// Files attached to events, in bytes.
    Attachment,
    /// Sessions.
    ///
    /// They are counts themselves and are not counted again.
    Session,
    /// Check-ins of cron jobs.
    Monitor,
    /// User feedback.
    Feedback,
    /// Structured logs.
    LogItem,
    /// Structured logs, in bytes.
    LogByte,
    /// Metrics.
    TraceMetric,
    /// Metrics, in bytes.
    TraceMetricByte,
    /// Profiles of transactions.
    Profile,
    /// Chunks of the profiles of sessions.
    ProfileChunk,
    /// Client reports.
    ///
    /// They are neither limited nor counted.
    Internal,
}

impl Category {
    /// All categories that are counted.
    pub(crate) const COUNTED: &'static [Self] = &[
        Self::Error,
        Self::Transaction,
        Self::Span,
        Self::Attachment,
        Self::Monitor,
        Self::Feedback,
        Self::LogItem,
        Self::LogByte,
        Self::TraceMetric,
        Self::TraceMetricByte,
        #[cfg(profiles)]
        Self::Profile,
        #[cfg(profiles)]
        Self::ProfileChunk,
    ];

    /// The name in the protocol.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Transaction => "transaction",
            Self::Attachment => "attachment",
            Self::Session => "session",
            Self::Monitor => "monitor",
            Self::Feedback => "feedback",
            Self::LogItem => "log_item",
            Self::LogByte => "log_byte",
            Self::TraceMetric => "trace_metric",
            Self::TraceMetricByte => "trace_metric_byte",
            Self::Profile => "profile",
            Self::ProfileChunk => "profile_chunk",
            Self::Span => "span",
            Self::Internal => "internal",
        }
    }
}

/// The reason why data was dropped, as named in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DiscardReason {
    /// A limit was reached: there were too many events of one issue, logs of one place in the code or values of
    /// one metric, a budget was used up, or the delivery was behind.
    ///
    /// See [`max_events_per_issue`](crate::ConfigBuilder::max_events_per_issue),
    /// [`max_logs_per_callsite`](crate::ConfigBuilder::max_logs_per_callsite),
    /// [`max_metrics_per_name`](crate::ConfigBuilder::max_metrics_per_name),
    /// [`budget`](crate::ConfigBuilder::budget) and
    /// [`backpressure`](crate::ConfigBuilder::backpressure).
    Backpressure,
    /// A `before_send*` hook returned `None`.
    ///
    /// Also counts spans that the hook removed or that are shorter than `min_span_duration`, and
    /// files that were withheld because the hook panicked.
    BeforeSend,
    /// A buffer in memory was full or already closed.
    ///
    /// For example: too many spans in a transaction, spans after its end, too many logs or metrics, or a
    /// file that is too large.
    BufferOverflow,
    /// The spool was full, or the data was in it for more than 24 hours.
    ///
    /// See [`spool_dir`](crate::ConfigBuilder::spool_dir).
    CacheOverflow,
    /// A user rule ignores the error; see
    /// [`ignore_error_types`](crate::ConfigBuilder::ignore_error_types) and the methods below it.
    ///
    /// Also counts an id that [`CaptureError::event_id`](crate::CaptureError::event_id) returned, if the
    /// response did not fail, and the logs of an attempt whose error is not reported.
    EventProcessor,
    /// A profile with fewer than two samples: its transaction hardly used the processor.
    InsufficientData,
    /// Serialising or compressing failed, or the exporter ended unexpectedly.
    InternalSdkError,
    /// A metric whose value is not finite, or whose name is empty or longer than 255 bytes.
    Invalid,
    /// The server could not be reached, or did not answer, until the retries or the process ended.
    ///
    /// Also counts items without a receiver: if there is an OpenTelemetry collector and no DSN, only spans
    /// have one.
    NetworkError,
    /// The queue to the exporter was full.
    QueueOverflow,
    /// The server's rate limit was reached.
    RatelimitBackoff,
    /// The data was not sampled, or exceeded the limit on events for failed responses.
    SampleRate,
    /// The server rejected the data, or the transport function panicked.
    SendError,
}

impl DiscardReason {
    /// All reasons that this version can report, in alphabetical order.
    pub const ALL: &'static [Self] = &[
        Self::Backpressure,
        Self::BeforeSend,
        Self::BufferOverflow,
        Self::CacheOverflow,
        Self::EventProcessor,
        Self::InsufficientData,
        Self::InternalSdkError,
        Self::Invalid,
        Self::NetworkError,
        Self::QueueOverflow,
        Self::RatelimitBackoff,
        Self::SampleRate,
        Self::SendError,
    ];
}

/// Counts of data that was dropped since the last report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClientReport {
    /// The time of the report.
    pub timestamp: Timestamp,
    /// One row for each reason and category.
    pub discarded_events: Vec<DiscardedEvent>,
}

impl ClientReport {
    /// Creates a report with the current time.
    pub(crate) fn new(discarded_events: Vec<DiscardedEvent>) -> Self {
        Self { timestamp: Timestamp::now(), discarded_events }
    }
}

/// One row of a [`ClientReport`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DiscardedEvent {
    /// The reason.
    pub reason: DiscardReason,
    /// The category.
    pub category: Category,
    /// The number of items, or of bytes for categories in bytes.
    pub quantity: u64,
}

impl DiscardedEvent {
    /// Creates a row.
    pub(crate) const fn new(reason: DiscardReason, category: Category, quantity: u64) -> Self {
        Self { reason, category, quantity }
    }
}
