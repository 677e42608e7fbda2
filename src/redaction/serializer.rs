//! Serializes to redacted JSON.
//!
//! One serde `Serializer` judges each value by its place and its name while it writes.
//!
//! Structs are our own: their field names are kept, and decide the place of the values below them. Keys of
//! maps come from the user and are judged by name. Every text is scanned for secret shapes, unless
//! its place contains only our own text. Unit variants are words of the protocol or texts of the
//! program; they are written as they are.
//!
//! This does not wrap `serde_json`: with an adapter, an envelope took three times the instructions.

#[cfg(feature = "browser")]
mod document;
mod list;
mod typed;

use std::fmt::Display;

use serde::ser::{Impossible, SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};
use serde_json::{Error, Result};

#[cfg(feature = "browser")]
pub(super) use self::document::write_document;
use self::list::ListWriter;
use super::Redactor;
use super::json::{Json, unused};
use super::key::{KeyWriter, WrittenKey};
use super::names::Level;
use super::place::ValuePlace;
use super::verdict::SecretName;
use crate::protocol::{Measured, SegmentName, TypedAttributes};

impl Json<'_> {
    /// Writes a value under a name that may be secret, inside a value under the name `outer`. If a part of it is secret,
    /// `hide` replaces all of it.
    fn by_value<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
        place: ValuePlace,
        name: SecretName,
        outer: Option<SecretName>,
        hide: impl FnOnce(&mut Self),
    ) -> Result<()> {
        let start = self.out.len();
        self.hid = false;
        value.serialize(ValueWriter { json: &mut *self, place, secret: Some(name.within(outer)) })?;
        if self.hid {
            self.out.truncate(start);
            hide(self);
        }
        // An outer value under a secret name is then hidden as well.
        self.hid &= outer.is_some();
        Ok(())
    }
}

/// Appends a redacted value to a buffer.
pub(super) fn write(redactor: &Redactor, value: &impl Serialize, place: ValuePlace, out: &mut Vec<u8>) -> Result<()> {
    value.serialize(ValueWriter { json: &mut Json { redactor, out, depth: 0, hid: false }, place, secret: None })
}

/// One value and its place.
pub(super) struct ValueWriter<'a, 'r> {
    json: &'a mut Json<'r>,
    place: ValuePlace,
    /// The secret name of the value, if the value decides whether it is hidden.
    secret: Option<SecretName>,
}

impl ValueWriter<'_, '_> {
    /// Whether a value under a secret name is secret.
    #[cold]
    fn is_secret(&self, text: &str) -> bool {
        self.secret.is_some_and(|name| name.hides(text))
    }

    /// Hides the number that was written from `start` on, if it is a card's or a secret's.
    #[cold]
    fn judge_number(&mut self, start: usize) {
        let text = String::from_utf8_lossy(self.json.out.get(start..).unwrap_or_default()).into_owned();
        self.json.hid |= self.is_secret(&text);
        self.json.out.truncate(start);
        self.json.digits(&text);
    }
}

macro_rules! number {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(mut self, value: $type) -> Result<()> {
            let start = self.json.out.len();
            serde_json::to_writer(&mut *self.json.out, &value)?;
            // A card number has at least 13 digits, and begins with one of these. A time begins with 1.
            let may_be_card =
                self.json.out.len() - start >= 13 && self.json.out.get(start).is_some_and(|first| matches!(first, b'2'..=b'6' | b'8' | b'9'));
            if self.secret.is_some() || may_be_card && self.place != ValuePlace::Own {
                self.judge_number(start);
            }
            Ok(())
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
        if self.secret.is_some() && self.is_secret(value) {
            self.json.hid = true;
            self.json.escaped(self.json.redactor.placeholder());
        } else {
            self.json.judged(value, self.place);
        }
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

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<()> {
        let place = match name {
            // A server drops a metric whose value is a text, so the value is never replaced.
            Measured::NAME => ValuePlace::Own,
            SegmentName::NAME => ValuePlace::Name,
            TypedAttributes::NAME => ValuePlace::Typed,
            _ => self.place,
        };
        value.serialize(Self { place, ..self })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(self, _: &'static str, _: u32, variant: &'static str, value: &T) -> Result<()> {
        self.json.out.push(b'{');
        self.json.plain(variant);
        self.json.out.push(b':');
        value.serialize(ValueWriter { json: &mut *self.json, place: ValuePlace::Open, secret: self.secret })?;
        self.json.out.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<ListWriter<'a, 'r>> {
        let is_open = self.json.enter(b'[');
        Ok(ListWriter {
            json: self.json,
            place: self.place,
            is_open,
            is_pair: len == Some(2),
            beside: None,
            secret: self.secret,
            is_first: true,
        })
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
        let is_open = self.json.enter(b'{');
        let key = WrittenKey::plain(ValuePlace::Open);
        Ok(MapWriter { json: self.json, place: self.place, is_open, key, beside: None, secret: self.secret, is_first: true, entry: 0 })
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<StructWriter<'a, 'r>> {
        // `serde_json` sends numbers this way if any crate enables `arbitrary_precision`.
        if name == "$serde_json::private::Number" {
            return Ok(StructWriter { json: self.json, place: ValuePlace::Digits, secret: self.secret, is_first: true });
        }
        self.json.out.push(b'{');
        Ok(StructWriter { json: self.json, place: self.place, secret: self.secret, is_first: true })
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self::SerializeStructVariant> {
        Err(unused())
    }
}

/// One of our own structs.
pub(super) struct StructWriter<'a, 'r> {
    json: &'a mut Json<'r>,
    /// `Digits` for a number in the form of a struct.
    place: ValuePlace,
    secret: Option<SecretName>,
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
        value.serialize(ValueWriter { json: self.json, place: self.place.field(name), secret: self.secret })
    }

    fn end(self) -> Result<()> {
        if self.place != ValuePlace::Digits {
            self.json.out.push(b'}');
        }
        Ok(())
    }
}

/// A user's map.
pub(super) struct MapWriter<'a, 'r> {
    json: &'a mut Json<'r>,
    place: ValuePlace,
    /// Whether it is written: it is not too deep.
    is_open: bool,
    /// The current key.
    key: WrittenKey,
    /// The secret name that an earlier value contains, as in `{"name": "password", "value": "…"}`.
    beside: Option<SecretName>,
    secret: Option<SecretName>,
    is_first: bool,
    /// Where the current entry begins.
    entry: usize,
}

impl MapWriter<'_, '_> {
    /// Writes an entry with a name of the protocol, which is not judged.
    #[cfg(feature = "browser")]
    fn own_entry(&mut self, name: &'static str, write: impl FnOnce(&mut Json<'_>) -> Result<()>) -> Result<()> {
        if !self.is_open {
            return Ok(());
        }
        self.json.comma(&mut self.is_first);
        self.json.plain(name);
        self.json.out.push(b':');
        write(self.json)
    }

    /// Removes the name of the current entry.
    #[cold]
    fn remove_entry(&mut self) {
        self.json.out.truncate(self.entry);
        self.is_first = self.json.out.ends_with(b"{");
    }

    /// Writes a value whose name may be secret.
    #[cold]
    fn judged<T: Serialize + ?Sized>(&mut self, value: &T, name: SecretName) -> Result<()> {
        let (before, start) = (self.json.hid, self.json.out.len());
        let (place, outer) = (self.place, self.secret);
        let removes = self.json.redactor.rules.removes_fields;
        let mut is_hidden = false;
        self.json.by_value(value, self.key.value_place, name, outer, |json| {
            is_hidden = true;
            if !removes {
                json.hidden(place);
            }
        })?;
        if !is_hidden && place == ValuePlace::Typed {
            typed::correct(self.json.out, start);
        }
        if is_hidden && removes {
            self.remove_entry();
        } else if !is_hidden && self.key.names_a_name {
            self.note_name(start);
        }
        self.json.hid |= before;
        Ok(())
    }

    /// Remembers the value that was written from `start` on, if it is a secret name.
    #[cold]
    fn note_name(&mut self, start: usize) {
        let beside = self.json.name_written(start).and_then(|verdict| {
            verdict
                .at(verdict.field.max(verdict.header).max(Level::IfOpaque).min(Level::Sure))
                .filter(|_| verdict.field.max(verdict.header) > Level::Harmless)
        });
        // Attributes come from several sources: a `path` of another source may be between `name` and `value`.
        self.beside = beside.or_else(|| self.beside.filter(|_| self.place == ValuePlace::Typed));
    }
}

impl SerializeMap for MapWriter<'_, '_> {
    type Ok = ();
    type Error = Error;

    // Inlined, so that constant names are copied as such.
    #[expect(clippy::inline_always, reason = "see above")]
    #[inline(always)]
    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(&mut self, key: &K, value: &V) -> Result<()> {
        self.serialize_key(key)?;
        self.serialize_value(value)
    }

    #[expect(clippy::inline_always, reason = "as the entry")]
    #[inline(always)]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        if !self.is_open {
            return Ok(());
        }
        self.entry = self.json.out.len();
        self.json.comma(&mut self.is_first);
        self.key = key.serialize(KeyWriter { json: self.json, place: self.place })?;
        Ok(())
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        if !self.is_open {
            return Ok(());
        }
        if self.key.hides_value && self.json.redactor.rules.removes_fields {
            self.remove_entry();
            return Ok(());
        }
        self.json.out.push(b':');
        if self.key.hides_value {
            self.json.hidden(self.place);
            return Ok(());
        }
        if let Some(name) = self.key.secret_name.or_else(|| self.beside.filter(|_| self.key.names_a_value)) {
            return self.judged(value, name);
        }
        let start = self.json.out.len();
        value.serialize(ValueWriter { json: self.json, place: self.key.value_place, secret: self.secret })?;
        if self.place == ValuePlace::Typed {
            typed::correct(self.json.out, start);
        }
        if self.key.names_a_name {
            self.note_name(start);
        }
        Ok(())
    }

    fn end(self) -> Result<()> {
        self.json.leave(self.is_open, b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests;
