//! Names of spans and kinds of spans, by OpenTelemetry's semantic conventions.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Map, Value};

use crate::protocol::TransactionSource;

/// The kind of a span with this `op`.
pub(super) fn kind(op: &str) -> SpanKind {
    match op {
        "http.server" | "grpc.server" | "rpc.server" | "websocket.server" => SpanKind::Server,
        "http.client" | "grpc.client" | "rpc.client" | "rpc" | "queue.receive" | "queue.settle" => SpanKind::Client,
        "queue.create" | "queue.publish" | "queue.submit" => SpanKind::Producer,
        "queue.process" => SpanKind::Consumer,
        _ if op == "db" || op.starts_with("db.") => SpanKind::Client,
        _ => SpanKind::Internal,
    }
}

/// What a span is called in Sentry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    pub(super) op: &'a str,
    /// The description of a span, or the name of a transaction.
    pub(super) text: &'a str,
    /// The source of a transaction's name. `None` for a span inside it.
    pub(super) source: Option<TransactionSource>,
}

/// The name of a span: few different ones, so without ids, paths and values.
///
/// `attributes` has the current names of the conventions.
pub(super) fn name(named: Named<'_>, attributes: &Map<String, Value>) -> String {
    let Named { op, text, source } = named;
    let get = |name: &str| attributes.get(name).and_then(Value::as_str).filter(|value| !value.is_empty());
    let method = || get("http.request.method");
    let name = match kind(op) {
        // What the application has chosen stays.
        _ if source == Some(TransactionSource::Custom) => None,
        SpanKind::Server if source == Some(TransactionSource::Url) => method().map(str::to_owned),
        SpanKind::Client if op == "http.client" => {
            method().map(|method| get("url.template").map_or_else(|| method.to_owned(), |template| format!("{method} {template}")))
        }
        SpanKind::Client if op.starts_with("db") => query_name(text, get),
        SpanKind::Client | SpanKind::Consumer | SpanKind::Producer if op.starts_with("queue.") => {
            let operation = get("messaging.operation.name").or_else(|| op.strip_prefix("queue."));
            get("messaging.destination.name").or_else(|| Some(text).filter(|_| op == "queue.publish")).zip(operation).map(
                |(to, operation)| {
                    // A name is at most one line.
                    format!("{operation} {}", to.lines().next().unwrap_or_default())
                },
            )
        }
        _ => None,
    };
    name.or_else(|| Some(text.to_owned())).filter(|name| !name.is_empty()).unwrap_or_else(|| op.to_owned())
}

/// The name of a query: its summary, a name that the application gave, or what it does with which table.
fn query_name<'a>(text: &'a str, get: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let target = || get("db.collection.name").or_else(|| get("db.namespace"));
    let is_statement = get("db.query.text").is_none_or(|query| query == text);
    let of_operation = || match (get("db.operation.name"), target()) {
        (Some(operation), Some(target)) => Some(format!("{operation} {target}")),
        (Some(operation), None) => Some(operation.to_owned()),
        (None, target) => match (first_word(text), target) {
            (Some(word), Some(target)) => Some(format!("{word} {target}")),
            (word, target) => word.or(target).map(str::to_owned),
        },
    };
    match get("db.query.summary") {
        Some(summary) => Some(summary.to_owned()),
        None if is_statement => of_operation().or_else(|| get("db.system.name").map(str::to_owned)),
        None => None,
    }
}

/// The first word of a statement, such as `SELECT`. Nothing if a statement does not begin with a word.
fn first_word(statement: &str) -> Option<&str> {
    let word = statement.split_whitespace().next()?;
    (word.len() <= 16 && word.bytes().all(|letter| letter.is_ascii_alphabetic())).then_some(word)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_op_decides_the_kind() {
        for (op, expected) in [
            ("http.server", SpanKind::Server),
            ("grpc.server", SpanKind::Server),
            ("http.client", SpanKind::Client),
            ("rpc", SpanKind::Client),
            ("db", SpanKind::Client),
            ("db.query", SpanKind::Client),
            ("db.redis", SpanKind::Client),
            ("queue.publish", SpanKind::Producer),
            ("queue.process", SpanKind::Consumer),
            ("function", SpanKind::Internal),
            ("cache.get", SpanKind::Internal),
            ("dbase", SpanKind::Internal),
            ("", SpanKind::Internal),
        ] {
            assert_eq!(kind(op), expected, "{op}");
        }
    }

    #[test]
    fn names_follow_the_conventions() {
        let root = |source| move |op, text| Named { op, text, source: Some(source) };
        let span = |op, text| Named { op, text, source: None };
        let (url, route, custom) = (root(TransactionSource::Url), root(TransactionSource::Route), root(TransactionSource::Custom));
        let rows: &[(Named<'_>, Value, &str)] = &[
            (route("http.server", "GET /users/{id}"), json!({"http.request.method": "GET"}), "GET /users/{id}"),
            (url("http.server", "GET /users/7"), json!({"http.request.method": "GET"}), "GET"),
            (custom("http.server", "checkout"), json!({"http.request.method": "GET"}), "checkout"),
            (custom("queue.process", "mail"), json!({"messaging.destination.name": "mails"}), "mail"),
            (span("http.client", "GET http://stock/items/7"), json!({"http.request.method": "GET"}), "GET"),
            (
                span("http.client", "GET http://stock/items/7"),
                json!({"http.request.method": "GET", "url.template": "/items/{id}"}),
                "GET /items/{id}",
            ),
            (span("http.client", "ask"), json!({}), "ask"),
            (span("db.query", "SELECT name FROM users"), json!({}), "SELECT"),
            (span("db.query", "SELECT name FROM users"), json!({"db.collection.name": "users"}), "SELECT users"),
            (span("db.query", "SELECT 1"), json!({"db.operation.name": "SELECT", "db.collection.name": "users"}), "SELECT users"),
            (span("db.query", "SELECT 1"), json!({"db.query.summary": "SELECT users"}), "SELECT users"),
            (span("db.query", "load users"), json!({"db.query.text": "SELECT 1"}), "load users"),
            (span("db.query", "{}"), json!({"db.system.name": "mongodb"}), "mongodb"),
            (span("queue.publish", "mail"), json!({"messaging.destination.name": "mails"}), "publish mails"),
            (span("queue.publish", "mail"), json!({}), "publish mail"),
            (span("function", "load"), json!({}), "load"),
            (span("function", ""), json!({}), "function"),
        ];
        for (named, attributes, expected) in rows {
            let Value::Object(attributes) = attributes else { panic!("an object") };
            assert_eq!(name(*named, attributes), *expected, "{named:?}");
        }
    }
}
