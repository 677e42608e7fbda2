//! Containers of logs and metrics, and the attributes of their entries.

use serde::ser::{SerializeMap, SerializeStruct as _};
use serde::{Serialize, Serializer};

use super::Facts;
use super::entries::Entries;
use super::sql::{Dialect, is_query_text, without_values};
use super::time::readable;
use super::trusted::Constant;
use crate::protocol::SdkInfo;
use crate::record::{FieldValue, Suppressed};

/// The entries of one envelope: written directly, or as a hook returned them.
pub(crate) struct ContainerPayload<'a, T> {
    pub(crate) items: &'a [T],
}

impl<T: Serialize> Serialize for ContainerPayload<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Container", 2)?;
        // With version 2 the server does not infer an IP address or user agent from the sender.
        out.serialize_field("version", &2)?;
        out.serialize_field("items", self.items)?;
        out.end()
    }
}

/// Writes the attributes of the application with their types. Ours follow.
pub(super) fn typed_entries<'a, M: SerializeMap>(mut map: M, given: &'a [(&'a str, FieldValue<'a>)]) -> Result<Entries<'a, M>, M::Error> {
    for (name, value) in given {
        match value {
            FieldValue::Text(text) if is_query_text(name) => {
                map.serialize_entry(name, &TypedValue::from(FieldValue::Text(&without_values(text, Dialect::among(given)))))?;
            }
            value => map.serialize_entry(name, &TypedValue::from(*value))?,
        }
    }
    Ok(Entries { map, given })
}

impl<M: SerializeMap> Entries<'_, M> {
    pub(super) fn add_typed(&mut self, name: &'static str, value: FieldValue<'_>) -> Result<(), M::Error> {
        self.add(name, &TypedValue::from(value))
    }

    pub(super) fn add_text(&mut self, name: &'static str, text: Option<&str>) -> Result<(), M::Error> {
        text.map_or(Ok(()), |text| self.add_typed(name, FieldValue::Text(text)))
    }

    /// Adds the attributes that every entry has.
    pub(super) fn add_facts(&mut self, facts: &Facts, user: Option<&str>) -> Result<(), M::Error> {
        self.add_text("sentry.environment", Some(&facts.environment))?;
        self.add_text("sentry.sdk.name", Some(SdkInfo::NAME))?;
        self.add_text("sentry.sdk.version", Some(SdkInfo::VERSION))?;
        self.add_text("sentry.release", facts.release.as_deref())?;
        self.add_text("server.address", facts.server_name.as_deref())?;
        self.add_text("user.id", user)
    }

    /// Adds how many similar entries were not sent, and when.
    pub(super) fn add_suppressed(&mut self, suppressed: Option<Suppressed>) -> Result<(), M::Error> {
        let Some(Suppressed { count, from, to }) = suppressed else { return Ok(()) };
        self.add_typed("tower_sentry.suppressed", FieldValue::U64(count))?;
        self.add_text("tower_sentry.suppressed_from", Some(&readable(from)))?;
        self.add_text("tower_sentry.suppressed_to", Some(&readable(to)))
    }
}

/// A value with its type. A server drops values whose type is missing or wrong.
#[derive(Serialize)]
struct TypedValue<'a> {
    #[serde(rename = "type")]
    kind: Constant,
    value: FieldValue<'a>,
}

impl<'a> From<FieldValue<'a>> for TypedValue<'a> {
    fn from(value: FieldValue<'a>) -> Self {
        let kind = match value {
            FieldValue::Bool(_) => "boolean",
            FieldValue::I64(_) => "integer",
            FieldValue::U64(value) if i64::try_from(value).is_ok() => "integer",
            FieldValue::F64(value) if value.is_finite() => "double",
            FieldValue::U64(_) | FieldValue::F64(_) | FieldValue::Text(_) => "string",
            FieldValue::List(_) => "array",
        };
        Self { kind: Constant(kind), value }
    }
}
