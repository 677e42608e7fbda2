//! Named groups of facts about an event.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{SpanId, SpanStatus, TraceId};

/// Named groups of facts. `trace` is always there; the others are open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Contexts {
    /// The ids that tie the event to its trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    /// All others, by name.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The ids that tie an event to its trace; on a transaction also what the root span was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that was active, or the root.
    pub span_id: SpanId,
    /// The span above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<SpanId>,
    /// The kind of work, such as `http.server`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<SpanStatus>,
    /// What recorded it, such as `auto.http.tower`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Attributes of the root span.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}
