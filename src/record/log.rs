//! An event of `tracing` with its encoded fields.

use tracing::Metadata;

use crate::protocol::{SpanId, TraceId};

/// An event of `tracing`.
#[derive(Debug)]
pub(crate) struct LogRecord {
    pub(crate) metadata: &'static Metadata<'static>,
    /// Its encoded fields.
    pub(crate) fields: Vec<u8>,
}

/// An event of `tracing` as a structured log.
#[derive(Debug)]
pub(crate) struct LogLine {
    /// Nanoseconds since the epoch.
    pub(crate) at: u64,
    pub(crate) log: LogRecord,
    pub(crate) trace_id: TraceId,
    /// The active span.
    pub(crate) span: Option<SpanId>,
    pub(crate) user: Option<String>,
}

impl LogLine {
    /// Returns the approximate size in bytes, at least one.
    pub(crate) fn size(&self) -> usize {
        self.log.fields.len().max(1) + self.user.as_ref().map_or(0, String::len)
    }
}
