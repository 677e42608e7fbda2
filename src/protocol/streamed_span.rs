//! Spans that are sent on their own ("span v2").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Contexts, EventId, LogAttribute, Request, Span, SpanId, SpanLink, SpanStatus, Timestamp, TraceContext, TraceId, Transaction,
    TransactionInfo, TransactionSource, User,
};

/// A span that is sent on its own, in a container with others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StreamedSpan {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent_span_id: Option<SpanId>,
    pub(crate) name: SpanText,
    pub(crate) status: StreamedStatus,
    /// Whether it is the span of the request or job itself.
    pub(crate) is_segment: bool,
    pub(crate) start_timestamp: Timestamp,
    pub(crate) end_timestamp: Timestamp,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attributes: BTreeMap<String, LogAttribute>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<StreamedLink>,
}

/// The name of a span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum SpanText {
    /// That of a request or job. The redactor keeps digests in it, so that different names stay different.
    Segment(SegmentName),
    Span(String),
}

impl SpanText {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Segment(SegmentName(name)) | Self::Span(name) => name,
        }
    }
}

/// The name of a request or job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "$tower_sentry::SegmentName")]
pub(crate) struct SegmentName(pub(crate) String);

impl SegmentName {
    /// The name by which the redactor knows it.
    pub(crate) const NAME: &str = "$tower_sentry::SegmentName";
}

/// How a span ended. The attribute `sentry.status` has the exact status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StreamedStatus {
    Ok,
    Error,
}

impl From<SpanStatus> for StreamedStatus {
    fn from(status: SpanStatus) -> Self {
        if status == SpanStatus::Ok { Self::Ok } else { Self::Error }
    }
}

/// A link, whose attributes have types.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StreamedLink {
    trace_id: TraceId,
    span_id: SpanId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sampled: Option<bool>,
    #[serde(default, skip_serializing_if = "TypedAttributes::is_empty")]
    attributes: TypedAttributes,
}

/// Attributes with their types, at a place that does not show the redactor that they have types.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename = "$tower_sentry::TypedAttributes")]
pub(crate) struct TypedAttributes(BTreeMap<String, LogAttribute>);

impl TypedAttributes {
    /// The name by which the redactor knows it.
    pub(crate) const NAME: &str = "$tower_sentry::TypedAttributes";

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<SpanLink> for StreamedLink {
    fn from(SpanLink { trace_id, span_id, sampled, attributes }: SpanLink) -> Self {
        Self { trace_id, span_id, sampled, attributes: TypedAttributes(typed(attributes)) }
    }
}

impl From<StreamedLink> for SpanLink {
    fn from(StreamedLink { trace_id, span_id, sampled, attributes }: StreamedLink) -> Self {
        let mut link = Self::new(trace_id, span_id);
        link.sampled = sampled;
        link.attributes = attributes.0.into_iter().map(|(name, attribute)| (name, attribute.value)).collect();
        link
    }
}

/// Attributes with their types.
pub(crate) fn typed(attributes: Map<String, Value>) -> BTreeMap<String, LogAttribute> {
    attributes.into_iter().filter_map(|(name, value)| Some((name, LogAttribute::of_json(value)?))).collect()
}

impl StreamedSpan {
    /// The container's type.
    pub(crate) const MEDIA_TYPE: &str = "application/vnd.sentry.items.span.v2+json";

    fn text(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute)?.value.as_str()
    }

    fn known_status(&self) -> SpanStatus {
        let unknown = if self.status == StreamedStatus::Ok { SpanStatus::Ok } else { SpanStatus::InternalError };
        self.text("sentry.status").and_then(|status| serde_json::from_value(status.into()).ok()).unwrap_or(unknown)
    }

    /// The span as a transaction contains it.
    fn into_span(self) -> Span {
        let (op, origin) = (self.text("sentry.op").map(str::to_owned), self.text("sentry.origin").map(str::to_owned));
        Span {
            status: Some(self.known_status()),
            span_id: self.span_id,
            parent_span_id: self.parent_span_id,
            trace_id: self.trace_id,
            op,
            description: Some(self.name.as_str().to_owned()),
            start_timestamp: self.start_timestamp,
            timestamp: self.end_timestamp,
            origin,
            data: untyped(self.attributes),
            links: self.links.into_iter().map(Into::into).collect(),
        }
    }
}

/// Attributes that a transaction has in another place, or that exist only because the span was streamed.
const OF_FORM: [&str; 12] = [
    "sentry.environment",
    "sentry.op",
    "sentry.origin",
    "sentry.platform",
    "sentry.release",
    "sentry.sdk.name",
    "sentry.sdk.version",
    "sentry.segment.id",
    "sentry.segment.name",
    "sentry.segment.name.source",
    "sentry.status",
    "sentry.trace_lifecycle",
];

fn untyped(attributes: BTreeMap<String, LogAttribute>) -> Map<String, Value> {
    let own = attributes.into_iter().filter(|(name, _)| !OF_FORM.contains(&name.as_str()));
    own.map(|(name, attribute)| (name, attribute.value)).collect()
}

/// Builds transactions from spans, in the order in which their first spans came.
///
/// If the span of a request or job itself is missing, the transaction has the name and the times that its other spans
/// show. Tags and contexts of the application stay attributes of the root.
pub(crate) fn put_together(spans: Vec<StreamedSpan>) -> Vec<Transaction> {
    let mut transactions: Vec<(SpanId, Transaction, bool)> = Vec::new();
    for span in spans {
        let id = span.text("sentry.segment.id").and_then(|id| id.parse().ok()).unwrap_or(span.span_id);
        let place = transactions.iter().position(|(segment, ..)| *segment == id).unwrap_or_else(|| {
            transactions.push((id, unknown(&span, id), false));
            transactions.len() - 1
        });
        let Some((_, transaction, is_known)) = transactions.get_mut(place) else { continue };
        if span.is_segment {
            *is_known = true;
            describe(transaction, span);
        } else {
            if !*is_known {
                transaction.start_timestamp = transaction.start_timestamp.min(span.start_timestamp);
                transaction.timestamp = transaction.timestamp.max(span.end_timestamp);
            }
            transaction.spans.push(span.into_span());
        }
    }
    let mut transactions: Vec<_> = transactions.into_iter().map(|(_, transaction, _)| transaction).collect();
    for transaction in &mut transactions {
        transaction.spans.sort_by_key(|span| span.start_timestamp);
    }
    transactions
}

/// A transaction of which only one span is known.
fn unknown(span: &StreamedSpan, segment: SpanId) -> Transaction {
    let trace = TraceContext {
        trace_id: span.trace_id,
        span_id: segment,
        parent_span_id: None,
        op: None,
        status: Some(SpanStatus::Unknown),
        origin: None,
        data: Map::new(),
        links: Vec::new(),
    };
    let fact = |name: &str| span.text(name).map(str::to_owned);
    Transaction {
        event_id: EventId::new(),
        kind: "transaction".to_owned(),
        platform: fact("sentry.platform").unwrap_or_default(),
        name: fact("sentry.segment.name").unwrap_or_default(),
        transaction_info: TransactionInfo::from(TransactionSource::default()),
        start_timestamp: span.start_timestamp,
        timestamp: span.end_timestamp,
        release: fact("sentry.release"),
        environment: fact("sentry.environment"),
        server_name: None,
        sdk: None,
        tags: BTreeMap::new(),
        contexts: Contexts { trace: Some(trace), ..Contexts::default() },
        request: None,
        user: None,
        measurements: BTreeMap::new(),
        spans: Vec::new(),
    }
}

fn describe(transaction: &mut Transaction, segment: StreamedSpan) {
    segment.name.as_str().clone_into(&mut transaction.name);
    let source: Option<TransactionSource> =
        segment.text("sentry.segment.name.source").and_then(|source| serde_json::from_value(source.into()).ok());
    transaction.transaction_info = TransactionInfo::from(source.unwrap_or_default());
    (transaction.start_timestamp, transaction.timestamp) = (segment.start_timestamp, segment.end_timestamp);
    let Span { trace_id, span_id, parent_span_id, op, status, origin, mut data, links, .. } = segment.into_span();
    transaction.server_name = data.remove("host.name").and_then(text);
    transaction.request = request(&mut data);
    let mut user = group(&mut data, "user.");
    let mut field = |name: &str| user.remove(name).and_then(text);
    let (id, email, username, ip_address) = (field("id"), field("email"), field("name"), field("ip_address"));
    let user = User { id, email, username, ip_address, data: user };
    transaction.user = Some(user).filter(|user| *user != User::default());
    for (name, prefix) in [("os", "os."), ("device", "device."), ("runtime", "process.runtime.")] {
        let context = group(&mut data, prefix);
        if !context.is_empty() {
            transaction.contexts.other.insert(name.to_owned(), context.into());
        }
    }
    transaction.contexts.trace = Some(TraceContext { trace_id, span_id, parent_span_id, op, status, origin, data, links });
}

/// Takes out the attributes whose names begin with `prefix`.
fn group(data: &mut Map<String, Value>, prefix: &str) -> Map<String, Value> {
    let names: Vec<String> = data.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
    names.into_iter().filter_map(|name| Some((name.get(prefix.len()..)?.to_owned(), data.remove(&name)?))).collect()
}

/// The request, if there was one.
fn request(data: &mut Map<String, Value>) -> Option<Request> {
    let url = data.remove("url.full").and_then(text);
    let joined = |(name, lines): (String, Value)| {
        let between = if name == "cookie" { "; " } else { "," };
        let lines: Vec<_> = match lines {
            Value::Array(lines) => lines.into_iter().filter_map(text).collect(),
            line => text(line).into_iter().collect(),
        };
        (name, lines.join(between))
    };
    let headers = group(data, "http.request.header.").into_iter().map(joined).collect();
    let known = |name: &str| data.get(name).and_then(Value::as_str).map(str::to_owned);
    let (method, query_string) = (known("http.request.method"), known("url.query"));
    Some(Request { method, url, query_string, headers, ..Request::default() }).filter(|request| *request != Request::default())
}

fn text(value: Value) -> Option<String> {
    if let Value::String(text) = value { Some(text) } else { None }
}
