//! The fields that every payload gets from the process and its scope: contexts, tags and the user.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

use super::Facts;
use super::body;
use super::machine::{App, Device, Os, Runtime};
use super::request::RequestPayload;
use super::sdk::sdk;
use super::time::readable;
use super::trusted::Constant;
use super::value::Pairs;
use crate::event::CapturedEvent;
#[cfg(profiles)]
use crate::protocol::ProfileContext;
use crate::protocol::User;
use crate::record::{BodySample, Record, Suppressed};

/// Writes the fields that events and transactions get from the process and from the scope.
///
/// `path` is that of the request, with secret parameters hidden. Only events have bodies.
pub(super) fn common_fields<S: SerializeStruct>(
    out: &mut S,
    record: &Record,
    facts: &Facts,
    path: &str,
    has_bodies: bool,
) -> Result<(), S::Error> {
    if let Some(release) = &facts.release {
        out.serialize_field("release", release)?;
    }
    out.serialize_field("environment", &facts.environment)?;
    if let Some(server_name) = &facts.server_name {
        out.serialize_field("server_name", server_name)?;
    }
    out.serialize_field("sdk", &sdk())?;
    if !record.set.tags.is_empty() || !facts.tags.is_empty() {
        out.serialize_field("tags", &Pairs(|| tags(record, facts)))?;
    }
    if record.has_request {
        out.serialize_field("request", &RequestPayload { record, path, facts, has_body: has_bodies })?;
    }
    if let Some(user) = user(record) {
        out.serialize_field("user", &*user)?;
    }
    Ok(())
}

/// The context `tower_sentry`: counts of what is missing in a payload, and of similar events that were not sent.
struct Missing<'a> {
    record: &'a Record,
    /// The event, if the payload is one. Only events have breadcrumbs, and a count of similar events.
    event: Option<&'a CapturedEvent>,
}

impl Missing<'_> {
    fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let truncated = self.record.set.truncated.saturating_add(self.record.cut_texts);
        let breadcrumbs = self.event.map_or(0, |_| self.record.breadcrumbs.dropped);
        let suppressed = self.suppressed().map_or(0, |suppressed| suppressed.count);
        [("dropped_breadcrumbs", breadcrumbs.into()), ("truncated", truncated.into()), ("suppressed", suppressed)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
    }

    fn suppressed(&self) -> Option<Suppressed> {
        self.event.and_then(|event| event.suppressed)
    }
}

impl Serialize for Missing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, count) in self.counts() {
            map.serialize_entry(&Constant(name), &count)?;
        }
        if let Some(Suppressed { from, to, .. }) = self.suppressed() {
            map.serialize_entry(&Constant("suppressed_from"), &readable(from))?;
            map.serialize_entry(&Constant("suppressed_to"), &readable(to))?;
        }
        map.end()
    }
}

/// Writes the contexts that every payload has, and those of the scope except `trace`.
///
/// `event` is the event with the facts, if it is one: only events have breadcrumbs and bodies.
pub(super) fn common_contexts<M: SerializeMap>(
    map: &mut M,
    record: &Record,
    event: Option<(&CapturedEvent, &Facts)>,
) -> Result<(), M::Error> {
    let taken = |name: &str| record.set.contexts.iter().any(|(other, _)| other == name);
    if !taken("os") {
        map.serialize_entry(&Constant("os"), &Os)?;
    }
    if !taken("device") {
        map.serialize_entry(&Constant("device"), &Device)?;
    }
    if !taken("runtime") {
        map.serialize_entry(&Constant("runtime"), &Runtime)?;
    }
    if event.is_some() && !taken("app") {
        map.serialize_entry(&Constant("app"), &App)?;
    }
    let status = record.response.status;
    let kept = event.and_then(|(_, facts)| Some((record.set.rare()?.bodies.response.as_ref()?, facts)));
    match (kept, status) {
        _ if taken("response") => {}
        (Some(((headers, sample), facts)), _) => {
            map.serialize_entry(&Constant("response"), &ResponseContext { status, headers, sample: sample.as_deref(), facts })?;
        }
        (None, Some(status)) => {
            map.serialize_entry(&Constant("response"), &Pairs(|| std::iter::once((Constant("status_code"), status))))?;
        }
        (None, None) => {}
    }
    let missing = Missing { record, event: event.map(|(event, _)| event) };
    if missing.counts().next().is_some() {
        map.serialize_entry(&Constant("tower_sentry"), &missing)?;
    }
    #[cfg(profiles)]
    let has_profile = record.profiler_id.is_some() || record.profile.is_some();
    #[cfg(not(profiles))]
    let has_profile = false;
    #[cfg(profiles)]
    if record.profiler_id.is_some() {
        map.serialize_entry(&Constant("profile"), &ProfileContext { profile_id: None, profiler_id: record.profiler_id })?;
    }
    for (name, value) in record.set.contexts.iter().filter(|(name, _)| name != "trace" && !(has_profile && name == "profile")) {
        map.serialize_entry(name, value)?;
    }
    Ok(())
}

/// A response whose headers were kept.
struct ResponseContext<'a> {
    status: Option<u16>,
    headers: &'a HeaderMap,
    sample: Option<&'a BodySample>,
    facts: &'a Facts,
}

impl Serialize for ResponseContext<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { status, headers, sample, facts } = self;
        let mut out = serializer.serialize_struct("Response", 4)?;
        if let Some(status) = status {
            out.serialize_field("status_code", status)?;
        }
        out.serialize_field("headers", &ResponseHeaders { headers, withheld: facts.redaction.withheld() })?;
        if let Some(sample) = sample {
            out.serialize_field("body_size", &sample.read(|_, passed, _| passed))?;
        }
        if let Some(data) = sample.and_then(body::data) {
            out.serialize_field("data", &data)?;
        }
        out.end()
    }
}

/// Headers by name, in small letters; lines of one name are joined with a comma. A sensitive value is replaced.
struct ResponseHeaders<'a> {
    headers: &'a HeaderMap,
    withheld: Option<&'a str>,
}

impl Serialize for ResponseHeaders<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { headers, withheld } = self;
        let joined = |name: &HeaderName| {
            let lines = headers.get_all(name);
            if lines.iter().any(HeaderValue::is_sensitive) {
                return withheld.map(str::to_owned);
            }
            Some(lines.iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join(","))
        };
        serializer.collect_map(headers.keys().filter_map(|name| Some((name.as_str(), joined(name)?))))
    }
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
