//! Serialises payloads directly from the record, without building the protocol's values.
//!
//! What these views write is what [`protocol`](crate::protocol) reads; a test checks that they
//! agree.

mod event;
mod facts;
mod fields;
mod header;
mod log;
mod queries;
mod request;
mod sdk;
mod span;
mod sql;
mod transaction;

use std::borrow::Cow;
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

pub(crate) use event::EventPayload;
pub(crate) use facts::Facts;
pub(crate) use header::HeaderPayload;
pub(crate) use log::{LinePayload, LogsPayload};
pub(crate) use transaction::TransactionPayload;

use crate::protocol::{EventId, SpanId, Timestamp, TraceId, User};
use crate::record::{FieldValue, Moment, Record};
use crate::redaction::{COMPILED, ID};

/// The wall-clock time of a moment.
fn time(record: &Record, moment: Moment) -> Timestamp {
    Timestamp::from_nanos(record.started_at.saturating_add(moment.nanos_since(record.start)))
}

const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

/// `GET /users/{id}` for a request that is named by its route, else the given name alone.
pub(crate) fn name(record: &Record) -> String {
    let name = record.name.map(|name| record.str(name));
    if !record.has_request || record.source != crate::protocol::TransactionSource::Route {
        return name.unwrap_or_default().into_owned();
    }
    let method = record.str(record.request.method);
    // A client can invent methods, but the number of names must stay small. So unknown methods
    // become `_OTHER`, as in OpenTelemetry.
    let method = if METHODS.contains(&&*method) { &*method } else { "_OTHER" };
    [method, " ", name.as_deref().unwrap_or("<unmatched>")].concat()
}

/// Serialises the pairs from an iterator as a map.
///
/// Each serialisation creates the iterator anew, so this must be cheap.
struct Pairs<F>(F);

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
        }
    }
}

/// An attribute of a span or an event.
///
/// The text of a query is written without its values, and the key of a cache as a list, as the
/// protocol requires.
struct Attribute<'a>(&'a str, FieldValue<'a>);

impl Serialize for Attribute<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self(name, FieldValue::Text(text)) if queries::is_query_text(name) => serializer.serialize_str(&sql::without_values(text)),
            Self("cache.key", FieldValue::Text(key)) => serializer.collect_seq([key]),
            Self(_, value) => value.serialize(serializer),
        }
    }
}

/// A word of this crate: an attribute's name or a word of the protocol.
///
/// It is written as it is, neither redacted nor escaped.
#[derive(Clone, Copy)]
struct Word(&'static str);

impl Serialize for Word {
    #[expect(clippy::inline_always, reason = "a constant is copied as one")]
    #[inline(always)]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit_variant("Word", 0, self.0)
    }
}

/// A text of the program (a module, a file, a field's name). It cannot contain request data.
struct Compiled(&'static str);

impl Serialize for Compiled {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit_variant(COMPILED, 0, self.0)
    }
}

/// The digits of an id, written as they are.
#[derive(Clone, Copy)]
struct Id<T>(T);

macro_rules! ids {
    ($($id:ty: $digits:literal),*) => {$(
        impl Serialize for Id<$id> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_newtype_struct(ID, self.0.as_hex(&mut [0; $digits]))
            }
        }
    )*};
}
ids!(EventId: 32, TraceId: 32, SpanId: 16);

/// The digits are already written out.
impl Serialize for Id<&str> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(ID, self.0)
    }
}

/// One group of facts in `contexts`.
struct Group(&'static [(Word, Word)]);

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// Where the process runs: what the standard library knows without a system call.
const OS: Group = Group(&[(Word("name"), Word(std::env::consts::OS))]);
const DEVICE: Group = Group(&[(Word("arch"), Word(std::env::consts::ARCH))]);

/// Writes the contexts that every payload has, and those of the scope except `trace`.
fn common_contexts<M: SerializeMap>(map: &mut M, record: &Record) -> Result<(), M::Error> {
    let taken = |name: &str| record.set.contexts.iter().any(|(other, _)| other == name);
    if !taken("os") {
        map.serialize_entry(&Word("os"), &OS)?;
    }
    if !taken("device") {
        map.serialize_entry(&Word("device"), &DEVICE)?;
    }
    if let Some(status) = record.response.status.filter(|_| !taken("response")) {
        map.serialize_entry(&Word("response"), &Pairs(|| std::iter::once((Word("status_code"), status))))?;
    }
    for (name, value) in record.set.contexts.iter().filter(|(name, _)| name != "trace") {
        map.serialize_entry(name, value)?;
    }
    Ok(())
}

/// The tags of the process and of the scope. The scope's tags win.
fn tags<'a>(record: &'a Record, facts: &'a Facts) -> impl Iterator<Item = (&'a str, &'a str)> {
    let own = move |name: &str| record.set.tags.iter().any(|(other, _)| other == name);
    facts
        .tags
        .iter()
        .filter(move |(name, _)| !own(name))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .chain(record.set.tags.iter().map(|(name, value)| (name.as_ref(), value.as_str())))
}

/// The user. Without an IP address it gets the client's address, if that is known.
fn user(record: &Record) -> Option<Cow<'_, User>> {
    let user = record.set.user.as_deref();
    match record.request.client {
        Some(client) if user.is_none_or(|user| user.ip_address.is_none()) => {
            let mut user = user.cloned().unwrap_or_default();
            user.ip_address = Some(client.to_string());
            Some(Cow::Owned(user))
        }
        _ => user.map(Cow::Borrowed),
    }
}

fn has_tags(record: &Record, facts: &Facts) -> bool {
    !record.set.tags.is_empty() || !facts.tags.is_empty()
}
