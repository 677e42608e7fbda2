//! Turns the values that users set into JSON. A value that JSON cannot express becomes a text.
//!
//! `serde_json::to_value` returns an error for numbers beyond 64 bits and for keys that are not
//! text, so one value would lose the whole context. It turns NaN into `null`. It has no limit of
//! depth, so a value that contains itself would overflow the stack of the request.

use std::fmt;

use serde::ser::{
    Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct,
    SerializeTupleVariant,
};
use serde::{Serialize, Serializer};
use serde_json::{Error, Map, Value};

/// Values below this many levels of lists and maps are left out: servers keep seven.
const DEPTH_LIMIT: usize = 32;

/// Serializes any value.
///
/// If the user's `Serialize` returns an error, the text of the error replaces the value.
pub(super) fn to_json(value: impl Serialize) -> Value {
    value.serialize(JsonValue { depth: 0 }).unwrap_or_else(|error| Value::String(format!("[not serializable: {error}]")))
}

/// One value, below `depth` lists and maps.
#[derive(Clone, Copy)]
struct JsonValue {
    depth: usize,
}

impl JsonValue {
    fn inner<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Error> {
        if self.depth >= DEPTH_LIMIT { Ok("[nested too deep]".into()) } else { value.serialize(Self { depth: self.depth + 1 }) }
    }

    fn list(self, variant: Option<&'static str>) -> Group<Vec<Value>> {
        Group { json: self, variant, entries: Vec::new(), key: None }
    }

    fn map(self, variant: Option<&'static str>) -> Group<Map<String, Value>> {
        Group { json: self, variant, entries: Map::new(), key: None }
    }
}

/// A list, or a map whose next value has this key. An enum variant with data becomes an object with one
/// entry, as in serde's data model.
struct Group<Entries> {
    json: JsonValue,
    variant: Option<&'static str>,
    entries: Entries,
    key: Option<String>,
}

impl<Entries: Into<Value>> Group<Entries> {
    fn finish(self) -> Value {
        let value = self.entries.into();
        match self.variant {
            Some(variant) => Value::Object(Map::from_iter([(variant.to_owned(), value)])),
            None => value,
        }
    }
}

impl Group<Vec<Value>> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.entries.push(self.json.inner(value)?);
        Ok(())
    }
}

impl Group<Map<String, Value>> {
    fn insert<T: Serialize + ?Sized>(&mut self, key: String, value: &T) -> Result<(), Error> {
        self.entries.insert(key, self.json.inner(value)?);
        Ok(())
    }
}

/// The methods for types that JSON has.
macro_rules! number {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<Value, Error> {
            Ok(Value::from(value))
        }
    )*};
}

impl Serializer for JsonValue {
    type Ok = Value;
    type Error = Error;
    type SerializeSeq = Group<Vec<Value>>;
    type SerializeTuple = Group<Vec<Value>>;
    type SerializeTupleStruct = Group<Vec<Value>>;
    type SerializeTupleVariant = Group<Vec<Value>>;
    type SerializeMap = Group<Map<String, Value>>;
    type SerializeStruct = Group<Map<String, Value>>;
    type SerializeStructVariant = Group<Map<String, Value>>;

    number!(
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_u8: u8,
        serialize_u16: u16, serialize_u32: u32, serialize_u64: u64
    );

    fn serialize_i128(self, value: i128) -> Result<Value, Error> {
        Ok(i64::try_from(value).map_or_else(|_| value.to_string().into(), Value::from))
    }

    fn serialize_u128(self, value: u128) -> Result<Value, Error> {
        Ok(u64::try_from(value).map_or_else(|_| value.to_string().into(), Value::from))
    }

    fn serialize_f32(self, value: f32) -> Result<Value, Error> {
        if value.is_finite() { Ok(Value::from(value)) } else { self.collect_str(&value) }
    }

    fn serialize_f64(self, value: f64) -> Result<Value, Error> {
        // JSON has no NaN and no infinity.
        if value.is_finite() { Ok(Value::from(value)) } else { self.collect_str(&value) }
    }

    fn serialize_char(self, value: char) -> Result<Value, Error> {
        self.collect_str(&value)
    }

    fn serialize_str(self, value: &str) -> Result<Value, Error> {
        Ok(Value::from(value))
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<Value, Error> {
        Ok(Value::from(value.to_string()))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Value, Error> {
        Ok(Value::from(value))
    }

    fn serialize_none(self) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value, Error> {
        Ok(Value::from(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Value, Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, Error> {
        Ok(Value::Object(Map::from_iter([(variant.to_owned(), self.inner(value)?)])))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        Ok(self.list(None))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        Ok(self.list(None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Error> {
        Ok(self.list(None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Ok(self.list(Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Error> {
        Ok(self.map(None))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Error> {
        Ok(self.map(None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Ok(self.map(Some(variant)))
    }
}

macro_rules! list {
    ($($trait:ident::$method:ident),*) => {$(
        impl $trait for Group<Vec<Value>> {
            type Ok = Value;
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.push(value)
            }

            fn end(self) -> Result<Value, Error> {
                Ok(self.finish())
            }
        }
    )*};
}

list!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

macro_rules! fields {
    ($($trait:ident),*) => {$(
        impl $trait for Group<Map<String, Value>> {
            type Ok = Value;
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
                self.insert(name.to_owned(), value)
            }

            fn end(self) -> Result<Value, Error> {
                Ok(self.finish())
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

impl SerializeMap for Group<Map<String, Value>> {
    type Ok = Value;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        // A key that is not text becomes the text of its JSON.
        self.key = Some(match self.json.inner(key)? {
            Value::String(text) => text,
            other => other.to_string(),
        });
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let key = self.key.take().ok_or_else(|| Error::custom("a map gave a value without a key"))?;
        self.insert(key, value)
    }

    fn end(self) -> Result<Value, Error> {
        Ok(self.finish())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    enum Shape {
        Point,
        Circle(f64),
        Line(u8, u8),
        Named { width: u128 },
    }

    #[derive(Serialize)]
    struct Everything {
        shapes: Vec<Shape>,
        small: (i128, u128),
        letter: char,
        none: Option<u8>,
        unit: (),
        by_number: BTreeMap<u32, &'static str>,
        by_pair: BTreeMap<(u8, u8), bool>,
        not_a_number: f32,
    }

    #[test]
    fn all_of_serdes_data_model_becomes_json() {
        let everything = Everything {
            shapes: vec![Shape::Point, Shape::Circle(f64::INFINITY), Shape::Line(1, 2), Shape::Named { width: u128::MAX }],
            small: (-1, 7),
            letter: 'ä',
            none: None,
            unit: (),
            by_number: BTreeMap::from([(7, "seven")]),
            by_pair: BTreeMap::from([((1, 2), true)]),
            not_a_number: f32::NAN,
        };

        let expected = json!({
            "shapes": ["Point", {"Circle": "inf"}, {"Line": [1, 2]}, {"Named": {"width": "340282366920938463463374607431768211455"}}],
            "small": [-1, 7],
            "letter": "ä",
            "none": null,
            "unit": null,
            "by_number": {"7": "seven"},
            "by_pair": {"[1,2]": true},
            "not_a_number": "NaN",
        });
        assert_eq!(to_json(everything), expected);
    }

    #[test]
    fn what_json_has_is_as_serde_json_writes_it() {
        for value in [json!(null), json!([1, -1, 1.5, "text", true]), json!({"a": {"b": [{}]}})] {
            assert_eq!(to_json(&value), value);
        }
    }

    #[test]
    fn endless_depth_ends() {
        struct Endless;
        impl Serialize for Endless {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq([Self])
            }
        }

        let text = to_json(Endless).to_string();

        assert_eq!(text.matches('[').count(), DEPTH_LIMIT + 2, "{text}");
        assert!(text.contains("nested too deep"));
    }

    #[test]
    fn an_error_of_the_users_code_is_said() {
        struct Fails;
        impl Serialize for Fails {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("no connection"))
            }
        }

        assert_eq!(to_json([Fails]), json!("[not serializable: no connection]"));
    }
}
