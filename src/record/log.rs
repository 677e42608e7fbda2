//! An event of `tracing` with its encoded fields.

use tracing::Metadata;

use super::{FieldReader, FieldValue, Key};
use crate::protocol::{SpanId, TraceId};

/// An event of `tracing`.
#[derive(Debug)]
pub(crate) struct LogRecord {
    pub(crate) metadata: &'static Metadata<'static>,
    /// Its encoded fields.
    pub(crate) fields: Vec<u8>,
}

impl LogRecord {
    /// The target: for a record of the `log` crate the one that it was logged with.
    pub(crate) fn target(&self) -> &str {
        target(self.metadata, &self.fields)
    }

    /// The file of the code that logged it.
    pub(crate) fn file(&self) -> Option<&str> {
        match given(self.metadata, &self.fields, "log.file") {
            Some(FieldValue::Text(file)) => Some(file),
            _ => self.metadata.file(),
        }
    }

    /// The line of the code that logged it.
    pub(crate) fn line(&self) -> Option<u64> {
        match given(self.metadata, &self.fields, "log.line") {
            Some(FieldValue::U64(line)) => Some(line),
            _ => self.metadata.line().map(u64::from),
        }
    }
}

/// Whether an event of this callsite is a record of the `log` crate.
///
/// `tracing-log` gives all of them the target `log`, and puts the real one into a field.
#[inline]
pub(crate) fn is_of_log_crate(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "log" && metadata.fields().field(LOG_TARGET).is_some()
}

/// The field with the target of a record of the `log` crate.
pub(crate) const LOG_TARGET: &str = "log.target";

/// The target of an event with these encoded fields.
pub(crate) fn target<'a>(metadata: &'static Metadata<'static>, fields: &'a [u8]) -> &'a str {
    match given(metadata, fields, LOG_TARGET) {
        Some(FieldValue::Text(target)) => target,
        _ => metadata.target(),
    }
}

/// A field that `tracing-log` adds to a record of the `log` crate.
fn given<'a>(metadata: &'static Metadata<'static>, fields: &'a [u8], name: &str) -> Option<FieldValue<'a>> {
    if !is_of_log_crate(metadata) {
        return None;
    }
    let place = metadata.fields().field(name)?.index();
    FieldReader::new(fields).find(|(key, _)| matches!(key, Key::Index(index) if usize::from(*index) == place)).map(|(_, value)| value)
}

/// The events of one issue, or the logs of one place, that are not sent because there were too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suppressed {
    pub(crate) count: u64,
    /// When the first and the last of them were captured, in nanoseconds since the epoch.
    pub(crate) from: u64,
    pub(crate) to: u64,
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
    /// Others of its place that are not sent.
    pub(crate) suppressed: Option<Suppressed>,
}

impl LogLine {
    /// Returns the approximate size in bytes, at least one.
    pub(crate) fn size(&self) -> usize {
        self.log.fields.len().max(1) + self.user.as_ref().map_or(0, String::len)
    }
}
