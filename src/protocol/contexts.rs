//! Named groups of facts about an event.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{EventId, SpanId, SpanLink, SpanStatus, TraceId};

/// Named groups of facts about an event or a transaction.
///
/// `trace` is always set. Other groups can have any name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "AnyContexts")]
#[non_exhaustive]
pub struct Contexts {
    /// The ids that tie the event to its trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    /// The profile that belongs to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileContext>,
    /// All other groups, by name.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Contexts as they are parsed. A group called `profile` may belong to the application.
#[derive(Default, Deserialize)]
#[serde(default)]
struct AnyContexts {
    trace: Option<TraceContext>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl From<AnyContexts> for Contexts {
    fn from(AnyContexts { trace, mut other }: AnyContexts) -> Self {
        let profile = other.get("profile").and_then(|given| ProfileContext::deserialize(given).ok());
        if profile.is_some() {
            other.remove("profile");
        }
        Self { trace, profile, other }
    }
}

/// The profile that belongs to an event or a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProfileContext {
    /// The id of the transaction's profile, which is in the same envelope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_id: Option<EventId>,
    /// The id of the session's profile that was running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profiler_id: Option<EventId>,
}

/// The ids that link an event to its trace; on a transaction, also the fields of the root span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TraceContext {
    /// The id of the trace.
    pub trace_id: TraceId,
    /// The id of the active span, or of the root span.
    pub span_id: SpanId,
    /// The id of its parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<SpanId>,
    /// The kind of work, such as `http.server`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// The status of the span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<SpanStatus>,
    /// The instrumentation that recorded it, such as `auto.http.tower`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Attributes of the root span.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
    /// Spans that the root span refers to, besides its parent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<SpanLink>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_context_of_the_application_called_profile_stays_what_it_is() {
        let of = |profile: Value| serde_json::from_value::<Contexts>(json!({"profile": profile, "order": {"id": 7}}));
        for own in [json!({"plan": "gold"}), json!({"profile_id": 7}), json!("gold"), json!({"profile_id": "x", "plan": "gold"})] {
            let read = of(own.clone()).expect("any value is one");
            assert_eq!((read.profile, &read.other["profile"], read.other.len()), (None, &own, 2));
            assert_eq!(serde_json::to_value(read).expect("JSON")["profile"], own);
        }

        let id = "771a43a4192642f0b136d5159a501700";
        let read = of(json!({"profile_id": id})).expect("ids are read");
        assert_eq!(read.profile.and_then(|profile| profile.profile_id).map(|id| id.to_string()).as_deref(), Some(id));
        assert_eq!(read.other.len(), 1);
    }
}
