//! What is sent of a payload whose contents must stay in the process.

use serde_json::json;

use crate::payload::{self, route_of};
use crate::protocol::{
    Contexts, Event, Log, LogEntry, Metric, Request, Span, SpanLink, Transaction, TransactionInfo, TransactionSource, Unit,
};
use crate::record::Record;

/// Replaces a transaction's name, if it may hold data.
const WITHHELD: &str = "<withheld>";
/// The message of an event of a sensitive route.
pub(super) const SENSITIVE: &str = "the contents are withheld: the route is sensitive";

/// Reduces an event to its ids, times and types, which are safe to send after a hook panicked.
///
/// The hook may have been meant to remove the rest.
pub(super) fn bare_event(event: &mut Event) {
    strip_event(event, "the contents were withheld: a hook panicked");
    event.fingerprint.clear();
}

/// Reduces an event of a sensitive route to ids, times, types, the method, the route and the status.
///
/// `fingerprint` is the default one, which has no texts of the request.
pub(super) fn sensitive_event(event: &mut Event, record: &Record, fingerprint: &[String]) {
    let left = Left::of(event.request.as_ref(), &event.contexts);
    if let Some(route) = route_of(record) {
        event.transaction = Some(route);
        event.transaction_info = Some(TransactionInfo::from(TransactionSource::Route));
    }
    strip_event(event, SENSITIVE);
    left.put(&mut event.request, &mut event.contexts);
    event.fingerprint = fingerprint.to_vec();
}

/// Removes the types of errors from an event that the application has built: they are its texts.
pub(super) fn withhold_types(event: &mut Event, is_given: bool) {
    for exception in event.exception.values.iter_mut().filter(|_| is_given) {
        exception.kind = Some("Error".to_owned());
        exception.module = None;
    }
}

fn strip_event(event: &mut Event, message: &str) {
    // Servers require `message`: a log entry with `formatted` alone is invalid.
    event.logentry = Some(LogEntry { message: Some(message.to_owned()), ..LogEntry::default() });
    if event.transaction.is_some() && event.transaction_info.is_none_or(|info| is_from_data(info.source)) {
        event.transaction = Some(WITHHELD.to_owned());
    }
    for exception in &mut event.exception.values {
        exception.value = None;
        if let Some(mechanism) = &mut exception.mechanism {
            mechanism.data.clear();
        }
    }
    event.breadcrumbs.values.clear();
    event.request = None;
    event.user = None;
    event.tags.clear();
    event.extra.clear();
    strip_contexts(&mut event.contexts);
}

/// Reduces a transaction in the same way as `bare_event`.
pub(super) fn bare_transaction(transaction: &mut Transaction, record: &Record) {
    if is_from_data(transaction.transaction_info.source) {
        WITHHELD.clone_into(&mut transaction.name);
    }
    transaction.request = None;
    transaction.user = None;
    transaction.tags.clear();
    transaction.measurements.clear();
    strip_contexts(&mut transaction.contexts);
    if let Some(trace) = &mut transaction.contexts.trace {
        trace.op = trace.op.take().filter(|op| payload::is_constant_op(record, op));
    }
    for span in &mut transaction.spans {
        bare_span(span, record);
    }
}

/// Reduces a span in the same way as `bare_event`.
pub(super) fn bare_span(span: &mut Span, record: &Record) {
    span.op = span.op.take().filter(|op| payload::is_constant_op(record, op));
    span.description = None;
    span.data.clear();
    strip_links(&mut span.links);
}

/// Reduces the span of a streamed request or job in the same way. It keeps its name, unless that may hold data.
pub(super) fn bare_segment(span: &mut Span, source: TransactionSource, record: &Record) {
    let name = span.description.take();
    bare_span(span, record);
    span.description = if is_from_data(source) { Some(WITHHELD.to_owned()) } else { name };
}

/// Reduces a log in the same way as `bare_event`.
pub(super) fn bare_log(log: &mut Log) {
    "the contents were withheld: before_send_log panicked".clone_into(&mut log.body);
    log.attributes.clear();
}

/// Reduces a metric in the same way as `bare_event`, to its name and its value.
pub(super) fn bare_metric(metric: &mut Metric) {
    metric.unit = metric.unit.take().filter(|unit| !matches!(unit, Unit::Other(_)));
    metric.attributes.clear();
}

/// Reduces a transaction in the same way as `sensitive_event`.
pub(super) fn sensitive_transaction(transaction: &mut Transaction, record: &Record) {
    let left = Left::of(transaction.request.as_ref(), &transaction.contexts);
    if let Some(route) = route_of(record) {
        transaction.name = route;
        transaction.transaction_info = TransactionInfo::from(TransactionSource::Route);
    }
    bare_transaction(transaction, record);
    left.put(&mut transaction.request, &mut transaction.contexts);
}

fn strip_contexts(contexts: &mut Contexts) {
    contexts.other.clear();
    if let Some(trace) = &mut contexts.trace {
        trace.data.clear();
        strip_links(&mut trace.links);
    }
}

/// Only the ids stay.
fn strip_links(links: &mut [SpanLink]) {
    for link in links {
        link.attributes.clear();
    }
}

/// What stays of a request to a sensitive route and of its response.
struct Left {
    method: Option<String>,
    status: Option<u64>,
}

impl Left {
    fn of(request: Option<&Request>, contexts: &Contexts) -> Self {
        let response = contexts.other.get("response");
        Self {
            method: request.and_then(|request| request.method.clone()),
            status: response.and_then(|response| response.get("status_code")?.as_u64()),
        }
    }

    fn put(self, request: &mut Option<Request>, contexts: &mut Contexts) {
        *request = self.method.map(|method| Request { method: Some(method), ..Request::default() });
        if let Some(status) = self.status {
            contexts.other.insert("response".to_owned(), json!({ "status_code": status }));
        }
    }
}

/// Whether a name may contain data, because it was set while the request or job ran.
const fn is_from_data(source: TransactionSource) -> bool {
    !matches!(source, TransactionSource::Route | TransactionSource::View | TransactionSource::Component)
}
