//! Turns a redacted transaction into OTLP's spans.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::trace::v1::Span as OtlpSpan;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::attributes::{add, encoded, rename};
use super::names::{Named, kind, name};
use super::status::{has_failed, status};
use crate::protocol::{Span, SpanId, SpanLink, SpanStatus, Timestamp, TraceContext, TraceId, TransactionInfo, TransactionSource};

/// W3C's flag of a sampled trace.
const SAMPLED: u32 = 0x01;
/// It is known whether the parent, or the span of a link, is remote.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// The parts of a transaction that OTLP gets.
///
/// Values that the redactor may have replaced with a text are JSON here.
#[derive(Debug, Deserialize)]
pub(super) struct Document {
    transaction: String,
    transaction_info: TransactionInfo,
    start_timestamp: Timestamp,
    timestamp: Timestamp,
    #[serde(default)]
    pub(super) release: Option<String>,
    #[serde(default)]
    pub(super) environment: Option<String>,
    #[serde(default)]
    pub(super) server_name: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, Value>,
    #[serde(default)]
    user: Map<String, Value>,
    #[serde(default)]
    measurements: BTreeMap<String, Value>,
    contexts: TraceOnly,
    spans: Vec<Span>,
}

#[derive(Debug, Deserialize)]
struct TraceOnly {
    trace: TraceContext,
}

impl Document {
    /// The root span and all others.
    pub(super) fn into_spans(self) -> Vec<OtlpSpan> {
        let Self { transaction, transaction_info, start_timestamp, timestamp, tags, user, measurements, contexts, spans, .. } = self;
        let TraceContext { trace_id, span_id, parent_span_id, op, status, origin, mut data, links } = contexts.trace;
        for (field, value) in user {
            match field.as_str() {
                "ip_address" => add(&mut data, "client.address", value),
                "username" => add(&mut data, "user.name", value),
                _ => add(&mut data, format!("user.{field}"), value),
            }
        }
        for (name, measurement) in measurements {
            if let Value::Object(mut fields) = measurement {
                add(&mut data, name, fields.remove("value").unwrap_or_default());
            }
        }
        for (name, value) in tags {
            add(&mut data, name, value);
        }
        add(&mut data, "sentry.segment.name", transaction.as_str());
        let root = Parts {
            trace_id,
            span_id,
            parent: parent_span_id,
            is_root: true,
            op: op.unwrap_or_default(),
            text: transaction,
            source: Some(transaction_info.source),
            start: start_timestamp,
            end: timestamp,
            status,
            origin,
            data,
            links,
        };
        std::iter::once(root).chain(spans.into_iter().map(Parts::of)).map(Parts::into_span).collect()
    }
}

/// A span, be it the root or another.
struct Parts {
    trace_id: TraceId,
    span_id: SpanId,
    parent: Option<SpanId>,
    is_root: bool,
    op: String,
    text: String,
    source: Option<TransactionSource>,
    start: Timestamp,
    end: Timestamp,
    status: Option<SpanStatus>,
    origin: Option<String>,
    data: Map<String, Value>,
    links: Vec<SpanLink>,
}

impl Parts {
    fn of(span: Span) -> Self {
        let Span { span_id, parent_span_id, trace_id, op, description, start_timestamp, timestamp, status, origin, data, links } = span;
        Self {
            trace_id,
            span_id,
            parent: parent_span_id,
            is_root: false,
            op: op.unwrap_or_default(),
            text: description.unwrap_or_default(),
            source: None,
            start: start_timestamp,
            end: timestamp,
            status,
            origin,
            data,
            links,
        }
    }

    fn into_span(self) -> OtlpSpan {
        let Self { op, text, source, mut data, .. } = self;
        rename(&mut data);
        let kind = kind(&op);
        if is_query(&op) {
            // In Sentry, the description of a query is its text.
            add(&mut data, "db.query.text", text.as_str());
        }
        let name = name(Named { op: &op, text: &text, source }, &data);
        let status_in_sentry = self.status.unwrap_or_default();
        let code = data.get("http.response.status_code").and_then(Value::as_u64);
        let has_failed = has_failed(kind, status_in_sentry, code);
        if has_failed {
            let by_code = code.filter(|code| *code >= 400).map(|code| code.to_string());
            add(&mut data, "error.type", by_code.unwrap_or_else(|| status_in_sentry.as_str().to_owned()));
        }
        if source.is_none() && name != text && !text.is_empty() && data.get("db.query.text").and_then(Value::as_str) != Some(&text) {
            add(&mut data, "sentry.description", text);
        }
        add(&mut data, "sentry.op", op);
        if let Some(origin) = self.origin {
            add(&mut data, "sentry.origin", origin);
        }
        // OTLP has three of Sentry's seventeen.
        if status_in_sentry != SpanStatus::Ok {
            add(&mut data, "sentry.status", status_in_sentry.as_str());
        }
        let is_remote = match (self.is_root, kind) {
            (false, _) => HAS_IS_REMOTE,
            (true, SpanKind::Server | SpanKind::Consumer) => HAS_IS_REMOTE | IS_REMOTE,
            // Of another job, this does not say where its parent is.
            (true, _) => 0,
        };
        OtlpSpan {
            trace_id: self.trace_id.to_u128().to_be_bytes().to_vec(),
            span_id: self.span_id.to_u64().to_be_bytes().to_vec(),
            parent_span_id: self.parent.map(|parent| parent.to_u64().to_be_bytes().to_vec()).unwrap_or_default(),
            flags: SAMPLED | if self.parent.is_some() { is_remote } else { 0 },
            name,
            kind: kind.into(),
            start_time_unix_nano: self.start.as_nanos(),
            end_time_unix_nano: self.end.as_nanos(),
            attributes: encoded(data),
            links: self.links.into_iter().map(link).collect(),
            status: Some(status(has_failed)),
            ..OtlpSpan::default()
        }
    }
}

/// Whether the description of a span with this `op` is a statement.
fn is_query(op: &str) -> bool {
    matches!(op, "db" | "db.query") || op.starts_with("db.sql")
}

fn link(link: SpanLink) -> Link {
    let SpanLink { trace_id, span_id, sampled, attributes } = link;
    Link {
        trace_id: trace_id.to_u128().to_be_bytes().to_vec(),
        span_id: span_id.to_u64().to_be_bytes().to_vec(),
        attributes: encoded(attributes),
        flags: if sampled == Some(true) { SAMPLED } else { 0 },
        ..Link::default()
    }
}
