//! Structured logs, as the entries of the protocol's container and as lines of the security log.

use serde::ser::{SerializeMap as _, SerializeStruct as _};
use serde::{Serialize, Serializer};
use tracing::Level;

use super::Facts;
use super::container::typed_entries;
use super::fields::log_fields;
use super::origin::Target;
use super::sql::Dialect;
use super::trusted::Constant;
use super::value::Attribute;
use crate::event::portable_path;
use crate::protocol::Timestamp;
use crate::record::{FieldReader, FieldValue, LogLine, LogRecord};

/// One log.
pub(crate) struct LogPayload<'a> {
    pub(crate) line: &'a LogLine,
    pub(crate) facts: &'a Facts,
}

impl Serialize for LogPayload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let line = self.line;
        let (level, severity) = level(*line.log.metadata.level());
        let mut out = serializer.serialize_struct("Log", 7)?;
        out.serialize_field("timestamp", &Timestamp::from_nanos(line.at))?;
        out.serialize_field("trace_id", &line.trace_id)?;
        if let Some(span) = &line.span {
            out.serialize_field("span_id", span)?;
        }
        out.serialize_field("level", &Constant(level))?;
        out.serialize_field("severity_number", &severity)?;
        out.serialize_field("body", body(&line.log).unwrap_or_else(|| line.log.metadata.name()))?;
        out.serialize_field("attributes", &LogAttributes(self))?;
        out.end()
    }
}

/// Returns the protocol's word for a level, and OpenTelemetry's number.
///
/// Logs say `warn`, while events say `warning`.
fn level(level: Level) -> (&'static str, u8) {
    match level {
        Level::TRACE => ("trace", 1),
        Level::DEBUG => ("debug", 5),
        Level::INFO => ("info", 9),
        Level::WARN => ("warn", 13),
        Level::ERROR => ("error", 17),
    }
}

fn body(LogRecord { metadata, fields }: &LogRecord) -> Option<&str> {
    FieldReader::new(fields).find_map(|(key, value)| match value {
        FieldValue::Text(text) if key.name(Some(metadata.fields())) == Some("message") => Some(text),
        _ => None,
    })
}

/// The fields of a log with their types, and the attributes that every log has.
struct LogAttributes<'a>(&'a LogPayload<'a>);

impl Serialize for LogAttributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let LogPayload { line, facts } = self.0;
        let given = log_fields(&line.log);
        let mut entries = typed_entries(serializer.serialize_map(None)?, &given)?;
        entries.add_text("sentry.origin", Some("auto.log.tracing"))?;
        entries.add_text("logger.name", Some(line.log.target()))?;
        entries.add_facts(facts, line.user.as_deref())?;
        entries.add_text("code.file.path", line.log.file().map(portable_path))?;
        line.log.line().map_or(Ok(()), |number| entries.add_typed("code.line.number", FieldValue::U64(number)))?;
        entries.add_suppressed(line.suppressed)?;
        entries.map.end()
    }
}

/// A line of the security log.
pub(crate) struct LinePayload<'a>(pub(crate) &'a LogLine);

impl Serialize for LinePayload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let line = self.0;
        let metadata = line.log.metadata;
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(line.at);
        let mut out = serializer.serialize_struct("Line", 7)?;
        out.serialize_field("timestamp", &format_args!("{}", humantime::format_rfc3339_micros(at)))?;
        out.serialize_field("level", &Constant(level(*metadata.level()).0))?;
        out.serialize_field("target", &Target(metadata, &line.log.fields))?;
        if let Some(message) = body(&line.log) {
            out.serialize_field("message", message)?;
        }
        out.serialize_field("trace_id", &line.trace_id)?;
        if let Some(user) = &line.user {
            out.serialize_field("user_id", user)?;
        }
        out.serialize_field("fields", &LineFields(&line.log))?;
        out.end()
    }
}

struct LineFields<'a>(&'a LogRecord);

impl Serialize for LineFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let fields = log_fields(self.0);
        let dialect = Dialect::among(&fields);
        for (name, value) in fields {
            map.serialize_entry(name, &Attribute(name, value, dialect))?;
        }
        map.end()
    }
}
