//! Hides secrets in objects before they become flat attributes: afterwards, the names above a value are not known.

use serde::Serialize;
use serde_json::{Map, Value};

use super::place::ValuePlace;
use super::{Redactor, serializer};
use crate::protocol::LogAttribute;

impl Redactor {
    /// The contexts of a payload, without their secrets.
    pub(crate) fn contexts(&self, contexts: &impl Serialize) -> Map<String, Value> {
        self.object(contexts, ValuePlace::Groups)
    }

    /// The further fields of a user, without their secrets.
    pub(crate) fn user(&self, fields: &Map<String, Value>) -> Map<String, Value> {
        self.object(fields, ValuePlace::User)
    }

    /// Tags, or the attributes of a span, without their secrets.
    pub(crate) fn fields(&self, fields: &impl Serialize) -> Map<String, Value> {
        self.object(fields, ValuePlace::Open)
    }

    /// Hides the secrets of those values that become JSON texts. The other values are judged when they are sent.
    pub(crate) fn hide_in_nested(&self, attributes: &mut Map<String, Value>) {
        let is_nested = |value: &Value| LogAttribute::is_text_of_json(value);
        if attributes.values().any(is_nested) {
            let (nested, flat): (Map<_, _>, Map<_, _>) = std::mem::take(attributes).into_iter().partition(|(_, value)| is_nested(value));
            *attributes = flat;
            attributes.extend(self.fields(&nested));
        }
    }

    /// An object as it is sent in `place`. It would be empty if it could not be written as JSON, but all our values
    /// can.
    fn object(&self, object: &impl Serialize, place: ValuePlace) -> Map<String, Value> {
        let mut json = Vec::new();
        serializer::write(self, object, place, &mut json).and_then(|()| serde_json::from_slice(&json)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::Redaction;
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else { panic!("an object") };
        object
    }

    #[test]
    fn only_nested_values_are_judged_early() {
        let redactor = Redactor::new(Arc::default(), false);
        let mut attributes = object(json!({
            "form": {"pw": {"old": "hunter2"}}, "steps": [1, {"password": "hunter2"}], "http.request.header.cookie": ["theme=dark", "session=8f14e45f"], "n": 7
        }));

        redactor.hide_in_nested(&mut attributes);

        let expected = json!({
            "form": {"pw": "[Filtered]"}, "steps": [1, {"password": "[Filtered]"}], "http.request.header.cookie": ["theme=dark", "session=8f14e45f"], "n": 7
        });
        assert_eq!(Value::Object(attributes), expected);
    }

    #[test]
    fn what_the_rules_remove_is_gone() {
        let redactor = Redactor::new(Arc::new(Redaction::default().remove_fields()), false);

        let contexts = redactor.contexts(&json!({"last_login": {"password": "hunter2", "at": "noon"}}));

        assert_eq!(Value::Object(contexts), json!({"last_login": {"at": "noon"}}));
    }
}
