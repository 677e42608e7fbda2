//! Serializes the keys of maps without copying them.

use std::cell::RefCell;
use std::sync::Arc;

use serde::ser::Impossible;
use serde::{Serialize, Serializer};
use serde_json::{Error, Result};

use super::cursor::Reading;
use super::json::{Json, unused};
use super::name_cache::NameCache;
use super::names::Level;
use super::place::ValuePlace;
use super::scan;
use super::verdict::{SecretName, Verdict, judge};
use super::{Redactor, escape};
use crate::fork::Lazy;

/// Judges a key and writes it; keys in JSON are strings.
pub(super) struct KeyWriter<'a, 'r> {
    pub(super) json: &'a mut Json<'r>,
    /// The place of the map.
    pub(super) place: ValuePlace,
}

/// How the value of a written key is judged.
#[derive(Clone, Copy)]
pub(super) struct WrittenKey {
    pub(super) value_place: ValuePlace,
    /// Whether the value is hidden, whatever it is.
    pub(super) hides_value: bool,
    /// The secret name, if the value itself decides whether it is hidden.
    pub(super) secret_name: Option<SecretName>,
    pub(super) names_a_name: bool,
    pub(super) names_a_value: bool,
}

impl WrittenKey {
    /// A key that says nothing about its value.
    pub(super) const fn plain(value_place: ValuePlace) -> Self {
        Self { value_place, hides_value: false, secret_name: None, names_a_name: false, names_a_value: false }
    }
}

/// The judgement of a key by the built-in rules.
#[derive(Clone, Copy)]
struct JudgedKey {
    verdict: Verdict,
    /// JSON takes the key unchanged, and it contains no secret itself.
    is_plain: bool,
}

/// The built-in rules.
static BUILT_IN: Lazy<Redactor> = Lazy::new(|| Redactor::new(Arc::default(), true));

/// The name of the header that an attribute holds.
fn header_of(attribute: &str) -> Option<&str> {
    attribute.strip_prefix("http.request.header.").or_else(|| attribute.strip_prefix("http.response.header."))
}

/// Keys from this length on are scanned each time: the user may have changed the token length.
const LONG_KEY: usize = 32;

impl JudgedKey {
    fn of(key: &str) -> Self {
        let is_plain = key.len() < LONG_KEY && escape::is_plain(key) && scan::find(&BUILT_IN, key, Reading::Text).secrets.is_empty();
        Self { verdict: Verdict::of(key), is_plain }
    }
}

impl KeyWriter<'_, '_> {
    /// Judges a key by this thread's cache, and writes it.
    fn write(self, key: &str) -> WrittenKey {
        if self.place == ValuePlace::Own {
            self.json.escaped(key);
            return WrittenKey::plain(ValuePlace::Own);
        }
        thread_local! {
            static KEYS: RefCell<NameCache<JudgedKey>> = RefCell::default();
        }
        let cached = KEYS.try_with(|keys| Some(keys.try_borrow_mut().ok()?.get_or_insert(key, JudgedKey::of)));
        let JudgedKey { verdict, is_plain } = cached.ok().flatten().unwrap_or_else(|| JudgedKey::of(key));
        let redactor = self.json.redactor;
        let (hides_value, level, value_place) = match self.place {
            ValuePlace::Headers => {
                // With PII on, the values of personal headers are sent.
                let place = if verdict.personal_header && redactor.send_pii { ValuePlace::Open } else { verdict.header_place };
                (redactor.hides_header(key, verdict), verdict.header, place)
            }
            // The name of a group is its topic, so a secret word in it hides nothing.
            ValuePlace::Groups => (
                redactor.is_hidden_by_user(key),
                if verdict.field == Level::Sure { Level::Sure } else { Level::Harmless },
                ValuePlace::Open,
            ),
            ValuePlace::User => {
                (redactor.is_hidden_by_user(key) || redactor.rules.hides_user_field(key), verdict.field, verdict.attribute_place)
            }
            ValuePlace::Typed => match (header_of(key), key.strip_prefix("user.")) {
                (Some(header), _) => {
                    let verdict = judge(header);
                    let place = if verdict.personal_header && redactor.send_pii { ValuePlace::Open } else { verdict.header_place };
                    (redactor.hides_header(header, verdict) || redactor.is_hidden_by_user(key), verdict.header, place)
                }
                (None, Some(field)) => {
                    // `user.name` is the login name by the conventions. The text after a dot is inside the field.
                    let known = if field == "name" { "username" } else { field.split('.').next().unwrap_or(field) };
                    let hides = redactor.is_hidden_by_user(field) || redactor.rules.hides_user_field(known);
                    (hides || redactor.is_hidden_by_user(key), verdict.field, verdict.attribute_place)
                }
                (None, None) => (redactor.is_hidden_by_user(key), verdict.field, verdict.attribute_place),
            },
            _ => (redactor.is_hidden_by_user(key), verdict.field, verdict.attribute_place),
        };
        if is_plain && !redactor.rules.is_strict {
            self.json.plain(key);
        } else {
            self.json.escaped(&scan::scrub(redactor, key));
        }
        let is_on = !redactor.rules.hides_nothing();
        WrittenKey {
            value_place,
            hides_value: hides_value && is_on,
            secret_name: verdict.at(level).filter(|_| is_on && value_place != ValuePlace::Cookies),
            names_a_name: verdict.names_a_name,
            names_a_value: verdict.names_a_value,
        }
    }

    /// Whether a user's rule hides one of our names.
    #[cold]
    fn is_hidden_by_user(&self, name: &str) -> bool {
        self.place != ValuePlace::Groups && self.json.redactor.is_hidden_by_user(name)
    }
}

macro_rules! no_key {
    ($($method:ident($($argument:ty),*)),*) => {$(
        fn $method(self, $(_: $argument),*) -> Result<WrittenKey> {
            Err(unused())
        }
    )*};
}

impl Serializer for KeyWriter<'_, '_> {
    type Ok = WrittenKey;
    type Error = Error;
    type SerializeSeq = Impossible<WrittenKey, Error>;
    type SerializeTuple = Impossible<WrittenKey, Error>;
    type SerializeTupleStruct = Impossible<WrittenKey, Error>;
    type SerializeTupleVariant = Impossible<WrittenKey, Error>;
    type SerializeMap = Impossible<WrittenKey, Error>;
    type SerializeStruct = Impossible<WrittenKey, Error>;
    type SerializeStructVariant = Impossible<WrittenKey, Error>;

    fn serialize_str(self, key: &str) -> Result<WrittenKey> {
        Ok(self.write(key))
    }

    /// Writes one of our names.
    ///
    /// Only a rule of the user can hide it. The conventions define the place of its value.
    #[expect(clippy::inline_always, reason = "with its name a constant it is a copy of a known length")]
    #[inline(always)]
    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Result<WrittenKey> {
        let hides_value = self.json.redactor.has_own_names() && self.is_hidden_by_user(name);
        self.json.plain(name);
        Ok(WrittenKey { hides_value, ..WrittenKey::plain(ValuePlace::of_attribute(name)) })
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

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<WrittenKey> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<WrittenKey> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(self, _: &'static str, _: u32, _: &'static str, _: &T) -> Result<WrittenKey> {
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
