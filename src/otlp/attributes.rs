//! Attributes: their names by OpenTelemetry's semantic conventions, and their values in OTLP.

use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use serde_json::{Map, Number, Value};

use super::status::GRPC;

/// Names that applications still use, and the current ones.
const RENAMED: [(&str, &str); 20] = [
    ("code.filepath", "code.file.path"),
    ("code.function", "code.function.name"),
    ("code.lineno", "code.line.number"),
    ("db.mongodb.collection", "db.collection.name"),
    ("db.name", "db.namespace"),
    ("db.operation", "db.operation.name"),
    ("db.sql.table", "db.collection.name"),
    ("db.statement", "db.query.text"),
    ("db.system", "db.system.name"),
    ("http.client_ip", "client.address"),
    ("http.flavor", "network.protocol.version"),
    ("http.method", "http.request.method"),
    ("http.scheme", "url.scheme"),
    ("http.status_code", "http.response.status_code"),
    ("http.url", "url.full"),
    ("http.user_agent", "user_agent.original"),
    ("messaging.destination", "messaging.destination.name"),
    ("net.peer.name", "server.address"),
    ("net.peer.port", "server.port"),
    ("rpc.system", "rpc.system.name"),
];

/// Gives attributes their current names. An attribute that has the current name already wins.
pub(super) fn rename(attributes: &mut Map<String, Value>) {
    for (old, current) in RENAMED {
        if let Some(value) = attributes.remove(old) {
            attributes.entry(current).or_insert(value);
        }
    }
    if let Some(code) = attributes.remove("rpc.grpc.status_code") {
        let name = code.as_u64().and_then(|code| GRPC.get(usize::try_from(code).ok()?));
        let value = name.map_or_else(|| Value::from(code.to_string()), |name| Value::from(*name));
        attributes.entry("rpc.response.status_code").or_insert(value);
    }
}

/// Sets an attribute, unless there is one of this name.
pub(super) fn add(attributes: &mut Map<String, Value>, name: impl Into<String>, value: impl Into<Value>) {
    attributes.entry(name).or_insert_with(|| value.into());
}

/// The attributes for the wire. Those without a value are left out.
pub(super) fn encoded(attributes: Map<String, Value>) -> Vec<KeyValue> {
    attributes.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| pair(key, value)).collect()
}

fn pair(key: String, value: Value) -> KeyValue {
    KeyValue { key, value: Some(any(value)), ..KeyValue::default() }
}

fn any(value: Value) -> AnyValue {
    let value = match value {
        Value::Null => None,
        Value::Bool(value) => Some(OtlpValue::BoolValue(value)),
        Value::Number(number) => Some(numeric(&number)),
        Value::String(text) => Some(OtlpValue::StringValue(text)),
        Value::Array(values) => Some(OtlpValue::ArrayValue(ArrayValue { values: values.into_iter().map(any).collect() })),
        Value::Object(fields) => {
            Some(OtlpValue::KvlistValue(KeyValueList { values: fields.into_iter().map(|(key, value)| pair(key, value)).collect() }))
        }
    };
    AnyValue { value }
}

fn numeric(number: &Number) -> OtlpValue {
    match (number.as_i64(), number.as_f64()) {
        (Some(integer), _) => OtlpValue::IntValue(integer),
        (None, Some(double)) if number.is_f64() => OtlpValue::DoubleValue(double),
        // Larger than OTLP's integers. A double would change its last digits.
        _ => OtlpValue::StringValue(number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn renamed(attributes: Value) -> Value {
        let Value::Object(mut attributes) = attributes else { panic!("an object") };
        rename(&mut attributes);
        attributes.into()
    }

    #[test]
    fn old_names_become_current_ones() {
        for (old, current) in RENAMED {
            assert_eq!(renamed(json!({ old: "a" })), json!({ current: "a" }));
            assert_eq!(renamed(json!({ old: "a", current: "b" })), json!({ current: "b" }), "the current name wins");
        }
    }

    #[test]
    fn a_code_of_grpc_becomes_its_name() {
        assert_eq!(renamed(json!({"rpc.grpc.status_code": 4})), json!({"rpc.response.status_code": "DEADLINE_EXCEEDED"}));
        assert_eq!(renamed(json!({"rpc.grpc.status_code": 99})), json!({"rpc.response.status_code": "99"}));
    }

    #[test]
    fn each_value_keeps_its_type() {
        let Value::Object(attributes) =
            json!({"a": true, "b": -7, "c": 1.5, "d": "x", "e": ["y", 1], "f": {"g": 2}, "h": null, "i": u64::MAX})
        else {
            panic!("an object")
        };

        let encoded = encoded(attributes);

        let value = |name: &str| encoded.iter().find(|pair| pair.key == name).and_then(|pair| pair.value.clone()?.value);
        let text = |text: &str| Some(OtlpValue::StringValue(text.to_owned()));
        assert_eq!(value("a"), Some(OtlpValue::BoolValue(true)));
        assert_eq!(value("b"), Some(OtlpValue::IntValue(-7)));
        assert_eq!(value("c"), Some(OtlpValue::DoubleValue(1.5)));
        assert_eq!(value("d"), text("x"));
        assert!(matches!(value("e"), Some(OtlpValue::ArrayValue(list)) if list.values.len() == 2));
        assert!(matches!(value("f"), Some(OtlpValue::KvlistValue(list)) if list.values.len() == 1));
        assert_eq!((encoded.len(), value("h"), value("i")), (8 - 1, None, text("18446744073709551615")));
    }
}
