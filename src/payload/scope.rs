//! What every payload has from the process and from its scope: contexts, tags and the user.

use std::borrow::Cow;

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

use super::Facts;
use super::request::RequestPayload;
use super::sdk::sdk;
use super::trusted::Constant;
use super::value::Pairs;
use crate::protocol::User;
use crate::record::Record;

/// Writes the fields that events and transactions have from the process and from the scope.
///
/// `path` is that of the request, with secret parameters hidden.
pub(super) fn common_fields<S: SerializeStruct>(out: &mut S, record: &Record, facts: &Facts, path: &str) -> Result<(), S::Error> {
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
        out.serialize_field("request", &RequestPayload { record, path, facts })?;
    }
    if let Some(user) = user(record) {
        out.serialize_field("user", &*user)?;
    }
    Ok(())
}

/// One of the `contexts`, from constants.
struct ConstantContext(&'static [(Constant, Constant)]);

impl Serialize for ConstantContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// Where the process runs: what the standard library knows without a system call.
const OS: ConstantContext = ConstantContext(&[(Constant("name"), Constant(std::env::consts::OS))]);
const DEVICE: ConstantContext = ConstantContext(&[(Constant("arch"), Constant(std::env::consts::ARCH))]);

/// Writes the contexts that every payload has, and those of the scope except `trace`.
///
/// Only events have breadcrumbs.
pub(super) fn common_contexts<M: SerializeMap>(map: &mut M, record: &Record, counts_breadcrumbs: bool) -> Result<(), M::Error> {
    let taken = |name: &str| record.set.contexts.iter().any(|(other, _)| other == name);
    if !taken("os") {
        map.serialize_entry(&Constant("os"), &OS)?;
    }
    if !taken("device") {
        map.serialize_entry(&Constant("device"), &DEVICE)?;
    }
    if let Some(status) = record.response.status.filter(|_| !taken("response")) {
        map.serialize_entry(&Constant("response"), &Pairs(|| std::iter::once((Constant("status_code"), status))))?;
    }
    let truncated = record.set.truncated.saturating_add(record.cut_texts);
    let lost = [("dropped_breadcrumbs", if counts_breadcrumbs { record.breadcrumbs.dropped } else { 0 }), ("truncated", truncated)];
    if lost.iter().any(|(_, count)| *count > 0) {
        let known = || lost.iter().filter(|(_, count)| *count > 0).map(|(name, count)| (Constant(name), *count));
        map.serialize_entry(&Constant("tower_sentry"), &Pairs(known))?;
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
