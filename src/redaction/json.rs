//! Serializes to redacted JSON.
//!
//! One serde `Serializer` judges each value by its place and its name while it writes.
//!
//! Structs are our own and keep their field names. Keys of maps come from the user and are judged
//! by name. Every text is scanned for secret shapes, unless its place contains only our own text
//! (ids, words of the protocol).
//!
//! This does not wrap `serde_json`, because the scan for secrets also finds the bytes to escape.
//! With an adapter around the library, an envelope of five spans took 272,000 instructions.

use std::fmt::Display;

use serde::ser::{Error as _, Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple};
use serde::{Serialize, Serializer};
use serde_json::{Error, Result};

use super::place::{Place, StructPlaces};
use super::text::Json;
use super::{Redactor, key};

/// The newtype that payloads put around the digits of an id; they are not scanned.
pub(crate) const ID: &str = "tower_sentry::Id";
/// The enum whose variants are texts of the program (modules, files, field names), judged once.
pub(crate) const COMPILED: &str = "tower_sentry::Compiled";

/// Appends a redacted value to a buffer.
pub(super) fn write(redactor: &Redactor, value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) -> Result<()> {
    value.serialize(Value { json: &mut Json::new(redactor, out), place: Place::Open })
}

/// One value and its place.
pub(super) struct Value<'a, 'r> {
    json: &'a mut Json<'r>,
    place: Place,
}

macro_rules! number {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<()> {
            serde_json::to_writer(&mut *self.json.out, &value)
        }
    )*};
}

impl<'a, 'r> Serializer for Value<'a, 'r> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = List<'a, 'r>;
    type SerializeTuple = List<'a, 'r>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Map<'a, 'r>;
    type SerializeStruct = Struct<'a, 'r>;
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

    /// Writes a word of the protocol or a text of the program.
    #[inline]
    fn serialize_unit_variant(self, name: &'static str, _: u32, variant: &'static str) -> Result<()> {
        if name == COMPILED {
            self.json.compiled(variant);
        } else {
            self.json.plain(variant);
        }
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<()> {
        let place = match name {
            ID => Place::Id,
            _ => self.place,
        };
        value.serialize(Value { place, ..self })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(self, _: &'static str, _: u32, variant: &'static str, value: &T) -> Result<()> {
        self.json.out.push(b'{');
        self.json.plain(variant);
        self.json.out.push(b':');
        value.serialize(Value { json: &mut *self.json, place: Place::Open })?;
        self.json.out.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'a, 'r>> {
        self.json.out.push(b'[');
        Ok(List { json: self.json, place: self.place, is_first: true })
    }

    fn serialize_tuple(self, len: usize) -> Result<List<'a, 'r>> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct> {
        Err(unused())
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self::SerializeTupleVariant> {
        Err(unused())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Map<'a, 'r>> {
        self.json.out.push(b'{');
        Ok(Map { json: self.json, place: self.place, value_place: Place::Open, is_hidden: false, is_first: true, entry: 0 })
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Struct<'a, 'r>> {
        // `serde_json` sends numbers this way if any crate enables `arbitrary_precision`.
        if name == "$serde_json::private::Number" {
            return Ok(Struct { json: self.json, places: None, is_first: true });
        }
        self.json.out.push(b'{');
        // The value of a typed attribute is one level deeper than its name.
        let places = if name == "Attribute" { StructPlaces::Attribute(self.place) } else { StructPlaces::of(name) };
        Ok(Struct { json: self.json, places: Some(places), is_first: true })
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self::SerializeStructVariant> {
        Err(unused())
    }
}

/// The error for forms that no payload uses.
///
/// A user's `Serialize` never gets here: contexts become JSON values when they are set.
pub(super) fn unused() -> Error {
    Error::custom("no payload has this form")
}

/// A list.
pub(super) struct List<'a, 'r> {
    json: &'a mut Json<'r>,
    place: Place,
    is_first: bool,
}

impl SerializeSeq for List<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.json.comma(&mut self.is_first);
        value.serialize(Value { json: self.json, place: self.place })
    }

    fn end(self) -> Result<()> {
        self.json.out.push(b']');
        Ok(())
    }
}

impl SerializeTuple for List<'_, '_> {
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
pub(super) struct Struct<'a, 'r> {
    json: &'a mut Json<'r>,
    /// `None` for a number in the form of a struct.
    places: Option<StructPlaces>,
    is_first: bool,
}

impl SerializeStruct for Struct<'_, '_> {
    type Ok = ();
    type Error = Error;

    // Inlined, so that names and places are constants: this saves 150 instructions for each field,
    // and there are a hundred.
    #[expect(clippy::inline_always, reason = "see above")]
    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<()> {
        let Some(places) = self.places else { return value.serialize(Value { json: self.json, place: Place::Digits }) };
        self.json.comma(&mut self.is_first);
        self.json.plain(name);
        self.json.out.push(b':');
        value.serialize(Value { json: self.json, place: places.field(name) })
    }

    fn end(self) -> Result<()> {
        if self.places.is_some() {
            self.json.out.push(b'}');
        }
        Ok(())
    }
}

/// A user's map.
pub(super) struct Map<'a, 'r> {
    pub(super) json: &'a mut Json<'r>,
    pub(super) place: Place,
    pub(super) value_place: Place,
    pub(super) is_hidden: bool,
    is_first: bool,
    /// Where the current entry begins.
    entry: usize,
}

impl Map<'_, '_> {
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
            Place::Typed => (b"{\"type\":\"string\",\"value\":", b"}"),
            // A group must be an object.
            Place::Groups => (b"{\"value\":", b"}"),
            _ => (b"", b""),
        };
        self.json.out.extend_from_slice(before);
        self.json.escaped(self.json.redactor.placeholder());
        self.json.out.extend_from_slice(after);
    }
}

impl SerializeMap for Map<'_, '_> {
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
        key.serialize(key::Key { map: self })
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        if self.is_hidden && self.json.redactor.rules.removes_fields {
            self.remove_entry();
            return Ok(());
        }
        self.json.out.push(b':');
        if self.is_hidden {
            self.hidden();
            return Ok(());
        }
        value.serialize(Value { json: self.json, place: self.value_place })
    }

    fn end(self) -> Result<()> {
        self.json.out.push(b'}');
        Ok(())
    }
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
        let mut request =
            Request { url: Some("http://me:pw@shop/cart".to_owned()), query_string: Some("sig=1&a=2".to_owned()), ..Request::default() };
        for (name, value) in
            [("authorization", "Bearer x"), ("x-forwarded-for", "1.2.3.4"), ("accept", "*/*"), ("referer", "http://shop/?code=abc")]
        {
            request.headers.insert(name.to_owned(), value.to_owned());
        }

        let clean = redact_json(Redaction::default(), &request);

        assert_eq!(
            clean,
            r#"{"url":"http://[Filtered]:[Filtered]@shop/cart","query_string":"sig=[Filtered]&a=2","headers":{"accept":"*/*","authorization":"[Filtered]","referer":"http://shop/?code=[Filtered]","x-forwarded-for":"[Filtered]"}}"#
        );
    }

    #[test]
    fn own_rules_come_on_top() {
        let rules = Redaction::default().field("iban").placeholder("[REDACTED]").token_placeholder("[LONG]").token_length(20);

        let clean = redact_json(rules, &json!({"customerIban": "DE02", "password": "x", "id": "abcdefghij0123456789"}));

        assert_eq!(clean, r#"{"customerIban":"[REDACTED]","id":"[LONG]","password":"[REDACTED]"}"#);
    }

    #[test]
    fn fields_are_left_out_with_their_names_where_asked_for() {
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
