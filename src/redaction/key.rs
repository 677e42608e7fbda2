//! Serializes the keys of maps without copying them.

use serde::ser::Impossible;
use serde::{Serialize, Serializer};
use serde_json::{Error, Result};

use super::json::{COMPILED, Map, unused};
use super::judged::{self, Judged};
use super::patterns;
use super::place::Place;

/// Judges a key and writes it; keys in JSON are strings.
pub(super) struct Key<'m, 'a, 'r> {
    pub(super) map: &'m mut Map<'a, 'r>,
}

impl Key<'_, '_, '_> {
    /// Writes a key that has been judged.
    fn judged(self, key: &str, judged: Judged) {
        let Map { json, place, value_place, is_hidden, .. } = self.map;
        (*is_hidden, *value_place) = match place {
            Place::Headers => (json.redactor.hides_judged_header(key, judged), judged.header_place),
            Place::Groups => (judged.surely_sensitive || json.redactor.is_hidden_by_user(key), Place::Open),
            _ => (judged.sensitive || json.redactor.is_hidden_by_user(key), judged.attribute_place),
        };
        *is_hidden &= !json.redactor.rules.hides_nothing();
        if judged.is_plain {
            json.plain(key);
        } else {
            json.escaped(&patterns::scrub(json.redactor, key));
        }
    }

    /// Whether a user's rule hides one of our names.
    #[cold]
    fn is_hidden_by_user(&self, name: &str) -> bool {
        self.map.place != Place::Groups && self.map.json.redactor.is_hidden_by_user(name)
    }
}

macro_rules! no_key {
    ($($method:ident($($argument:ty),*)),*) => {$(
        fn $method(self, $(_: $argument),*) -> Result<()> {
            Err(unused())
        }
    )*};
}

impl Serializer for Key<'_, '_, '_> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Impossible<(), Error>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Impossible<(), Error>;
    type SerializeStruct = Impossible<(), Error>;
    type SerializeStructVariant = Impossible<(), Error>;

    fn serialize_str(self, key: &str) -> Result<()> {
        self.judged(key, judged::judge(key));
        Ok(())
    }

    /// Writes one of our names, or a text of the program.
    ///
    /// Only a user's rule can hide one of our names, and the conventions define the place of its
    /// value. Texts of the program are judged like any name, but only once.
    #[expect(clippy::inline_always, reason = "with its name a constant it is a copy of a known length")]
    #[inline(always)]
    fn serialize_unit_variant(self, kind: &'static str, _: u32, name: &'static str) -> Result<()> {
        if kind == COMPILED {
            self.judged(name, judged::judge_static(name));
            return Ok(());
        }
        self.map.is_hidden = self.map.json.redactor.has_own_names() && self.is_hidden_by_user(name);
        self.map.value_place = Place::of_attribute(name);
        self.map.json.plain(name);
        Ok(())
    }

    no_key!(
        serialize_bool(bool),
        serialize_i8(i8),
        serialize_i16(i16),
        serialize_i32(i32),
        serialize_i64(i64),
        serialize_u8(u8),
        serialize_u16(u16),
        serialize_u32(u32),
        serialize_u64(u64),
        serialize_f32(f32),
        serialize_f64(f64),
        serialize_char(char),
        serialize_bytes(&[u8]),
        serialize_none(),
        serialize_unit(),
        serialize_unit_struct(&'static str)
    );

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(self, _: &'static str, _: u32, _: &'static str, _: &T) -> Result<()> {
        Err(unused())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq> {
        Err(unused())
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple> {
        Err(unused())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct> {
        Err(unused())
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self::SerializeTupleVariant> {
        Err(unused())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap> {
        Err(unused())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct> {
        Err(unused())
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self::SerializeStructVariant> {
        Err(unused())
    }
}
