//! Converts the document of a transaction into streamed spans.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::protocol::{
    LogAttribute, Measurement, Request, SdkInfo, SegmentName, Span, SpanId, SpanStatus, SpanText, StreamedSpan, TraceId, Transaction, User,
    typed,
};
use crate::redaction::Redactor;

/// The protocol's limit for the spans of one container.
pub(super) const CONTAINER_SPANS: usize = 1000;
/// The protocol's advice for the bytes of one container. Their JSON may be longer: servers accept 12 MiB.
pub(super) const CONTAINER_BYTES: usize = 5 * 1000 * 1000;
/// Objects inside objects below this depth are texts of JSON.
const DEPTH: usize = 4;
/// The longest value of a user, in bytes, that is an attribute of every span. Longer ones are only in the segment.
const SHORT: usize = 128;

/// What all spans of a request or job share.
pub(super) struct Shared {
    trace_id: TraceId,
    segment: SpanId,
    name: String,
    attributes: Vec<(&'static str, LogAttribute)>,
}

impl Shared {
    /// None if the document has no trace, which each of ours has.
    pub(super) fn of(transaction: &Transaction) -> Option<Self> {
        let trace = transaction.contexts.trace.as_ref()?;
        let mut attributes = vec![
            ("sentry.platform", transaction.platform.clone()),
            ("sentry.sdk.name", SdkInfo::NAME.to_owned()),
            ("sentry.sdk.version", SdkInfo::VERSION.to_owned()),
            ("sentry.segment.id", trace.span_id.to_string()),
            ("sentry.segment.name", transaction.name.clone()),
            ("sentry.trace_lifecycle", "stream".to_owned()),
        ];
        attributes.extend(transaction.release.clone().map(|release| ("sentry.release", release)));
        attributes.extend(transaction.environment.clone().map(|environment| ("sentry.environment", environment)));
        let attributes =
            attributes.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, LogAttribute::new(text))).collect();
        Some(Self { trace_id: trace.trace_id, segment: trace.span_id, name: transaction.name.clone(), attributes })
    }

    /// The name that a hook has given the request or job.
    pub(super) fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.name);
        if let Some((_, attribute)) = self.attributes.iter_mut().find(|(known, _)| *known == "sentry.segment.name") {
            *attribute = LogAttribute::new(name.to_owned());
        }
    }

    /// A span as it is sent. What all spans share wins over its own attributes.
    pub(super) fn streamed(&self, span: Span) -> StreamedSpan {
        let status = span.status.unwrap_or(SpanStatus::Ok);
        let is_segment = span.span_id == self.segment;
        let mut attributes = typed(span.data);
        let own = [("sentry.op", span.op), ("sentry.origin", span.origin), ("sentry.status", Some(status.as_str().to_owned()))];
        for (name, text) in own.into_iter().filter_map(|(name, text)| Some((name, text.filter(|text| !text.is_empty())?))) {
            attributes.insert(name.to_owned(), LogAttribute::new(text));
        }
        for (name, attribute) in &self.attributes {
            attributes.insert((*name).to_owned(), attribute.clone());
        }
        // Spans of a sensitive route have no description: their op is their name.
        let name = span.description.or_else(|| attributes.get("sentry.op")?.value.as_str().map(str::to_owned)).unwrap_or_default();
        StreamedSpan {
            trace_id: self.trace_id,
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            name: if is_segment { SpanText::Segment(SegmentName(self.name.clone())) } else { SpanText::Span(name) },
            status: status.into(),
            is_segment,
            start_timestamp: span.start_timestamp,
            end_timestamp: span.timestamp.max(span.start_timestamp),
            attributes,
            links: span.links.into_iter().map(Into::into).collect(),
        }
    }
}

/// Adds the user to the spans below the segment, before the hook sees them, so that it can remove the user.
pub(super) fn add_user(user: Option<&User>, spans: &mut [Span]) {
    let Some(User { id, email, username, ip_address, .. }) = user else { return };
    let fields = [("user.id", id), ("user.email", email), ("user.name", username), ("user.ip_address", ip_address)];
    for (name, text) in fields.into_iter().filter_map(|(name, text)| Some((name, text.as_ref().filter(|text| text.len() <= SHORT)?))) {
        for span in &mut *spans {
            span.data.entry(name).or_insert_with(|| text.clone().into());
        }
    }
}

/// The segment: the span of the request or job itself, with the rest of the document as its attributes.
///
/// Secrets are redacted first, by the rules for transactions. Afterwards, `user.password` is one name, and the redactor does
/// not know which part of it names the object.
pub(super) fn segment(transaction: &mut Transaction, redactor: &Redactor) -> Option<Span> {
    let trace = transaction.contexts.trace.take()?;
    let mut data = redactor.fields(&trace.data);
    let mut add = |name: String, value: Value| {
        // An attribute of the application wins, and so does one with its conventional name.
        data.entry(name).or_insert(value);
    };
    add("sentry.segment.name.source".to_owned(), serde_json::to_value(transaction.transaction_info.source).unwrap_or_default());
    if let Some(host) = transaction.server_name.take() {
        add("host.name".to_owned(), host.into());
    }
    for (name, text) in redactor.fields(&std::mem::take(&mut transaction.tags)) {
        add(name, text);
    }
    if let Some(request) = transaction.request.take() {
        add_request(request, |name| redactor.text(name).into_owned(), &mut add);
    }
    if let Some(User { id, email, username, ip_address, data }) = transaction.user.take() {
        let fields = [("id", id), ("email", email), ("name", username), ("ip_address", ip_address)];
        fields.into_iter().filter_map(|(name, text)| Some((name, text?))).for_each(|(name, text)| add(format!("user.{name}"), text.into()));
        flat("user", redactor.user(&data), DEPTH, &mut add);
    }
    for (name, context) in redactor.contexts(&std::mem::take(&mut transaction.contexts.other)) {
        match (name.as_str(), context) {
            // The conventions have a name for it, which the span has already.
            ("response", Value::Object(mut response)) => {
                response.remove("status_code");
                flat("http.response", response, DEPTH, &mut add);
            }
            ("runtime", Value::Object(runtime)) => flat("process.runtime", runtime, DEPTH, &mut add),
            (_, Value::Object(context)) => flat(&name, context, DEPTH, &mut add),
            (_, value) => add(name, value),
        }
    }
    Some(Span {
        span_id: trace.span_id,
        parent_span_id: trace.parent_span_id,
        trace_id: trace.trace_id,
        op: trace.op,
        description: Some(transaction.name.clone()),
        start_timestamp: transaction.start_timestamp,
        timestamp: transaction.timestamp,
        status: trace.status,
        origin: trace.origin,
        data,
        links: trace.links,
    })
}

/// The measurements as attributes, which have units where the data of a span have none.
pub(super) fn measured(measurements: BTreeMap<String, Measurement>, span: &mut StreamedSpan) {
    for (name, Measurement { value, unit }) in measurements {
        span.attributes.entry(name).or_insert_with(|| LogAttribute { unit, ..LogAttribute::new(value) });
    }
}

fn add_request(request: Request, scrub: impl Fn(&str) -> String, add: &mut impl FnMut(String, Value)) {
    let Request { method, url, query_string, headers, .. } = request;
    for (name, text) in [("http.request.method", method), ("url.full", url), ("url.query", query_string)] {
        if let Some(text) = text {
            add(name.to_owned(), text.into());
        }
    }
    for (name, value) in headers {
        let values: Vec<Value> = if name == "cookie" {
            value.split(';').map(str::trim).filter(|pair| !pair.is_empty() && *pair != "=").map(Value::from).collect()
        } else {
            vec![value.into()]
        };
        add(format!("http.request.header.{}", scrub(&name)), values.into());
    }
}

/// Adds the entries of an object under its name, as `order.items`.
fn flat(name: &str, object: Map<String, Value>, depth: usize, add: &mut impl FnMut(String, Value)) {
    for (inner, value) in object {
        let name = format!("{name}.{inner}");
        match value {
            Value::Object(object) if depth > 0 => flat(&name, object, depth - 1, add),
            value => add(name, value),
        }
    }
}

/// Removes the spans that a hook has dropped. Those below move up to the next one that stays.
///
/// `keeps` changes a span, and returns `false` to drop it.
pub(super) fn pass(spans: Vec<Span>, mut keeps: impl FnMut(&mut Span) -> bool) -> Vec<Span> {
    let mut dropped: BTreeMap<SpanId, Option<SpanId>> = BTreeMap::new();
    let mut kept = Vec::with_capacity(spans.len());
    for mut span in spans {
        let (id, parent) = (span.span_id, span.parent_span_id);
        if keeps(&mut span) {
            kept.push(span);
        } else {
            dropped.insert(id, parent);
        }
    }
    for span in &mut kept {
        // A hook may have made a span its own ancestor.
        let mut seen = BTreeSet::new();
        while let Some(parent) = span.parent_span_id.filter(|parent| seen.insert(*parent)).and_then(|parent| dropped.get(&parent)) {
            span.parent_span_id = *parent;
        }
    }
    kept
}

/// Divides spans among containers.
pub(super) fn containers(spans: Vec<StreamedSpan>) -> Vec<Vec<StreamedSpan>> {
    let mut containers: Vec<Vec<StreamedSpan>> = Vec::new();
    let mut bytes = 0;
    for span in spans {
        let size = size(&span);
        if let Some(last) = containers.last_mut().filter(|last| last.len() < CONTAINER_SPANS && bytes + size <= CONTAINER_BYTES) {
            last.push(span);
        } else {
            bytes = 0;
            containers.push(vec![span]);
        }
        bytes += size;
    }
    containers
}

/// The approximate size of a span as JSON.
fn size(span: &StreamedSpan) -> usize {
    let of = |value: &Value| match value {
        Value::String(text) => text.len(),
        Value::Array(_) | Value::Object(_) => value.to_string().len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 10,
    };
    let attributes = span.attributes.iter().map(|(name, attribute)| name.len() + of(&attribute.value) + 34);
    let links = span.links.len() * 5_000;
    300 + span.name.as_str().len() + attributes.sum::<usize>() + links
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::Timestamp;

    fn span(parent: SpanId) -> Span {
        let time = Timestamp::from_nanos(1_795_168_800_000_000_000);
        Span::new(TraceId::new(), parent, "function", time, time)
    }

    #[test]
    fn the_children_of_a_dropped_span_move_up() {
        let root = SpanId::new();
        let outer = span(root);
        let middle = span(outer.span_id);
        let inner = span(middle.span_id);
        let gone = [outer.span_id, middle.span_id];

        let kept = pass(vec![inner.clone(), outer, middle], |span| !gone.contains(&span.span_id));

        assert_eq!(kept.iter().map(|span| (span.span_id, span.parent_span_id)).collect::<Vec<_>>(), [(inner.span_id, Some(root))]);
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let mut one = span(SpanId::new());
        let other = span(one.span_id);
        one.parent_span_id = Some(other.span_id);
        let child = span(one.span_id);

        let kept = pass(vec![one, other, child.clone()], |span| span.span_id == child.span_id);

        assert_eq!(kept.len(), 1);
    }

    #[test]
    fn containers_have_at_most_a_thousand_spans_and_five_megabytes() {
        let shared = Shared { trace_id: TraceId::new(), segment: SpanId::new(), name: "work".to_owned(), attributes: Vec::new() };
        let with = |text: usize| {
            let mut span = span(shared.segment);
            span.data.insert("text".to_owned(), "x".repeat(text).into());
            shared.streamed(span)
        };
        let lengths = |spans: Vec<StreamedSpan>| containers(spans).iter().map(Vec::len).collect::<Vec<_>>();

        assert_eq!(lengths((0..2500).map(|_| with(10)).collect()), [1000, 1000, 500]);
        assert_eq!(lengths((0..5).map(|_| with(2_000_000)).collect()), [2, 2, 1]);
        assert_eq!(lengths(vec![with(6_000_000), with(1)]), [1, 1]);
        let largest =
            containers((0..5).map(|_| with(2_000_000)).collect()).iter().map(|spans| serde_json::to_vec(spans).unwrap().len()).max();
        assert!(largest.unwrap() < CONTAINER_BYTES + 1000, "{largest:?}");
    }

    #[test]
    fn objects_are_flat_and_deep_ones_are_texts() {
        let mut attributes = Map::new();
        let context = json!({"items": 2, "shop": {"name": "north", "at": {"x": {"y": {"z": {"deep": 1}}}}}});
        let Value::Object(context) = context else { panic!("an object") };

        flat("order", context, 2, &mut |name, value| drop(attributes.insert(name, value)));

        assert_eq!(
            Value::Object(attributes),
            json!({"order.items": 2, "order.shop.name": "north", "order.shop.at.x": {"y": {"z": {"deep": 1}}}})
        );
    }
}
