//! Finds repeated queries ("N+1").

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use super::fields::understand;
use super::sql::{Dialect, is_query_text, without_values};
use crate::record::{FieldValue, Moment, Parent, Record, SpanName, SpanRecord};

/// N+1 threshold: at least five identical sequential queries that take more than 50 ms together.
///
/// Sentry's own detector uses the same values.
const REPEATED: usize = 5;
const REPEATED_FOR: Duration = Duration::from_millis(50);

/// A query that a transaction repeats.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Repeated {
    pub(super) query: String,
    pub(super) count: usize,
    pub(super) nanos: u64,
}

/// Finds the query that ran most often under one span, one run after the other ("N+1").
///
/// Returns `None` if no query reaches the threshold.
pub(super) fn repeated(record: &Record) -> Option<Repeated> {
    if record.spans.len() < REPEATED {
        return None;
    }
    // If spans were replaced at the span limit, the rows are not in chronological order.
    let mut in_time: Vec<_> =
        record.spans.iter().enumerate().filter(|(_, span)| span.end.is_known() && may_be_query(record, span)).collect();
    let took: u64 = in_time.iter().map(|(_, span)| span.end.nanos_since(span.start)).sum();
    // Nearly always all of them together take too little time. Reading their fields would take
    // 4,000 instructions each.
    if in_time.len() < REPEATED || u128::from(took) <= REPEATED_FOR.as_nanos() {
        return None;
    }
    let mut found: HashMap<(Parent, String), Runs> = HashMap::new();
    in_time.sort_by_key(|(_, span)| span.start);
    for (index, span) in in_time {
        let Some(query) = query(record, index) else { continue };
        let runs = found.entry((span.parent, query)).or_default();
        // Queries that run concurrently were started together, so they are not a loop.
        if span.start < runs.last_end {
            continue;
        }
        runs.count += 1;
        runs.nanos += span.end.nanos_since(span.start);
        runs.last_end = span.end;
    }
    let is_one = |runs: &Runs| runs.count >= REPEATED && u128::from(runs.nanos) > REPEATED_FOR.as_nanos();
    let worst = found.into_iter().filter(|(_, runs)| is_one(runs)).max_by_key(|(_, runs)| (runs.count, runs.nanos));
    worst.map(|((_, query), runs)| Repeated { query, count: runs.count, nanos: runs.nanos })
}

/// The runs of one query under one span.
#[derive(Default)]
struct Runs {
    count: usize,
    nanos: u64,
    last_end: Moment,
}

/// Whether a span may be a query.
///
/// Checks only names: they nearly always rule it out, and are cheaper to read than values.
fn may_be_query(record: &Record, span: &SpanRecord) -> bool {
    match span.name {
        SpanName::Callsite(metadata) => {
            span.is_query_late || metadata.fields().iter().any(|field| field.name().starts_with("db.") || field.name() == "sentry.op")
        }
        SpanName::Own(own) => span.is_query_late || record.own_spans.get(own as usize).is_some_and(|own| own.op.starts_with("db")),
    }
}

/// Returns the text of a span's query, or `None` if the span is not a query.
fn query(record: &Record, index: usize) -> Option<String> {
    let span = record.spans.get(index)?;
    let metadata = span.name.metadata();
    let understood = understand(metadata, record.span_fields(index));
    if let SpanName::Own(own) = span.name {
        let own = record.own_spans.get(own as usize)?;
        let name = understood.name.as_deref().map_or_else(|| record.str(own.description), Cow::Borrowed);
        let is_query = understood.op.as_deref().unwrap_or(own.op).starts_with("db");
        return is_query.then(|| without_values(&name, Dialect::among(&understood.attributes)).into_owned());
    }
    let op = understood.any_op().filter(|op| op.starts_with("db"))?;
    let text = understood.attributes.iter().find_map(|(name, value)| match value {
        FieldValue::Text(text) if is_query_text(name) && !text.is_empty() => Some(*text),
        _ => None,
    });
    let text =
        text.or(understood.name.as_deref()).or(understood.query.as_deref()).or_else(|| metadata.map(tracing::Metadata::name)).unwrap_or(op);
    Some(without_values(text, Dialect::among(&understood.attributes)).into_owned())
}
