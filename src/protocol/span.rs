//! A piece of work inside a transaction.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{SpanId, SpanStatus, Timestamp, TraceId};

/// A piece of work inside a transaction. One span without valid ids or times makes the server drop the whole transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Span {
    /// Its id.
    pub span_id: SpanId,
    /// The span above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<SpanId>,
    /// The trace, the same as the transaction's.
    pub trace_id: TraceId,
    /// The kind of work, such as `db.query`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// What was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When it began.
    pub start_timestamp: Timestamp,
    /// When it ended; never before it began.
    pub timestamp: Timestamp,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<SpanStatus>,
    /// What recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Attributes.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}

impl Span {
    /// A span below `parent`, for hooks that add one.
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
        }
    }
}
