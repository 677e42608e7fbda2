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
use super::{Redactor, cookies, escape};
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
    holds: Holds,
    /// JSON takes the key unchanged, and it contains no secret itself by the built-in rules.
    is_plain: bool,
    /// It has no second word, which could be the value of the first by a rule of the user.
    is_one_word: bool,
}

/// The built-in rules.
static BUILT_IN: Lazy<Redactor> = Lazy::new(|| Redactor::new(Arc::default(), true));

/// What a value is, by its name.
#[derive(Clone, Copy)]
enum Holds {
    /// A header, or an entry of gRPC metadata, by the OpenTelemetry conventions for the names of attributes. The verdict is
    /// that of the header.
    Header,
    /// A header, if it is among headers: its name has capitals.
    Capitals,
    UserField,
    Other,
}

/// The name of the header that an attribute holds, in small letters and with dashes: older conventions have `x_api_key`.
fn header_of(attribute: &str) -> Option<String> {
    const PREFIXES: [&str; 6] = [
        "http.request.header.",
        "http.response.header.",
        "rpc.request.metadata.",
        "rpc.response.metadata.",
        "rpc.grpc.request.metadata.",
        "rpc.grpc.response.metadata.",
    ];
    let header = PREFIXES.iter().find_map(|prefix| attribute.strip_prefix(prefix))?;
    Some(header.to_ascii_lowercase().replace('_', "-"))
}

/// Keys from this length on are scanned each time.
const LONG_KEY: usize = 32;

impl JudgedKey {
    fn of(key: &str) -> Self {
        let is_plain = key.len() < LONG_KEY && escape::is_plain(key) && scan::find(&BUILT_IN, key, Reading::Text).secrets.is_empty();
        let (verdict, holds) = match header_of(key) {
            Some(header) => (Verdict { names_a_name: false, names_a_value: false, ..Verdict::of(&header) }, Holds::Header),
            None if key.starts_with("user.") => (Verdict::of(key), Holds::UserField),
            None if key.bytes().any(|byte| byte.is_ascii_uppercase()) => (Verdict::of(key), Holds::Capitals),
            None => (Verdict::of(key), Holds::Other),
        };
        let is_one_word = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        Self { verdict, holds, is_plain, is_one_word }
    }
}

impl Redactor {
    /// With PII on, the values of personal headers are sent.
    fn place_of_header(&self, verdict: Verdict) -> ValuePlace {
        if verdict.personal_header && self.send_pii { ValuePlace::Open } else { verdict.header_place }
    }

    /// Whether a header's value is hidden, what its name says, and how its value is judged.
    #[cold]
    fn header(&self, name: &str) -> (bool, Level, ValuePlace) {
        let verdict = judge(name);
        (self.hides_header(name, verdict), verdict.header, self.place_of_header(verdict))
    }

    #[cold]
    fn hides_header_attribute(&self, attribute: &str, verdict: Verdict) -> bool {
        header_of(attribute).is_some_and(|header| {
            // The name of a header may have underscores itself.
            let given = attribute.get(attribute.len() - header.len()..).unwrap_or_default().to_ascii_lowercase();
            self.hides_header(&header, verdict) || self.rules.withholds(&given)
        })
    }

    /// Whether a rule hides `user.plan` or a part of it.
    #[cold]
    fn hides_user_attribute(&self, attribute: &str) -> bool {
        let field = attribute.strip_prefix("user.").unwrap_or(attribute);
        // `user.name` is the login name by the conventions. The text after a dot is inside the field.
        let known = if field == "name" { "username" } else { field.split('.').next().unwrap_or(field) };
        self.is_hidden_by_user(field) || self.rules.hides_user_field(known)
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
        let JudgedKey { verdict, holds, is_plain, is_one_word } = cached.ok().flatten().unwrap_or_else(|| JudgedKey::of(key));
        let redactor = self.json.redactor;
        let (hides_value, level, value_place) = match self.place {
            // The lists of headers are in small letters.
            ValuePlace::Headers if matches!(holds, Holds::Capitals) => redactor.header(&key.to_ascii_lowercase()),
            ValuePlace::Headers => (redactor.hides_header(key, verdict), verdict.header, redactor.place_of_header(verdict)),
            // The name of a group is its topic, so a secret word in it hides nothing.
            ValuePlace::Groups => (
                redactor.is_hidden_by_user(key),
                if verdict.field == Level::Sure { Level::Sure } else { Level::Harmless },
                if key == "response" { ValuePlace::Response } else { ValuePlace::Open },
            ),
            ValuePlace::Response if matches!(key, "headers" | "cookies") => {
                (redactor.is_hidden_by_user(key), Level::Harmless, if key == "headers" { ValuePlace::Headers } else { ValuePlace::Cookies })
            }
            ValuePlace::Cookies => (cookies::is_name_hidden(redactor, key, verdict), verdict.cookie, ValuePlace::Cookie),
            ValuePlace::User => {
                (redactor.is_hidden_by_user(key) || redactor.rules.hides_user_field(key), verdict.field, verdict.attribute_place)
            }
            _ => {
                let hides = redactor.is_hidden_by_user(key);
                match holds {
                    Holds::Header => {
                        (hides || redactor.hides_header_attribute(key, verdict), verdict.header, redactor.place_of_header(verdict))
                    }
                    Holds::UserField => (hides || redactor.hides_user_attribute(key), verdict.field, verdict.attribute_place),
                    _ if self.place == ValuePlace::Body => {
                        (hides, verdict.field.max(verdict.parameter.min(Level::IfOpaque)), ValuePlace::Body)
                    }
                    Holds::Capitals | Holds::Other => (hides, verdict.field, verdict.attribute_place),
                }
            }
        };
        let rules = &redactor.rules;
        let is_short = key.len() < rules.token_length;
        if is_plain && is_short && !rules.is_strict && (is_one_word || !redactor.has_own_names()) {
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
