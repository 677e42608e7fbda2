//! Serializes to redacted JSON.
//!
//! One serde `Serializer` judges each value by its place and its name while it writes.
//!
//! Structs are our own: their field names are kept, and say the place of what is below them. Keys of
//! maps come from the user and are judged by name. Every text is scanned for secret shapes, unless
//! its place contains only our own text. Unit variants are words of the protocol or texts of the
//! program; they are written as they are.
//!
//! This does not wrap `serde_json`, because the scan for secrets also finds the bytes to escape.
//! With an adapter around the library, an envelope of five spans took 272,000 instructions.

use std::fmt::Display;

use serde::ser::{Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple};
use serde::{Serialize, Serializer};
use serde_json::{Error, Result};

use super::Redactor;
use super::json::{Json, unused};
use super::key::{KeyWriter, WrittenKey};
use super::place::ValuePlace;

/// Appends a redacted value to a buffer.
pub(super) fn write(redactor: &Redactor, value: &impl Serialize, place: ValuePlace, out: &mut Vec<u8>) -> Result<()> {
    value.serialize(ValueWriter { json: &mut Json { redactor, out }, place })
}

/// One value and its place.
pub(super) struct ValueWriter<'a, 'r> {
    json: &'a mut Json<'r>,
    place: ValuePlace,
}

macro_rules! number {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<()> {
            serde_json::to_writer(&mut *self.json.out, &value)
        }
    )*};
}

impl<'a, 'r> Serializer for ValueWriter<'a, 'r> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = ListWriter<'a, 'r>;
    type SerializeTuple = ListWriter<'a, 'r>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = MapWriter<'a, 'r>;
    type SerializeStruct = StructWriter<'a, 'r>;
    type SerializeStructVariant = Impossible<(), Error>;

    number!(
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_u8: u8, serialize_u16: u16,
        serialize_u32: u32, serialize_u64: u64, serialize_f32: f32, serialize_f64: f64
    );

    fn serialize_bool(self, value: bool) -> Result<()> {
        self.json.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<()> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<()> {
        self.json.judged(value, self.place);
        Ok(())
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<()> {
        self.serialize_str(&value.to_string())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<()> {
        // No payload of the protocol contains bytes; as text they can be judged.
        self.serialize_str(&String::from_utf8_lossy(value))
    }

    fn serialize_none(self) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<()> {
        self.json.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<()> {
        self.serialize_unit()
    }

    /// Writes a word of the protocol, or a text of the program without anything to escape.
    #[inline]
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<()> {
        self.json.plain(variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(self, _: &'static str, _: u32, variant: &'static str, value: &T) -> Result<()> {
        self.json.out.push(b'{');
        self.json.plain(variant);
        self.json.out.push(b':');
        value.serialize(ValueWriter { json: &mut *self.json, place: ValuePlace::Open })?;
        self.json.out.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<ListWriter<'a, 'r>> {
        self.json.out.push(b'[');
        Ok(ListWriter { json: self.json, place: self.place, is_first: true })
    }

    fn serialize_tuple(self, len: usize) -> Result<ListWriter<'a, 'r>> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct> {
        Err(unused())
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self::SerializeTupleVariant> {
        Err(unused())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<MapWriter<'a, 'r>> {
        self.json.out.push(b'{');
        Ok(MapWriter { json: self.json, place: self.place, key: NO_KEY, is_first: true, entry: 0 })
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<StructWriter<'a, 'r>> {
        // `serde_json` sends numbers this way if any crate enables `arbitrary_precision`.
        if name == "$serde_json::private::Number" {
            return Ok(StructWriter { json: self.json, place: ValuePlace::Digits, is_first: true });
        }
        self.json.out.push(b'{');
        Ok(StructWriter { json: self.json, place: self.place, is_first: true })
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self::SerializeStructVariant> {
        Err(unused())
    }
}

/// A list.
pub(super) struct ListWriter<'a, 'r> {
    json: &'a mut Json<'r>,
    place: ValuePlace,
    is_first: bool,
}

impl SerializeSeq for ListWriter<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.json.comma(&mut self.is_first);
        value.serialize(ValueWriter { json: self.json, place: self.place })
    }

    fn end(self) -> Result<()> {
        self.json.out.push(b']');
        Ok(())
    }
}

impl SerializeTuple for ListWriter<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Result<()> {
        SerializeSeq::end(self)
    }
}

/// One of our own structs.
pub(super) struct StructWriter<'a, 'r> {
    json: &'a mut Json<'r>,
    /// `Digits` for a number in the form of a struct.
    place: ValuePlace,
    is_first: bool,
}

impl SerializeStruct for StructWriter<'_, '_> {
    type Ok = ();
    type Error = Error;

    // Inlined, so that names and places are constants: this saves 150 instructions for each field,
    // and there are a hundred.
    #[expect(clippy::inline_always, reason = "see above")]
    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<()> {
        if self.place != ValuePlace::Digits {
            self.json.comma(&mut self.is_first);
            self.json.plain(name);
            self.json.out.push(b':');
        }
        value.serialize(ValueWriter { json: self.json, place: self.place.field(name) })
    }

    fn end(self) -> Result<()> {
        if self.place != ValuePlace::Digits {
            self.json.out.push(b'}');
        }
        Ok(())
    }
}

/// The key before the first entry.
const NO_KEY: WrittenKey = WrittenKey { value_place: ValuePlace::Open, hides_value: false };

/// A user's map.
pub(super) struct MapWriter<'a, 'r> {
    json: &'a mut Json<'r>,
    place: ValuePlace,
    /// The current key.
    key: WrittenKey,
    is_first: bool,
    /// Where the current entry begins.
    entry: usize,
}

impl MapWriter<'_, '_> {
    /// Removes the name of the current entry.
    #[cold]
    fn remove_entry(&mut self) {
        self.json.out.truncate(self.entry);
        self.is_first = self.json.out.ends_with(b"{");
    }

    /// Writes the replacement of a value.
    fn hidden(&mut self) {
        // Servers discard values without a type beside them.
        let (before, after): (&[u8], &[u8]) = match self.place {
            ValuePlace::Typed => (b"{\"type\":\"string\",\"value\":", b"}"),
            // A group must be an object.
            ValuePlace::Groups => (b"{\"value\":", b"}"),
            _ => (b"", b""),
        };
        self.json.out.extend_from_slice(before);
        self.json.escaped(self.json.redactor.placeholder());
        self.json.out.extend_from_slice(after);
    }
}

impl SerializeMap for MapWriter<'_, '_> {
    type Ok = ();
    type Error = Error;

    // Inlined, so that constant names are copied as such; this saves 50 instructions per entry.
    #[expect(clippy::inline_always, reason = "see above")]
    #[inline(always)]
    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(&mut self, key: &K, value: &V) -> Result<()> {
        self.serialize_key(key)?;
        self.serialize_value(value)
    }

    #[expect(clippy::inline_always, reason = "as the entry")]
    #[inline(always)]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.entry = self.json.out.len();
        self.json.comma(&mut self.is_first);
        self.key = key.serialize(KeyWriter { json: self.json, place: self.place })?;
        Ok(())
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        if self.key.hides_value && self.json.redactor.rules.removes_fields {
            self.remove_entry();
            return Ok(());
        }
        self.json.out.push(b':');
        if self.key.hides_value {
            self.hidden();
            return Ok(());
        }
        value.serialize(ValueWriter { json: self.json, place: self.key.value_place })
    }

    fn end(self) -> Result<()> {
        self.json.out.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
pub(crate) fn redact_json(rules: super::Redaction, value: &impl Serialize) -> String {
    let mut buffer = Vec::new();
    let redactor = Redactor::new(std::sync::Arc::new(rules), false);
    write(&redactor, value, ValuePlace::Open, &mut buffer)
        .map_or_else(|error| error.to_string(), |()| String::from_utf8_lossy(&buffer).into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Redaction, redact_json};
    use crate::protocol::{Request, User};

    #[test]
    fn names_hide_values_of_any_type_at_any_depth() {
        let given = json!({"user": {"cards": [{"cvv": 123, "holder": "Jane"}]}, "api_key": ["a", "b"], "page": 2, "note": "token=abc"});

        let clean = redact_json(Redaction::default(), &given);

        assert_eq!(
            clean,
            r#"{"api_key":"[Filtered]","note":"token=[Filtered]","page":2,"user":{"cards":[{"cvv":"[Filtered]","holder":"Jane"}]}}"#
        );
    }

    #[test]
    fn a_request_is_judged_place_by_place() {
        #[derive(serde::Serialize)]
        struct Event {
            request: Request,
        }
        let mut request =
            Request { url: Some("http://me:pw@shop/cart".to_owned()), query_string: Some("sig=1&a=2".to_owned()), ..Request::default() };
        for (name, value) in
            [("authorization", "Bearer x"), ("x-forwarded-for", "1.2.3.4"), ("accept", "*/*"), ("referer", "http://shop/?code=abc")]
        {
            request.headers.insert(name.to_owned(), value.to_owned());
        }

        let clean = redact_json(Redaction::default(), &Event { request });

        assert_eq!(
            clean,
            r#"{"request":{"url":"http://[Filtered]:[Filtered]@shop/cart","query_string":"sig=[Filtered]&a=2","headers":{"accept":"*/*","authorization":"[Filtered]","referer":"http://shop/?code=[Filtered]","x-forwarded-for":"[Filtered]"}}}"#
        );
    }

    #[test]
    fn user_rules_apply_as_well() {
        let rules = Redaction::default().field("iban").placeholder("[REDACTED]").token_placeholder("[LONG]").token_length(20);

        let clean = redact_json(rules, &json!({"customerIban": "DE02", "password": "x", "id": "abcdefghij0123456789"}));

        assert_eq!(clean, r#"{"customerIban":"[REDACTED]","id":"[LONG]","password":"[REDACTED]"}"#);
    }

    #[test]
    fn remove_fields_removes_names_and_values() {
        let given =
            json!({"api_key": 1, "b": {"token": {"c": 1}}, "cards": [{"cvv": 1, "holder": "Jane"}, {"a": 1, "pin": 2}], "password": ""});

        let clean = redact_json(Redaction::default().remove_fields(), &given);

        assert_eq!(clean, r#"{"b":{},"cards":[{"holder":"Jane"},{"a":1}]}"#);
    }

    #[test]
    fn a_secret_that_is_a_name_itself_is_hidden() {
        let long = "a1".repeat(32);
        for secret in [&*long, "4111111111111111", "AKIAIOSFODNN7EXAMPLE"] {
            let clean = redact_json(Redaction::default(), &json!({ secret: 1, "x-request-id": 2 }));

            assert!(!clean.contains(secret) && clean.contains(r#""x-request-id":2"#), "{clean}");
        }
    }

    #[test]
    fn a_group_with_a_secret_name_is_hidden_as_a_whole() {
        #[derive(serde::Serialize)]
        struct Event {
            contexts: crate::protocol::Contexts,
        }
        let mut contexts = crate::protocol::Contexts::default();
        contexts.other.insert("password".to_owned(), json!({"value": "hunter2"}));
        contexts.other.insert("order".to_owned(), json!({"id": 7}));
        // These names say what the group is about.
        contexts.other.insert("session".to_owned(), json!({"length": 7}));
        contexts.other.insert("auth".to_owned(), json!({"method": "oidc"}));
        let clean = redact_json(Redaction::default(), &Event { contexts });

        assert_eq!(
            clean,
            r#"{"contexts":{"auth":{"method":"oidc"},"order":{"id":7},"password":{"value":"[Filtered]"},"session":{"length":7}}}"#
        );
    }

    #[test]
    fn a_users_fields_are_judged_like_any_map() {
        let clean = redact_json(Redaction::default(), &User::id(7).field("session_token", "abc").field("plan", "gold"));

        assert_eq!(clean, r#"{"id":"7","plan":"gold","session_token":"[Filtered]"}"#);
    }
}
