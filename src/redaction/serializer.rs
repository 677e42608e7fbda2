//! Redaction as a step of serialisation: a serde `Serializer` that stands before the JSON one and lets nothing by.
//!
//! Structs are ours and keep their field names; the keys of maps are the user's and are judged by name. Every text goes
//! through the shapes, unless its place says that it holds only what we wrote (ids, words of the protocol).

use std::borrow::Cow;
use std::fmt::Display;

use serde::ser::{Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple};
use serde::{Serialize, Serializer};

use super::key::Key;
use super::{Redactor, patterns, url};

/// What a value is, where its place in the payload tells more than its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Anything: texts are scrubbed, keys of maps are judged.
    Open,
    /// Only what we wrote.
    Own,
    /// Header values by name.
    Headers,
    /// A map whose own keys name groups, not values.
    Groups,
    Query,
    Url,
}

impl Place {
    fn of_field(of: &'static str, field: &'static str) -> Self {
        match (of, field) {
            ("Request", "query_string") => Self::Query,
            ("Request", "url") => Self::Url,
            ("Request", "headers") => Self::Headers,
            ("Contexts", _) | (_, "contexts") => Self::Groups,
            ("DynamicSamplingContext", "transaction" | "release" | "environment") => Self::Open,
            ("DynamicSamplingContext" | "SdkInfo" | "ClientReport" | "DiscardedEvent", _)
            | (_, "event_id" | "trace_id" | "span_id" | "parent_span_id" | "level" | "instruction_addr" | "sdk") => Self::Own,
            _ => Self::Open,
        }
    }
}

/// A serializer that redacts what it is given and hands the rest to `inner`.
pub(super) struct Redacting<'r, S> {
    redactor: &'r Redactor,
    inner: S,
    place: Place,
}

impl<'r, S> Redacting<'r, S> {
    pub(super) fn new(redactor: &'r Redactor, inner: S) -> Self {
        Self { redactor, inner, place: Place::Open }
    }
}

/// A value that is serialised through [`Redacting`].
struct Redact<'a, T: ?Sized> {
    redactor: &'a Redactor,
    value: &'a T,
    place: Place,
}

impl<T: Serialize + ?Sized> Serialize for Redact<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Redacting { redactor: self.redactor, inner: serializer, place: self.place })
    }
}

macro_rules! forward {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        }
    )*};
}

impl<'r, S: Serializer> Serializer for Redacting<'r, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Compound<'r, S::SerializeSeq>;
    type SerializeTuple = Compound<'r, S::SerializeTuple>;
    type SerializeTupleStruct = Impossible<S::Ok, S::Error>;
    type SerializeTupleVariant = Impossible<S::Ok, S::Error>;
    type SerializeMap = Entries<'r, S::SerializeMap>;
    type SerializeStruct = Members<'r, S::SerializeStruct>;
    type SerializeStructVariant = Impossible<S::Ok, S::Error>;

    forward!(
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_f32: f32, serialize_f64: f64
    );

    fn serialize_char(self, value: char) -> Result<S::Ok, S::Error> {
        self.inner.serialize_char(value)
    }

    fn serialize_str(self, value: &str) -> Result<S::Ok, S::Error> {
        let clean = match self.place {
            Place::Own => Cow::Borrowed(value),
            Place::Query => url::query(self.redactor, value),
            Place::Url => url::url(self.redactor, value),
            // A target or an address, whatever its field is called: its parameters are judged one by one.
            _ if value.contains('?') && !value.contains(char::is_whitespace) => url::url(self.redactor, value),
            Place::Open | Place::Groups | Place::Headers => patterns::scrub(self.redactor, value),
        };
        self.inner.serialize_str(&clean)
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.serialize_str(&value.to_string())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<S::Ok, S::Error> {
        // No payload of the protocol holds bytes: as text they can be judged.
        self.serialize_str(&String::from_utf8_lossy(value))
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_struct(name)
    }

    fn serialize_unit_variant(self, name: &'static str, index: u32, variant: &'static str) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = Redact { redactor: self.redactor, value, place: Place::Open };
        self.inner.serialize_newtype_variant(name, index, variant, &value)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        Ok(Compound { redactor: self.redactor, place: self.place, inner: self.inner.serialize_seq(len)? })
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        Ok(Compound { redactor: self.redactor, place: self.place, inner: self.inner.serialize_tuple(len)? })
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, S::Error> {
        Err(unused())
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self::SerializeTupleVariant, S::Error> {
        Err(unused())
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        Ok(Entries {
            redactor: self.redactor,
            place: self.place,
            value_place: Place::Open,
            hidden: false,
            inner: self.inner.serialize_map(len)?,
        })
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        Ok(Members { redactor: self.redactor, name, inner: self.inner.serialize_struct(name, len)? })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        Err(unused())
    }
}

/// A user's `Serialize` never arrives here directly: contexts are turned into JSON values when they are set.
pub(super) fn unused<E: serde::ser::Error>() -> E {
    E::custom("no payload has this form")
}

/// Lists.
pub(super) struct Compound<'r, S> {
    redactor: &'r Redactor,
    place: Place,
    inner: S,
}

impl<S: SerializeSeq> SerializeSeq for Compound<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.inner.serialize_element(&Redact { redactor: self.redactor, value, place: self.place })
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}

impl<S: SerializeTuple> SerializeTuple for Compound<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.inner.serialize_element(&Redact { redactor: self.redactor, value, place: self.place })
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}

/// Structs of ours.
pub(super) struct Members<'r, S> {
    redactor: &'r Redactor,
    name: &'static str,
    inner: S,
}

impl<S: SerializeStruct> SerializeStruct for Members<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), S::Error> {
        let place = Place::of_field(self.name, key);
        self.inner.serialize_field(key, &Redact { redactor: self.redactor, value, place })
    }

    fn skip_field(&mut self, key: &'static str) -> Result<(), S::Error> {
        self.inner.skip_field(key)
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}

/// Maps of users.
pub(super) struct Entries<'r, S> {
    pub(super) redactor: &'r Redactor,
    place: Place,
    value_place: Place,
    hidden: bool,
    pub(super) inner: S,
}

impl<S> Entries<'_, S> {
    pub(super) fn judge(&mut self, key: &str) {
        (self.hidden, self.value_place) = match self.place {
            Place::Headers => (self.redactor.hides_header(key), header_place(key)),
            Place::Groups => (false, Place::Open),
            _ => (self.redactor.is_sensitive(key), attribute_place(key)),
        };
    }
}

/// Headers that hold a URL are read as one.
fn header_place(name: &str) -> Place {
    if matches!(name, "referer" | "origin" | "location" | "content-location") { Place::Url } else { Place::Open }
}

/// Attributes that the conventions define as a URL or a query.
fn attribute_place(name: &str) -> Place {
    match name {
        "url.full" | "http.url" | "url" | "http.target" => Place::Url,
        "url.query" | "http.query" | "query_string" => Place::Query,
        _ => Place::Open,
    }
}

impl<S: SerializeMap> SerializeMap for Entries<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        key.serialize(Key { entries: self })
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        if self.hidden {
            return self.inner.serialize_value(self.redactor.placeholder());
        }
        self.inner.serialize_value(&Redact { redactor: self.redactor, value, place: self.value_place })
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
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
    fn a_users_fields_are_judged_like_any_map() {
        let clean = redact_json(Redaction::default(), &User::id(7).field("session_token", "abc").field("plan", "gold"));

        assert_eq!(clean, r#"{"id":"7","plan":"gold","session_token":"[Filtered]"}"#);
    }
}
