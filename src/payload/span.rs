//! Serialises a span from its row and its fields.

use serde::ser::{SerializeMap, SerializeStruct as _};
use serde::{Serialize, Serializer};
use tracing::Metadata;

use super::Facts;
use super::entries::{Entries, Links};
use super::fields::{DERIVED_OPS, Understood};
use super::sql::{Dialect, is_query_text, without_values};
use super::time::{millis, time};
use super::trusted::{Constant, Id, ProgramText};
use super::value::Attribute;
use crate::event::portable_path;
use crate::protocol::SpanStatus;
use crate::record::{FieldValue, INNER_REQUEST, Parent, Polls, Record, SpanName};

pub(super) struct SpanPayload<'a> {
    pub(super) record: &'a Record,
    pub(super) index: usize,
    /// The meaning of its fields.
    pub(super) understood: &'a Understood<'a>,
    /// Already written as digits, because all spans share it. This saves 1 % of a transaction.
    pub(super) trace_id: Id<&'a str>,
    pub(super) facts: &'a Facts,
}

impl Serialize for SpanPayload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { record, index, understood, trace_id, facts } = *self;
        let Some(span) = record.spans.get(index) else { return serializer.serialize_none() };
        let metadata = span.name.metadata();
        let own = match span.name {
            SpanName::Callsite(_) => None,
            SpanName::Own(own) => record.own_spans.get(own as usize),
        };
        let parent = record.id_of(span.parent);
        // A span that is still open ends with the transaction. An end before the start, after the
        // clock went back, would make the server drop everything.
        let end = span.end.or(record.end).max(span.start);
        let Understood { op, derived_op, name, query: statement, status, derived_status, attributes } = understood;
        // A span may outlive the request, such as the span of an outer layer. It then ends with the request,
        // and is cancelled if the request is.
        let is_cut = !span.end.is_known() && (record.response.cancelled.is_some() || record.status == Some(SpanStatus::Cancelled));
        let unmarked = if is_cut { SpanStatus::Cancelled } else { SpanStatus::Ok };
        // An inner request may have failed after its response head, whose code is a field.
        let is_inner_request = own.is_some_and(|own| own.origin == INNER_REQUEST);
        let by_code = derived_status.filter(|_| !is_inner_request);
        let status = status.or(by_code).or(span.status).unwrap_or(unmarked);

        let mut out = serializer.serialize_struct("Span", 11)?;
        out.serialize_field("span_id", &Id(span.id))?;
        out.serialize_field("parent_span_id", &Id(parent))?;
        out.serialize_field("trace_id", &trace_id)?;
        let op = op.as_deref().or_else(|| own.map(|own| own.op)).or(*derived_op).unwrap_or(FUNCTION);
        out.serialize_field("op", op)?;
        let is_query = op.starts_with("db");
        let own_name = own.map(|own| record.str(own.description));
        let given_name = name.as_deref().or(own_name.as_deref());
        let mut query = None;
        match (given_name.or(statement.as_deref()), metadata) {
            (Some(name), _) if is_query || given_name.is_none() => {
                let (_, clean) = query.insert((name, without_values(name, Dialect::among(attributes))));
                out.serialize_field("description", &**clean)?;
            }
            (Some(name), _) => out.serialize_field("description", name)?,
            (None, Some(metadata)) if is_general(metadata.name()) => {
                out.serialize_field("description", &[metadata.target(), "::", metadata.name()].concat())?;
            }
            (None, metadata) => out.serialize_field("description", &ProgramText(metadata.map_or("", Metadata::name)))?,
        }
        out.serialize_field("start_timestamp", &time(record, span.start))?;
        out.serialize_field("timestamp", &time(record, end))?;
        out.serialize_field("status", &status)?;
        out.serialize_field("origin", &Constant(own.map_or("auto.function.tracing", |own| own.origin)))?;
        let times = own.filter(|_| span.end.is_known()).and_then(|own| own.middleware.around(span.start));
        let took = end.nanos_since(span.start);
        let is_slow = is_query && u128::from(took) >= facts.slow_query.as_nanos();
        let polls = record.span_polls.iter().find(|polled| polled.span == record.number_of(index)).map(|polled| polled.polls);
        let database = if metadata.is_some_and(Metadata::is_event) { database_around(record, span.parent, attributes) } else { None };
        let query = query.as_ref().map(|(text, clean)| (*text, &**clean));
        out.serialize_field("data", &SpanAttributes { metadata, fields: attributes, query, times, is_slow, polls, database, took })?;
        let place = Parent::Span(record.number_of(index));
        if record.rare.is_some() && record.links(place).next().is_some() {
            out.serialize_field("links", &Links(|| record.links(place)))?;
        }
        out.end()
    }
}

/// Whether an `op` is a constant of the program. The `op` of a field may contain data.
pub(crate) fn is_constant_op(record: &Record, op: &str) -> bool {
    op == FUNCTION || op == record.op || DERIVED_OPS.contains(&op) || record.own_spans.iter().any(|own| own.op == op)
}

/// The `op` of a span that has no other.
const FUNCTION: &str = "function";

/// Names of functions that say nothing without their module: methods of traits and constructors.
const GENERAL: [&str; 16] = [
    "call",
    "delete",
    "execute",
    "from_request",
    "from_request_parts",
    "get",
    "handle",
    "into_response",
    "main",
    "new",
    "oneshot",
    "poll",
    "poll_ready",
    "post",
    "put",
    "run",
];

fn is_general(name: &str) -> bool {
    name.len() <= "from_request_parts".len() && GENERAL.binary_search(&name).is_ok()
}

/// The database system of the nearest span around a query, if the query's own fields do not name one.
///
/// The events of sqlx do not name the database.
fn database_around<'a>(record: &'a Record, mut around: Parent, attributes: &[(&str, FieldValue<'_>)]) -> Option<FieldValue<'a>> {
    if attributes.iter().any(|(name, _)| is_database(name)) {
        return None;
    }
    while let Parent::Span(row) = around {
        let place = record.place_of(row)?;
        let span = record.spans.get(place)?;
        let fields = span.name.metadata().map(Metadata::fields);
        let system = record.span_fields(place).find(|(key, _)| key.name(fields).is_some_and(is_database));
        if let Some((_, system)) = system {
            return Some(system);
        }
        around = span.parent;
    }
    None
}

fn is_database(name: &str) -> bool {
    matches!(name, "db.system" | "db.system.name")
}

/// Writes the place of a span in the code, unless its own fields contain it.
pub(super) fn place_of<M: SerializeMap>(metadata: &'static Metadata<'static>, data: &mut Entries<'_, M>) -> Result<(), M::Error> {
    if !["code.namespace", "code.file.path", "code.line.number"].iter().all(|name| data.is_free(name)) {
        return Ok(());
    }
    data.map.serialize_entry(&Constant("code.namespace"), &ProgramText(metadata.target()))?;
    if let Some(file) = metadata.file() {
        data.map.serialize_entry(&Constant("code.file.path"), &ProgramText(portable_path(file)))?;
    }
    if let Some(line) = metadata.line() {
        data.map.serialize_entry(&Constant("code.line.number"), &line)?;
    }
    Ok(())
}

/// The attributes of a span: its fields, its measurements, and its place in the code.
struct SpanAttributes<'a> {
    metadata: Option<&'static Metadata<'static>>,
    fields: &'a [(&'a str, FieldValue<'a>)],
    /// The query in the description, with and without its values.
    ///
    /// Nearly always the same query is an attribute too. Cleaning it only once saves 4 % of a transaction
    /// with queries.
    query: Option<(&'a str, &'a str)>,
    /// Nanoseconds that a middleware took before and after its inner service.
    times: Option<(u64, u64)>,
    /// The span is a query that took at least `Facts::slow_query`.
    is_slow: bool,
    polls: Option<Polls>,
    /// The database system of the span around a query, if the query does not name one.
    database: Option<FieldValue<'a>>,
    /// The duration of the span in nanoseconds.
    took: u64,
}

impl Serialize for SpanAttributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut data = serializer.serialize_map(None)?;
        let dialect = Dialect::among(self.fields);
        for (name, value) in self.fields {
            match (self.query, value) {
                (Some((text, clean)), FieldValue::Text(same)) if std::ptr::eq(text, *same) && is_query_text(name) => {
                    data.serialize_entry(name, clean)?;
                }
                _ => data.serialize_entry(name, &Attribute(name, *value, dialect))?,
            }
        }
        let mut data = Entries { map: data, given: self.fields };
        if let Some(metadata) = self.metadata {
            place_of(metadata, &mut data)?;
        }
        if self.is_slow {
            data.add("tower_sentry.slow", &true)?;
        }
        if let Some(Polls { count, busy, longest }) = self.polls {
            let busy = u64::from(busy) * 1_000;
            data.add("tower_sentry.polls", &count)?;
            data.add("tower_sentry.busy_ms", &millis(busy))?;
            data.add("tower_sentry.idle_ms", &millis(self.took.saturating_sub(busy)))?;
            data.add("tower_sentry.longest_poll_ms", &millis(u64::from(longest) * 1_000))?;
        }
        if let Some((before, after)) = self.times {
            data.add("middleware.before_ms", &millis(before))?;
            data.add("middleware.after_ms", &millis(after))?;
        }
        if let Some(system) = self.database {
            data.add("db.system.name", &system)?;
        }
        data.map.end()
    }
}
