//! Serialises an event from the captured data and the scope it was captured in.

use serde::ser::{SerializeMap as _, SerializeStruct as _};
use serde::{Serialize, Serializer};
use tracing::Metadata;

use super::Facts;
use super::fields::{is_of_log, log_fields, understand};
use super::origin::Target;
use super::request::path;
use super::scope::{common_contexts, common_fields};
use super::sql::Dialect;
use super::time::time;
use super::trusted::{Constant, Id};
use super::value::{Attribute, Pairs};
use crate::event::{EventRecord, portable_path};
use crate::protocol::{Breadcrumb, DebugMeta, Exception, Level, Timestamp, TransactionInfo};
use crate::record::{BreadcrumbRecord, BreadcrumbSource, FieldReader, LogRecord, Record};

pub(crate) struct EventPayload<'a> {
    pub(crate) event: &'a EventRecord,
    /// The name of the transaction.
    pub(crate) name: &'a str,
    /// Innermost cause first, with mechanisms and frames.
    pub(crate) exceptions: &'a [Exception],
    pub(crate) images: &'a DebugMeta,
    /// The default fingerprint, used if the user has not set one.
    pub(crate) fingerprint: &'a [String],
    pub(crate) facts: &'a Facts,
}

impl Serialize for EventPayload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { event: EventRecord { captured, scope: record }, name, facts, exceptions, images, fingerprint } = self;
        let mut out = serializer.serialize_struct("Event", 19)?;
        out.serialize_field("event_id", &Id(captured.event_id))?;
        out.serialize_field("timestamp", &Timestamp::from_nanos(captured.at))?;
        out.serialize_field("platform", &Constant("native"))?;
        let rare = record.set.rare();
        out.serialize_field("level", &rare.and_then(|rare| rare.level).unwrap_or(captured.level))?;
        if let Some(log) = &captured.log {
            out.serialize_field("logger", &Target(log.metadata, &log.fields))?;
        }
        if !name.is_empty() {
            out.serialize_field("transaction", name)?;
            out.serialize_field("transaction_info", &TransactionInfo::from(record.source))?;
        }
        if let Some(message) = &captured.message {
            if captured.follows_name {
                out.serialize_field("logentry", &Message { message: &[*name, " ", message].concat() })?;
            } else {
                out.serialize_field("logentry", &Message { message })?;
            }
        }
        if !exceptions.is_empty() {
            out.serialize_field("exception", &Wrapped { values: exceptions })?;
        }
        if !record.breadcrumbs.is_empty() {
            let crumbs: Vec<_> = record.breadcrumbs.iter().map(|crumb| BreadcrumbPayload { record, crumb }).collect();
            out.serialize_field("breadcrumbs", &Wrapped { values: &crumbs })?;
        }
        common_fields(&mut out, record, facts, &path(record, facts), true)?;
        out.serialize_field("contexts", &EventContexts(self.event, self.facts))?;
        if let Some(rare) = rare.filter(|rare| !rare.extra.is_empty()) {
            out.serialize_field("extra", &Pairs(|| rare.extra.iter().map(|(name, value)| (name, value))))?;
        }
        let fingerprint = rare.map(|rare| rare.fingerprint.as_slice()).filter(|given| !given.is_empty()).unwrap_or(fingerprint);
        if !fingerprint.is_empty() {
            out.serialize_field("fingerprint", fingerprint)?;
        }
        if !images.is_empty() {
            out.serialize_field("debug_meta", images)?;
        }
        if !facts.modules.is_empty() {
            out.serialize_field("modules", &facts.modules)?;
        }
        out.end()
    }
}

#[derive(Serialize)]
struct Message<'a> {
    message: &'a str,
}

/// The protocol's wrapper around lists.
#[derive(Serialize)]
struct Wrapped<'a, T> {
    values: &'a [T],
}

struct EventContexts<'a>(&'a EventRecord, &'a Facts);

impl Serialize for EventContexts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut contexts = serializer.serialize_map(None)?;
        contexts.serialize_entry(&Constant("trace"), &EventTrace(self.0))?;
        let is_taken = self.0.scope.set.contexts.iter().any(|(name, _)| name == "fields");
        if let Some(log) = self.0.captured.log.as_ref().filter(|_| !is_taken) {
            contexts.serialize_entry(&Constant("fields"), &LogFields(log))?;
        }
        common_contexts(&mut contexts, &self.0.scope, Some((&self.0.captured, self.1)))?;
        contexts.end()
    }
}

/// The fields of a log except its message, and its place in the code.
struct LogFields<'a>(&'a LogRecord);

impl Serialize for LogFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(log) = self;
        let given = log_fields(log);
        let is_free = |name: &str| given.iter().all(|(taken, _)| *taken != name);
        let dialect = Dialect::among(&given);
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &given {
            map.serialize_entry(name, &Attribute(name, *value, dialect))?;
        }
        if let Some(file) = log.file().filter(|_| is_free("code.file.path")) {
            map.serialize_entry(&Constant("code.file.path"), portable_path(file))?;
        }
        if let Some(line) = log.line().filter(|_| is_free("code.line.number")) {
            map.serialize_entry(&Constant("code.line.number"), &line)?;
        }
        map.end()
    }
}

struct EventTrace<'a>(&'a EventRecord);

impl Serialize for EventTrace<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(EventRecord { captured, scope }) = self;
        let trace = &scope.trace;
        let mut out = serializer.serialize_struct("TraceContext", 4)?;
        out.serialize_field("trace_id", &Id(trace.trace_id))?;
        out.serialize_field("span_id", &Id(captured.span))?;
        if let Some(parent) = trace.parent.filter(|_| captured.span == trace.root) {
            out.serialize_field("parent_span_id", &Id(parent))?;
        }
        if !scope.op.is_empty() {
            out.serialize_field("op", scope.op)?;
        }
        out.end()
    }
}

struct BreadcrumbPayload<'a> {
    record: &'a Record,
    crumb: &'a BreadcrumbRecord,
}

impl Serialize for BreadcrumbPayload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metadata = match &self.crumb.source {
            BreadcrumbSource::Changed(_, breadcrumb, _) | BreadcrumbSource::Manual(breadcrumb, _) => {
                return breadcrumb.serialize(serializer);
            }
            BreadcrumbSource::Event(metadata) => *metadata,
        };
        StepPayload { at: time(self.record, self.crumb.at), metadata, fields: &self.crumb.fields }.serialize(serializer)
    }
}

/// The breadcrumb of a `tracing` event, for a hook. None if it cannot be read.
pub(crate) fn breadcrumb(at: Timestamp, metadata: &'static Metadata<'static>, fields: &[u8]) -> Option<Breadcrumb> {
    serde_json::to_vec(&StepPayload { at, metadata, fields }).and_then(|json| serde_json::from_slice(&json)).ok()
}

struct StepPayload<'a> {
    at: Timestamp,
    metadata: &'static Metadata<'static>,
    /// In the encoding of the record.
    fields: &'a [u8],
}

impl Serialize for StepPayload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metadata = self.metadata;
        let fields = || FieldReader::new(self.fields);
        let message = fields().find(|(key, _)| key.name(Some(metadata.fields())) == Some("message"));
        let mut out = serializer.serialize_struct("Breadcrumb", 5)?;
        out.serialize_field("timestamp", &self.at)?;
        out.serialize_field("category", &Target(metadata, self.fields))?;
        if let Some((_, message)) = message {
            out.serialize_field("message", &message)?;
        }
        out.serialize_field("level", &Level::from(metadata.level()))?;
        let mut attributes = understand(Some(metadata), fields()).attributes;
        attributes.retain(|(name, _)| *name != "message" && !is_of_log(metadata, name));
        if !attributes.is_empty() {
            let dialect = Dialect::among(&attributes);
            out.serialize_field("data", &Pairs(|| attributes.iter().map(|(name, value)| (name, Attribute(name, *value, dialect)))))?;
        }
        out.end()
    }
}
