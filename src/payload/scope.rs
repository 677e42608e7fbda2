//! What every payload has from the process and from its scope: contexts, tags and the user.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Facts;
use super::trusted::Constant;
use super::value::Pairs;
use crate::protocol::User;
use crate::record::Record;

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
pub(super) fn common_contexts<M: SerializeMap>(map: &mut M, record: &Record) -> Result<(), M::Error> {
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
    for (name, value) in record.set.contexts.iter().filter(|(name, _)| name != "trace") {
        map.serialize_entry(name, value)?;
    }
    Ok(())
}

/// The tags of the process and of the scope. The scope's tags win.
pub(super) fn tags<'a>(record: &'a Record, facts: &'a Facts) -> impl Iterator<Item = (&'a str, &'a str)> {
    let own = move |name: &str| record.set.tags.iter().any(|(other, _)| other == name);
    facts
        .tags
        .iter()
        .filter(move |(name, _)| !own(name))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .chain(record.set.tags.iter().map(|(name, value)| (name.as_ref(), value.as_str())))
}

/// The user. Without an IP address it gets the client's address, if that is known.
pub(super) fn user(record: &Record) -> Option<Cow<'_, User>> {
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

pub(super) fn has_tags(record: &Record, facts: &Facts) -> bool {
    !record.set.tags.is_empty() || !facts.tags.is_empty()
}
