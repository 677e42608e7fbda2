//! Spans.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{SpanId, SpanLink, SpanStatus, Timestamp, TraceId};

/// An operation inside a transaction.
///
/// If one span has invalid ids or times, the server drops the whole transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Span {
    /// The id of the span.
    pub span_id: SpanId,
    /// The id of the parent span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<SpanId>,
    /// The id of the trace, the same as the transaction's.
    pub trace_id: TraceId,
    /// The kind of work, such as `db.query`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// The operation in more detail, such as a query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The start time.
    pub start_timestamp: Timestamp,
    /// The end time.
    ///
    /// It is never before the start time.
    pub timestamp: Timestamp,
    /// The status at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<SpanStatus>,
    /// The instrumentation that recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Attributes.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
    /// Spans that this one refers to, besides its parent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<SpanLink>,
}

impl Span {
    /// Creates a span below `parent`, for hooks that add one.
    pub fn new(trace_id: TraceId, parent: SpanId, op: impl Into<String>, start: Timestamp, end: Timestamp) -> Self {
        Self {
            span_id: SpanId::new(),
            parent_span_id: Some(parent),
            trace_id,
            op: Some(op.into()),
            description: None,
            start_timestamp: start,
            timestamp: end.max(start),
            status: Some(SpanStatus::Ok),
            origin: Some("manual".to_owned()),
            data: Map::new(),
            links: Vec::new(),
        }
    }
}
