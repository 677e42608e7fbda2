//! Links from a span to other spans.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AttributeValue, SpanId, TraceId};

/// A link from a span to another one that is not its parent. The other span may be in another trace.
///
/// Use it if work has several causes: a batch of messages links to the sender of each message.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use tower_sentry::Scope;
/// use tower_sentry::protocol::SpanLink;
///
/// fn begin_batch(messages: &[HashMap<String, String>]) {
///     let span = Scope::current().span();
///     for link in messages.iter().filter_map(|headers| SpanLink::from_headers(headers)) {
///         span.add_link(link.attribute("messaging.system", "kafka"));
///     }
/// }
/// # let header = "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1";
/// # let headers = HashMap::from([("sentry-trace".to_owned(), header.to_owned())]);
/// # begin_batch(std::slice::from_ref(&headers));
/// let link = SpanLink::from_headers(&headers).unwrap();
/// assert_eq!((link.span_id.to_string().as_str(), link.sampled), ("b0e6f15b45c36b12", Some(true)));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SpanLink {
    /// The trace of the other span.
    pub trace_id: TraceId,
    /// The other span.
    pub span_id: SpanId,
    /// Whether the other trace is sampled, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<bool>,
    /// Attributes, such as `sentry.link.type`: `previous_trace`, `next_trace`, `child_of` or
    /// `follows_from`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
}

impl SpanLink {
    /// Creates a link to a span, without attributes.
    pub fn new(trace_id: TraceId, span_id: SpanId) -> Self {
        Self { trace_id, span_id, sampled: None, attributes: Map::new() }
    }

    /// Adds an attribute. If the attributes of a link exceed 4 KiB in total, they are left out.
    #[must_use]
    #[expect(single_use_lifetimes, reason = "an elided one is unstable here")]
    pub fn attribute<'v>(mut self, name: impl Into<String>, value: impl Into<AttributeValue<'v>>) -> Self {
        self.attributes.insert(name.into(), value.into().into());
        self
    }
}
