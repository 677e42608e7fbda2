//! Structured logs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AttributeValue, SpanId, Timestamp, TraceId, bounded};

/// A structured log, as [`before_send_log`](crate::ConfigBuilder::before_send_log) sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Log {
    /// The time when it was written.
    pub timestamp: Timestamp,
    /// The trace it belongs to. Logs outside any request share one trace per process.
    pub trace_id: TraceId,
    /// The active span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<SpanId>,
    /// The severity.
    pub level: LogLevel,
    /// The severity as OpenTelemetry's number, from 1 to 24.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity_number: Option<u8>,
    /// The message.
    pub body: String,
    /// Its fields, and the attributes of every log, such as `sentry.environment` and `logger.name`.
    #[serde(default)]
    pub attributes: BTreeMap<String, LogAttribute>,
}

/// The severity of a log. It is not a [`Level`](super::Level): logs say `warn`, while events say `warning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LogLevel {
    /// Finer than debugging.
    Trace,
    /// For debugging.
    Debug,
    /// Normal operation.
    Info,
    /// Something unusual.
    Warn,
    /// Something failed.
    Error,
    /// The process ends.
    Fatal,
}

/// The value of an attribute with its type. A server drops values whose type is missing or wrong.
///
/// # Examples
///
/// ```
/// use tower_sentry::protocol::LogAttribute;
///
/// assert_eq!(LogAttribute::new(7).kind, "integer");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogAttribute {
    /// `string`, `integer`, `double`, `boolean` or `array`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The value.
    pub value: Value,
    /// The unit, such as `millisecond`. Only the measurements of streamed spans have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl LogAttribute {
    /// Creates a value with its type. Numbers that a server cannot read become texts.
    #[expect(single_use_lifetimes, reason = "an elided one is unstable here")]
    pub fn new<'v>(value: impl Into<AttributeValue<'v>>) -> Self {
        let value = value.into();
        let kind = match &value {
            AttributeValue::Bool(_) => "boolean",
            AttributeValue::I64(_) => "integer",
            AttributeValue::U64(value) if i64::try_from(*value).is_ok() => "integer",
            AttributeValue::U64(value) => return Self { kind: "string".to_owned(), value: value.to_string().into(), unit: None },
            AttributeValue::F64(value) if value.is_finite() => "double",
            AttributeValue::F64(_) | AttributeValue::Text(_) => "string",
            AttributeValue::List(_) => "array",
        };
        Self { kind: kind.to_owned(), value: bounded(value.into()), unit: None }
    }

    /// Whether [`of_json`](Self::of_json) turns a JSON value into a text.
    pub(crate) fn is_text_of_json(value: &Value) -> bool {
        match value {
            Value::Object(_) => true,
            Value::Array(values) => !is_of_one_kind(values),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }

    /// A JSON value with its type. `None` for a value that is empty: such attributes are not sent.
    ///
    /// An object, a list with different types and a nested list become a JSON text.
    pub(crate) fn of_json(value: Value) -> Option<Self> {
        let kind = match &value {
            Value::Null => return None,
            Value::String(text) if text.is_empty() => return None,
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_i64() => "integer",
            Value::Number(number) if number.is_f64() => "double",
            Value::String(_) => "string",
            Value::Array(values) if is_of_one_kind(values) => "array",
            Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                return Some(Self { kind: "string".to_owned(), value: value.to_string().into(), unit: None });
            }
        };
        Some(Self { kind: kind.to_owned(), value, unit: None })
    }
}

/// Whether all values are texts, or all are flags, or all are numbers.
fn is_of_one_kind(values: &[Value]) -> bool {
    [Value::is_string, Value::is_boolean, Value::is_number].iter().any(|is_kind| values.iter().all(is_kind))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_value_of_json_has_a_type_that_servers_take() {
        let rows = [
            (json!(null), None),
            (json!(""), None),
            (json!("text"), Some(json!({"type": "string", "value": "text"}))),
            (json!(true), Some(json!({"type": "boolean", "value": true}))),
            (json!(-7), Some(json!({"type": "integer", "value": -7}))),
            (json!(u64::MAX), Some(json!({"type": "string", "value": u64::MAX.to_string()}))),
            (json!(0.5), Some(json!({"type": "double", "value": 0.5}))),
            (json!([]), Some(json!({"type": "array", "value": []}))),
            (json!(["a", "b"]), Some(json!({"type": "array", "value": ["a", "b"]}))),
            (json!([1, 0.5]), Some(json!({"type": "array", "value": [1, 0.5]}))),
            (json!(["a", 1]), Some(json!({"type": "string", "value": "[\"a\",1]"}))),
            (json!([["a"]]), Some(json!({"type": "string", "value": "[[\"a\"]]"}))),
            (json!({"a": 1}), Some(json!({"type": "string", "value": "{\"a\":1}"}))),
        ];
        for (value, expected) in rows {
            let shown = LogAttribute::of_json(value.clone()).map(|typed| serde_json::to_value(typed).unwrap());
            assert_eq!(shown, expected, "{value}");
        }
    }
}
