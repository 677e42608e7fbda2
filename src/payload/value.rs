//! Values of fields, attributes, and maps of pairs.

use std::fmt;

use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};

use super::sql::{Dialect, is_query_text, without_values};
use crate::record::{FieldValue, items};

impl Serialize for FieldValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::I64(value) => serializer.serialize_i64(*value),
            // A server may not read a number beyond `i64`.
            Self::U64(value) if i64::try_from(*value).is_err() => serializer.collect_str(value),
            Self::U64(value) => serializer.serialize_u64(*value),
            // JSON has no NaN and no infinity.
            Self::F64(value) if !value.is_finite() => serializer.collect_str(value),
            Self::F64(value) => serializer.serialize_f64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(list) => {
                // The redactor judges lists of two as a name and its value.
                let mut out = serializer.serialize_seq(Some(items(list).count()))?;
                items(list).try_for_each(|item| out.serialize_element(&item))?;
                out.end()
            }
        }
    }
}

impl fmt::Display for FieldValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::I64(value) => value.fmt(f),
            Self::U64(value) => value.fmt(f),
            Self::F64(value) => value.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::List(list) => f.debug_list().entries(items(list).map(|item| item.to_string())).finish(),
        }
    }
}

/// An attribute of a span or an event.
///
/// The text of a query is written without its values, and the key of a cache as a list, as the
/// protocol requires.
pub(super) struct Attribute<'a>(pub(super) &'a str, pub(super) FieldValue<'a>, pub(super) Dialect);

impl Serialize for Attribute<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self(name, FieldValue::Text(text), dialect) if is_query_text(name) => serializer.serialize_str(&without_values(text, dialect)),
            Self("cache.key", FieldValue::Text(key), _) => serializer.collect_seq([key]),
            Self(_, value, _) => value.serialize(serializer),
        }
    }
}

/// Serialises the pairs from an iterator as a map.
///
/// Each serialisation creates the iterator anew, so creating it must be cheap.
pub(super) struct Pairs<F>(pub(super) F);

impl<F, I, K, V> Serialize for Pairs<F>
where
    F: Fn() -> I,
    I: Iterator<Item = (K, V)>,
    K: Serialize,
    V: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in (self.0)() {
            map.serialize_entry(&key, &value)?;
        }
        map.end()
    }
}
