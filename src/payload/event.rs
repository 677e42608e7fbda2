//! Serialises an event from the captured data and the scope it was captured in.

use serde::ser::{SerializeMap as _, SerializeSeq as _, SerializeStruct as _};
use serde::{Serialize, Serializer};

use super::fields::{name_of, plain, understand};
use super::request::{RequestPayload, path};
use super::sdk::Sdk;
use super::{Attribute, Compiled, Id, Pairs, Word, common_contexts, has_tags, tags, time, user};
use crate::event::EventRecord;
use crate::payload::Facts;
use crate::protocol::{DebugMeta, Exception, Level, Timestamp, TransactionInfo};
use crate::record::{BreadcrumbRecord, BreadcrumbSource, FieldReader, LogRecord, Record};

pub(crate) struct EventPayload<'a> {
    pub(crate) event: &'a EventRecord,
    /// The name of its transaction.
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
        let mut out = serializer.serialize_struct("Event", 18)?;
        out.serialize_field("event_id", &Id(captured.event_id))?;
        out.serialize_field("timestamp", &Timestamp::from_nanos(captured.at))?;
        out.serialize_field("platform", &Word("native"))?;
        let rare = record.set.rare();
        out.serialize_field("level", &rare.and_then(|rare| rare.level).unwrap_or(captured.level))?;
        if let Some(log) = &captured.log {
            out.serialize_field("logger", &Compiled(log.metadata.target()))?;
        }
        if !name.is_empty() {
            out.serialize_field("transaction", name)?;
            out.serialize_field("transaction_info", &TransactionInfo::from(record.source))?;
        }
        if let Some(server_name) = &facts.server_name {
            out.serialize_field("server_name", server_name)?;
        }
        if let Some(release) = &facts.release {
            out.serialize_field("release", release)?;
        }
        out.serialize_field("environment", &facts.environment)?;
        out.serialize_field("sdk", &Sdk)?;
        if let Some(message) = &captured.message {
            if captured.follows_name {
                out.serialize_field("logentry", &Message(&[*name, " ", message].concat()))?;
            } else {
                out.serialize_field("logentry", &Message(message))?;
            }
        }
        if !exceptions.is_empty() {
            out.serialize_field("exception", &Values(|| exceptions.iter()))?;
        }
        if !record.breadcrumbs.is_empty() {
            let crumbs = || record.breadcrumbs.iter().map(|crumb| BreadcrumbPayload { record, crumb });
            out.serialize_field("breadcrumbs", &Values(crumbs))?;
        }
        if record.has_request {
            out.serialize_field("request", &RequestPayload { record, path: &path(record, facts) })?;
        }
        if let Some(user) = user(record) {
            out.serialize_field("user", &*user)?;
        }
        out.serialize_field("contexts", &Contexts(self.event))?;
        if has_tags(record, facts) {
            out.serialize_field("tags", &Pairs(|| tags(record, facts)))?;
        }
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
        out.end()
    }
}

struct Message<'a>(&'a str);

impl Serialize for Message<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("LogEntry", 1)?;
        out.serialize_field("message", self.0)?;
        out.end()
    }
}

/// The protocol's wrapper around lists.
struct Values<F>(F);

impl<F, I> Serialize for Values<F>
where
    F: Fn() -> I,
    I: ExactSizeIterator,
    I::Item: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct List<'a, F>(&'a F);
        impl<F, I> Serialize for List<'_, F>
        where
            F: Fn() -> I,
            I: ExactSizeIterator,
            I::Item: Serialize,
        {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let items = (self.0)();
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&item)?;
                }
                list.end()
            }
        }
        let mut out = serializer.serialize_struct("Values", 1)?;
        out.serialize_field("values", &List(&self.0))?;
        out.end()
    }
}

struct Contexts<'a>(&'a EventRecord);

impl Serialize for Contexts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut contexts = serializer.serialize_map(None)?;
        contexts.serialize_entry(&Word("trace"), &Trace(self.0))?;
        let is_taken = self.0.scope.set.contexts.iter().any(|(name, _)| name == "fields");
        if let Some(log) = self.0.captured.log.as_ref().filter(|_| !is_taken) {
            contexts.serialize_entry(&Word("fields"), &LogFields(log))?;
        }
        common_contexts(&mut contexts, &self.0.scope)?;
        contexts.end()
    }
}

/// The fields of a log except its message, and its place in the code.
struct LogFields<'a>(&'a LogRecord);

impl Serialize for LogFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(log) = self;
        let given = plain(log);
        let is_free = |name: &str| given.iter().all(|(taken, _)| *taken != name);
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &given {
            map.serialize_entry(&Compiled(name), &Attribute(name, *value))?;
        }
        if let Some(file) = log.metadata.file().filter(|_| is_free("code.file.path")) {
            map.serialize_entry(&Word("code.file.path"), &Compiled(file))?;
        }
        if let Some(line) = log.metadata.line().filter(|_| is_free("code.line.number")) {
            map.serialize_entry(&Word("code.line.number"), &line)?;
        }
        map.end()
    }
}

struct Trace<'a>(&'a EventRecord);

impl Serialize for Trace<'_> {
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
            BreadcrumbSource::Manual(breadcrumb, _) => return breadcrumb.serialize(serializer),
            BreadcrumbSource::Event(metadata) => *metadata,
        };
        let fields = || FieldReader::new(&self.crumb.fields);
        let message = fields().find(|(key, _)| name_of(Some(metadata.fields()), *key).as_deref() == Some("message"));
        let mut out = serializer.serialize_struct("Breadcrumb", 5)?;
        out.serialize_field("timestamp", &time(self.record, self.crumb.at))?;
        out.serialize_field("category", &Compiled(metadata.target()))?;
        if let Some((_, message)) = message {
            out.serialize_field("message", &message)?;
        }
        out.serialize_field("level", &Level::from(metadata.level()))?;
        let attributes = understand(Some(metadata), fields()).attributes;
        if attributes.iter().any(|(name, _)| **name != *"message") {
            out.serialize_field(
                "data",
                &Pairs(|| attributes.iter().filter(|(name, _)| **name != *"message").map(|(name, value)| (name, Attribute(name, *value)))),
            )?;
        }
        out.end()
    }
}
