//! Structured logs, as the protocol's container and as lines of the security log.

use serde::ser::{SerializeMap as _, SerializeStruct as _};
use serde::{Serialize, Serializer};
use tracing::Level;

use super::Facts;
use super::fields::log_fields;
use super::origin::Target;
use super::sql::{Dialect, is_query_text, without_values};
use super::time::readable;
use super::trusted::Constant;
use super::value::Attribute;
use crate::event::portable_path;
use crate::protocol::{SdkInfo, Timestamp};
use crate::record::{FieldReader, FieldValue, LogLine, LogRecord, Suppressed};

/// The logs of one envelope: written directly, or as a hook has left them.
pub(crate) struct LogsPayload<'a, T> {
    pub(crate) items: &'a [T],
}

impl<T: Serialize> Serialize for LogsPayload<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Logs", 2)?;
        // With version 2 the server does not infer an IP address or user agent from the sender.
        out.serialize_field("version", &2)?;
        out.serialize_field("items", self.items)?;
        out.end()
    }
}

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
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &given {
            match value {
                FieldValue::Text(text) if is_query_text(name) => {
                    map.serialize_entry(name, &TypedValue::from(FieldValue::Text(&without_values(text, Dialect::among(&given)))))?;
                }
                value => map.serialize_entry(name, &TypedValue::from(*value))?,
            }
        }
        // JSON must not repeat a key: the application's value wins.
        let mut own = |name: &'static str, value: FieldValue<'_>| {
            if given.iter().any(|(taken, _)| *taken == name) {
                Ok(())
            } else {
                map.serialize_entry(&Constant(name), &TypedValue::from(value))
            }
        };
        own("sentry.origin", FieldValue::Text("auto.log.tracing"))?;
        own("sentry.environment", FieldValue::Text(&facts.environment))?;
        own("sentry.sdk.name", FieldValue::Text(SdkInfo::NAME))?;
        own("sentry.sdk.version", FieldValue::Text(SdkInfo::VERSION))?;
        own("logger.name", FieldValue::Text(line.log.target()))?;
        let texts = [
            ("sentry.release", facts.release.as_deref()),
            ("server.address", facts.server_name.as_deref()),
            ("user.id", line.user.as_deref()),
            ("code.file.path", line.log.file().map(portable_path)),
        ];
        for (name, text) in texts {
            text.map_or(Ok(()), |text| own(name, FieldValue::Text(text)))?;
        }
        line.log.line().map_or(Ok(()), |number| own("code.line.number", FieldValue::U64(number)))?;
        if let Some(Suppressed { count, from, to }) = line.suppressed {
            own("tower_sentry.suppressed", FieldValue::U64(count))?;
            own("tower_sentry.suppressed_from", FieldValue::Text(&readable(from)))?;
            own("tower_sentry.suppressed_to", FieldValue::Text(&readable(to)))?;
        }
        map.end()
    }
}

/// A value with its type. A server drops values whose type is missing or wrong.
#[derive(Serialize)]
struct TypedValue<'a> {
    #[serde(rename = "type")]
    kind: Constant,
    value: FieldValue<'a>,
}

impl<'a> From<FieldValue<'a>> for TypedValue<'a> {
    fn from(value: FieldValue<'a>) -> Self {
        let kind = match value {
            FieldValue::Bool(_) => "boolean",
            FieldValue::I64(_) => "integer",
            FieldValue::U64(value) if i64::try_from(value).is_ok() => "integer",
            FieldValue::F64(value) if value.is_finite() => "double",
            FieldValue::U64(_) | FieldValue::F64(_) | FieldValue::Text(_) => "string",
            FieldValue::List(_) => "array",
        };
        Self { kind: Constant(kind), value }
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
