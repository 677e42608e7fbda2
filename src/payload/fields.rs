//! The meaning of span fields with well-known names.

use std::borrow::Cow;
use std::collections::HashMap;

use tracing::Metadata;

use super::sql::is_query_text;
use crate::protocol::SpanStatus;
use crate::record::{FieldReader, FieldValue, Key, LogRecord, TRUNCATED, is_of_log_crate};

/// Up to this many attributes, a scan finds a name faster than a table.
const FEW: usize = 32;

/// The meaning of a span's fields, and the rest as attributes.
#[derive(Debug, Default)]
pub(super) struct Understood<'a> {
    pub(super) op: Option<Cow<'a, str>>,
    /// The `op` by the conventions of OpenTelemetry.
    pub(super) derived_op: Option<&'static str>,
    pub(super) name: Option<Cow<'a, str>>,
    /// The text of a query, which names a span that has no other name.
    pub(super) query: Option<Cow<'a, str>>,
    pub(super) status: Option<SpanStatus>,
    /// The status by the code of a response.
    pub(super) derived_status: Option<SpanStatus>,
    /// The last value of each name, in the order in which the names first came.
    pub(super) attributes: Vec<(&'a str, FieldValue<'a>)>,
}

/// Reads the fields of a span; `metadata` has the names of fields that are known by index.
pub(super) fn understand<'a>(
    metadata: Option<&'static Metadata<'static>>,
    fields: impl Iterator<Item = (Key<'a>, FieldValue<'a>)>,
) -> Understood<'a> {
    let mut understood = Understood::default();
    understood.read(metadata, fields);
    understood
}

impl<'a> Understood<'a> {
    /// Reads the fields of another span, and reuses the memory of the list.
    pub(super) fn read(&mut self, metadata: Option<&'static Metadata<'static>>, fields: impl Iterator<Item = (Key<'a>, FieldValue<'a>)>) {
        self.attributes.clear();
        *self = Self { attributes: std::mem::take(&mut self.attributes), ..Self::default() };
        let is_span = metadata.is_some_and(Metadata::is_span);
        // Each variable has the last value of its field, whenever that was recorded.
        let (mut sentry_name, mut otel_name, mut message) = (None, None, None);
        let (mut sentry_status, mut otel) = (None, None);
        let mut has_meaning = false;
        let mut places: Option<HashMap<&str, usize>> = None;
        for (key, value) in fields {
            let Some(name) = key.name(metadata.map(Metadata::fields)) else { continue };
            // Most names have no meaning, which a check of their first bytes shows.
            if may_have_meaning(name) {
                has_meaning = true;
                let text = || match value {
                    FieldValue::Text(text) => Cow::Borrowed(text),
                    other => Cow::Owned(other.to_string()),
                };
                // Fields that describe the span do not stay as attributes.
                match name {
                    "sentry.op" => {
                        self.op = Some(text());
                        continue;
                    }
                    "sentry.name" => {
                        sentry_name = Some(text());
                        continue;
                    }
                    "otel.name" => {
                        otel_name = Some(text());
                        continue;
                    }
                    // `message` of a callsite is the text after its fields, not an attribute.
                    "message" if is_span && matches!(key, Key::Index(_)) => {
                        message = Some(text());
                        continue;
                    }
                    "sentry.status" => {
                        sentry_status = SpanStatus::from_name(&text());
                        continue;
                    }
                    "otel.status_code" => {
                        otel = otel_status(&text());
                        continue;
                    }
                    // sqlx leaves this empty if its summary is the complete text.
                    "db.query.text" | "db.statement" => {
                        self.query = Some(text()).filter(|text| !text.is_empty()).or_else(|| self.query.take());
                    }
                    _ => {}
                }
            }
            let attributes = &mut self.attributes;
            let place = if attributes.len() <= FEW {
                attributes.iter().position(|(other, _)| *other == name)
            } else {
                let places = places.get_or_insert_with(|| attributes.iter().enumerate().map(|(place, (name, _))| (*name, place)).collect());
                let next = attributes.len();
                let place = *places.entry(name).or_insert(next);
                (place < next).then_some(place)
            };
            // JSON must not repeat a key, so a later value replaces the earlier one.
            match place.and_then(|place| attributes.get_mut(place)) {
                Some(slot) => slot.1 = value,
                None => attributes.push((name, value)),
            }
        }
        if !has_meaning {
            return;
        }
        self.name = sentry_name.or(otel_name).or(message);
        self.status = sentry_status.or(otel);
        let summary = ended_query(&mut self.attributes);
        self.query = self.query.take().or_else(|| summary.map(Cow::Borrowed));
        // Derived only if it is needed: each takes a search through the attributes.
        if self.op.is_none() {
            self.derived_op = derived_op(&self.attributes);
        }
        if self.status.is_none() {
            self.derived_status = http_status(&self.attributes);
        }
    }

    /// The `op`, if the fields say it in any way.
    pub(super) fn any_op(&self) -> Option<&str> {
        self.op.as_deref().or(self.derived_op)
    }
}

/// Whether a name may have a meaning: nearly all names that do start with one of these prefixes.
#[inline]
fn may_have_meaning(name: &str) -> bool {
    name == "message" || ["db.", "http.", "messaging.", "otel.", "rpc.", "sentry."].iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a field of an event only says where a record of the `log` crate came from.
pub(super) fn is_of_log(metadata: &Metadata<'_>, name: &str) -> bool {
    is_of_log_crate(metadata) && name.starts_with("log.")
}

/// Returns the fields of an event, except its message; the last says how many texts were cut.
///
/// Each name has its last value. The order is that in which the names first came.
pub(super) fn log_fields(log: &LogRecord) -> Vec<(&'static str, FieldValue<'_>)> {
    let fields = FieldReader::new(&log.fields).filter_map(|(key, value)| {
        let name = match key {
            Key::Index(index) => log.metadata.fields().iter().nth(index.into()).map(|field| field.name()),
            // The only name that the callsite does not know.
            Key::Name(_) => Some(TRUNCATED),
        };
        Some((name.filter(|name| *name != "message" && !is_of_log(log.metadata, name))?, value))
    });
    latest(fields)
}

/// Returns each name once, with its last value.
pub(super) fn latest<'n, 'v>(fields: impl Iterator<Item = (&'n str, FieldValue<'v>)>) -> Vec<(&'n str, FieldValue<'v>)> {
    let mut found: Vec<(&str, FieldValue<'_>)> = Vec::new();
    for (name, value) in fields {
        match found.iter_mut().find(|(other, _)| *other == name) {
            Some((_, slot)) => *slot = value,
            None => found.push((name, value)),
        }
    }
    found
}

/// Cleans up the fields that sqlx records for a finished query, and returns its summary.
///
/// Keeps the query's text once, as `db.query.text`. Removes the durations, because the span has its
/// own. The summary of a short query is its complete text.
fn ended_query<'a>(attributes: &mut Vec<(&'a str, FieldValue<'a>)>) -> Option<&'a str> {
    let is_ended = attributes.iter().any(|(name, _)| *name == "elapsed_secs") && attributes.iter().any(|(name, _)| is_query_text(name));
    if !is_ended {
        return None;
    }
    let summary = attributes.iter().find_map(|(name, value)| match value {
        FieldValue::Text(text) if *name == "summary" => Some(*text),
        _ => None,
    });
    attributes.retain(|(name, value)| match (*name, value) {
        ("summary" | "elapsed" | "elapsed_secs", _) => false,
        (name, FieldValue::Text(text)) => !(is_query_text(name) && text.is_empty()),
        _ => true,
    });
    match attributes.iter_mut().find(|(name, _)| is_query_text(name)) {
        Some((name, _)) => *name = "db.query.text",
        None => attributes.extend(summary.map(|text| ("db.query.text", FieldValue::Text(text)))),
    }
    summary
}

/// What [`derived_op`] returns.
pub(super) const DERIVED_OPS: [&str; 6] = ["db.query", "http.client", "http.server", "queue.process", "queue.publish", "rpc"];

/// Derives the `op` from the attributes of OpenTelemetry's conventions.
fn derived_op(attributes: &[(&str, FieldValue<'_>)]) -> Option<&'static str> {
    let text = |wanted: &str| {
        attributes.iter().find_map(|(name, value)| match value {
            FieldValue::Text(text) if *name == wanted => Some(*text),
            _ => None,
        })
    };
    let has = |wanted: &str| attributes.iter().any(|(name, _)| *name == wanted);
    let kind = text("otel.kind").map(str::to_ascii_lowercase);
    if has("db.system") || has("db.system.name") || has("db.statement") || has("db.query.text") {
        return Some("db.query");
    }
    if has("messaging.system") || has("messaging.system.name") {
        return Some(if kind.as_deref() == Some("producer") { "queue.publish" } else { "queue.process" });
    }
    if has("rpc.system") || has("rpc.system.name") {
        return Some("rpc");
    }
    let is_http = has("http.request.method") || has("http.method");
    match (kind.as_deref(), is_http) {
        (Some("client"), true) => Some("http.client"),
        (Some("server"), _) => Some("http.server"),
        _ => None,
    }
}

fn otel_status(text: &str) -> Option<SpanStatus> {
    if text.eq_ignore_ascii_case("error") {
        Some(SpanStatus::InternalError)
    } else if text.eq_ignore_ascii_case("ok") {
        Some(SpanStatus::Ok)
    } else {
        None
    }
}

fn http_status(attributes: &[(&str, FieldValue<'_>)]) -> Option<SpanStatus> {
    let (_, value) = attributes.iter().find(|(name, _)| matches!(*name, "http.response.status_code" | "http.status_code"))?;
    let code = match value {
        FieldValue::U64(code) => u16::try_from(*code).ok()?,
        FieldValue::I64(code) => u16::try_from(*code).ok()?,
        FieldValue::Text(code) => code.parse().ok()?,
        FieldValue::Bool(_) | FieldValue::F64(_) | FieldValue::List(_) => return None,
    };
    Some(SpanStatus::from_http(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(fields: &[(&'static str, FieldValue<'static>)]) -> Understood<'static> {
        understand(None, fields.iter().copied().map(|(name, value)| (Key::Name(name), value)))
    }

    #[test]
    fn known_names_describe_the_span_and_do_not_stay_as_attributes() {
        let names = [("otel.name", FieldValue::Text("fallback")), ("sentry.name", FieldValue::Text("cart"))];
        for [first, second] in [names, [names[1], names[0]]] {
            let span = understood(&[
                ("sentry.op", FieldValue::Text("cache.get")),
                first,
                second,
                ("otel.status_code", FieldValue::Text("ERROR")),
                ("hit", FieldValue::Bool(true)),
            ]);

            assert_eq!(
                (span.any_op(), span.name.as_deref(), span.status),
                (Some("cache.get"), Some("cart"), Some(SpanStatus::InternalError)),
                "{} before {}",
                first.0,
                second.0
            );
            assert_eq!(span.attributes, [("hit", FieldValue::Bool(true))]);
        }
        assert_eq!(understood(&names[..1]).name.as_deref(), Some("fallback"));
    }

    #[test]
    fn opentelemetry_attributes_set_the_op() {
        let rows = [
            (
                vec![("db.system.name", FieldValue::Text("sqlite")), ("db.query.text", FieldValue::Text("SELECT 1"))],
                Some("db.query"),
                Some("SELECT 1"),
                None,
            ),
            (
                vec![
                    ("otel.kind", FieldValue::Text("client")),
                    ("http.request.method", FieldValue::Text("GET")),
                    ("http.response.status_code", FieldValue::U64(404)),
                ],
                Some("http.client"),
                None,
                Some(SpanStatus::NotFound),
            ),
            (
                vec![("messaging.system", FieldValue::Text("kafka")), ("otel.kind", FieldValue::Text("Producer"))],
                Some("queue.publish"),
                None,
                None,
            ),
            (vec![("rpc.system", FieldValue::Text("grpc"))], Some("rpc"), None, None),
            (vec![("order", FieldValue::U64(7))], None, None, None),
        ];

        for (fields, op, name, status) in rows {
            let span = understood(&fields);
            assert_eq!((span.any_op(), span.query.as_deref(), span.derived_status), (op, name, status), "{fields:?}");
            assert!(op.is_none_or(|op| DERIVED_OPS.contains(&op)), "{op:?}");
        }
    }

    #[test]
    fn what_describes_a_span_counts_with_its_last_value() {
        let text = |name, text| (name, FieldValue::Text(text));
        let rows = [
            (vec![text("otel.name", "first"), text("otel.name", "last")], (Some("last"), None)),
            (vec![text("sentry.name", "cart"), text("otel.name", "late")], (Some("cart"), None)),
            (vec![text("otel.status_code", "ERROR"), text("otel.status_code", "OK")], (None, Some(SpanStatus::Ok))),
            (vec![text("sentry.status", "not_found"), text("otel.status_code", "OK")], (None, Some(SpanStatus::NotFound))),
            (vec![text("sentry.status", "no status")], (None, None)),
        ];
        for (fields, expected) in rows {
            let span = understood(&fields);
            assert_eq!((span.name.as_deref(), span.status), expected, "{fields:?}");
            assert_eq!(span.attributes, [], "{fields:?}");
        }
    }

    #[test]
    fn a_field_recorded_again_replaces_the_first() {
        let many: Vec<_> = (0..100).map(|index| (["a", "b", "c"][index % 3], FieldValue::U64(index as u64))).collect();

        let last = [("a", 99), ("b", 97), ("c", 98)].map(|(name, value)| (name, FieldValue::U64(value)));
        assert_eq!(understood(&many).attributes, last);
    }

    #[test]
    fn many_names_are_found_in_the_table() {
        let names: Vec<&'static str> = (0..80).map(|index| &*format!("field{index}").leak()).collect();
        let twice: Vec<_> = names.iter().chain(&names).enumerate().map(|(index, name)| (*name, FieldValue::U64(index as u64))).collect();

        let attributes = understood(&twice).attributes;

        assert_eq!(attributes.len(), 80);
        assert_eq!(attributes.last(), Some(&("field79", FieldValue::U64(159))));
    }

    #[test]
    fn a_status_code_counts_whatever_its_type_is() {
        let rows = [
            (FieldValue::U64(404), Some(SpanStatus::NotFound)),
            (FieldValue::I64(404), Some(SpanStatus::NotFound)),
            (FieldValue::Text("404"), Some(SpanStatus::NotFound)),
            (FieldValue::I64(-404), None),
            (FieldValue::U64(u64::MAX), None),
            (FieldValue::Text("not found"), None),
            (FieldValue::F64(404.0), None),
        ];

        for (code, status) in rows {
            for name in ["http.response.status_code", "http.status_code"] {
                assert_eq!(understood(&[(name, code)]).derived_status, status, "{name} {code:?}");
            }
        }
    }
}
