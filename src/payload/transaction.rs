//! Serialises a transaction from its record.

use serde::ser::{SerializeMap, SerializeSeq as _, SerializeStruct as _};
use serde::{Serialize, Serializer};

use super::Facts;
use super::entries::{Entries, Links};
use super::fields::{Understood, understand};
use super::queries::{Repeated, repeated};
use super::request::path;
use super::scope::{common_contexts, common_fields};
use super::span::{SpanPayload, place_of};
use super::sql::Dialect;
use super::time::{millis, time};
use super::trusted::{Constant, Id};
use super::value::Attribute;
use crate::protocol::{EventId, ProfileContext, SpanStatus, TransactionInfo};
use crate::record::{FieldValue, Parent, Record};

pub(crate) struct TransactionPayload<'a> {
    pub(crate) event_id: EventId,
    pub(crate) record: &'a Record,
    /// Its name.
    pub(crate) name: &'a str,
    /// The id of its profile.
    pub(crate) profile: Option<EventId>,
    pub(crate) facts: &'a Facts,
}

impl Serialize for TransactionPayload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { record, name, facts, .. } = self;
        let mut out = serializer.serialize_struct("Transaction", 18)?;
        out.serialize_field("event_id", &Id(self.event_id))?;
        out.serialize_field("type", &Constant("transaction"))?;
        out.serialize_field("platform", &Constant("native"))?;
        out.serialize_field("transaction", name)?;
        out.serialize_field("transaction_info", &TransactionInfo::from(record.source))?;
        out.serialize_field("start_timestamp", &time(record, record.start))?;
        out.serialize_field("timestamp", &time(record, record.end))?;
        let path = path(record, facts);
        common_fields(&mut out, record, facts, &path, false)?;
        let understood = understand(record.of_span.map(|(_, metadata)| metadata), record.root_fields());
        out.serialize_field("contexts", &TransactionContexts { record, path: &path, understood: &understood, profile: self.profile })?;
        if let Some(rare) = record.rare.as_deref().filter(|rare| !rare.measurements.is_empty()) {
            out.serialize_field("measurements", &rare.measurements)?;
        }
        out.serialize_field("spans", &Spans(record, facts))?;
        out.end()
    }
}

struct TransactionContexts<'a> {
    record: &'a Record,
    path: &'a str,
    /// The meaning of the root's fields.
    understood: &'a Understood<'a>,
    profile: Option<EventId>,
}

impl Serialize for TransactionContexts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut contexts = serializer.serialize_map(None)?;
        let Self { record, path, understood, profile } = *self;
        contexts.serialize_entry(&Constant("trace"), &RootSpan { record, path, understood })?;
        if let Some(profile_id) = profile {
            contexts.serialize_entry(&Constant("profile"), &ProfileContext { profile_id: Some(profile_id), profiler_id: None })?;
        }
        common_contexts(&mut contexts, record, None)?;
        contexts.end()
    }
}

/// The root span, which is part of the trace context.
struct RootSpan<'a> {
    record: &'a Record,
    path: &'a str,
    understood: &'a Understood<'a>,
}

impl Serialize for RootSpan<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { record, path, understood: Understood { op, status, attributes, .. } } = *self;
        let mut out = serializer.serialize_struct("TraceContext", 8)?;
        out.serialize_field("trace_id", &Id(record.trace.trace_id))?;
        out.serialize_field("span_id", &Id(record.trace.root))?;
        if let Some(parent) = record.trace.parent {
            out.serialize_field("parent_span_id", &Id(parent))?;
        }
        out.serialize_field("op", op.as_deref().unwrap_or(record.op))?;
        out.serialize_field("status", &status.or(record.status).unwrap_or(SpanStatus::Ok))?;
        out.serialize_field("origin", &Constant(record.origin))?;
        out.serialize_field("data", &RootAttributes { record, path, attributes })?;
        if record.links(Parent::Root).next().is_some() {
            out.serialize_field("links", &Links(|| record.links(Parent::Root)))?;
        }
        out.end()
    }
}

struct RootAttributes<'a> {
    record: &'a Record,
    path: &'a str,
    /// The attributes of the application.
    attributes: &'a [(&'a str, FieldValue<'a>)],
}

/// Servers compute with this attribute, so the application cannot replace it.
const SAMPLE_RATE: &str = "sentry.sample_rate";

impl Serialize for RootAttributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { record, path, attributes } = *self;
        let mut data = serializer.serialize_map(None)?;
        // The same as in the envelope's header: a kept transaction stands for itself alone.
        let sample_rate = if record.kept.is_some() { 1.0 } else { record.trace.sample_rate };
        data.serialize_entry(&Constant(SAMPLE_RATE), &sample_rate)?;
        let mut data = Entries { map: data, given: attributes };
        if let Some(reason) = record.kept.filter(|_| !record.trace.sampled) {
            data.add("tower_sentry.kept", reason)?;
        }
        if record.dropped_spans > 0 {
            data.add("tower_sentry.dropped_spans", &record.dropped_spans)?;
        }
        if record.dropped_fields > 0 {
            data.add("tower_sentry.dropped_fields", &record.dropped_fields)?;
        }
        if record.trace.is_baggage_cut {
            data.add("tower_sentry.cut_baggage", &true)?;
        }
        if let Some(Repeated { query, count, nanos }) = repeated(record) {
            data.add("tower_sentry.n_plus_one.query", &query)?;
            data.add("tower_sentry.n_plus_one.count", &count)?;
            data.add("tower_sentry.n_plus_one.ms", &millis(nanos))?;
        }
        if record.has_request {
            let request = &record.request;
            data.add("http.request.method", &record.str(request.method))?;
            if let Some(route) = record.route {
                data.add("http.route", &record.str(route))?;
            }
            data.add("url.path", path)?;
            if let Some(query) = request.query {
                data.add("url.query", &record.str(query))?;
            }
            data.add("url.scheme", &record.str(request.scheme))?;
            let host = record.str(request.host);
            let (address, port) = match host.rsplit_once(':').and_then(|(address, port)| Some((address, port.parse::<u16>().ok()?))) {
                Some((address, port)) => (address, Some(port)),
                None => (&*host, None),
            };
            if !address.is_empty() {
                data.add("server.address", address)?;
            }
            if let Some(port) = port {
                data.add("server.port", &port)?;
            }
            if let Some(version) = request.version {
                data.add("network.protocol.version", &Constant(version_text(version)))?;
            }
            if let Some(size) = record.header("content-length").and_then(|size| size.parse::<u64>().ok()) {
                data.add("http.request.body.size", &size)?;
            }
            if let Some(agent) = record.header("user-agent") {
                data.add("user_agent.original", &agent)?;
            }
            if let Some(client) = request.client {
                data.add("client.address", &format_args!("{client}"))?;
            }
            response(&mut data, record)?;
        }
        if let Some((_, metadata)) = record.of_span {
            place_of(metadata, &mut data)?;
        }
        let dialect = Dialect::among(attributes);
        for (name, value) in attributes.iter().filter(|(name, _)| *name != SAMPLE_RATE) {
            data.map.serialize_entry(name, &Attribute(name, *value, dialect))?;
        }
        data.map.end()
    }
}

/// Writes the known facts about the response.
fn response<M: SerializeMap>(data: &mut Entries<'_, M>, record: &Record) -> Result<(), M::Error> {
    let response = &record.response;
    if let Some(status) = response.status {
        data.add("http.response.status_code", &status)?;
        data.add("http.response.body.size", &response.body_bytes)?;
        data.add("tower_sentry.body_frames", &response.frames)?;
    }
    if let Some(code) = response.grpc_status {
        data.add("rpc.grpc.status_code", &code)?;
    }
    if response.first_byte.is_known() {
        data.add("tower_sentry.first_byte_ms", &millis(response.first_byte.nanos_since(record.start)))?;
    }
    if record.queued > 0 {
        data.add("tower_sentry.queue_ms", &millis(record.queued))?;
    }
    // A single poll is busy for as long as the request takes, so its times say nothing new.
    if response.polls.count > 1 {
        data.add("tower_sentry.polls", &response.polls.count)?;
        data.add("tower_sentry.busy_ms", &millis(u64::from(response.polls.busy) * 1_000))?;
        data.add("tower_sentry.longest_poll_ms", &millis(u64::from(response.polls.longest) * 1_000))?;
    }
    if let Some(place) = response.cancelled {
        data.add("tower_sentry.cancelled", &Constant(place))?;
    }
    if response.is_unread {
        data.add("tower_sentry.body_unread", &true)?;
    }
    if response.is_cut {
        data.add("tower_sentry.cut", &true)?;
    }
    Ok(())
}

fn version_text(version: ::http::Version) -> &'static str {
    match version {
        ::http::Version::HTTP_09 => "0.9",
        ::http::Version::HTTP_10 => "1.0",
        ::http::Version::HTTP_2 => "2",
        ::http::Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

struct Spans<'a>(&'a Record, &'a Facts);

impl Serialize for Spans<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut spans = serializer.serialize_seq(None)?;
        let mut understood = Understood::default();
        let mut digits = [0; 32];
        let trace_id = Id(self.0.trace.trace_id.as_hex(&mut digits));
        for (index, span) in self.0.spans.iter().enumerate().filter(|(_, span)| !span.is_left_out) {
            understood.read(span.name.metadata(), self.0.span_fields(index));
            spans.serialize_element(&SpanPayload { record: self.0, index, understood: &understood, trace_id, facts: self.1 })?;
        }
        spans.end()
    }
}
