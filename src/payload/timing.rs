//! The durations of a request for the `Server-Timing` header, by kind of work.

use std::fmt::Write as _;

use super::fields::Understood;
use super::time::millis;
use crate::record::{Moment, Record, SpanName};

/// The maximum number of kinds of work in a header. Further ones are left out.
const KINDS_LIMIT: usize = 12;
/// The longest name of a kind, in bytes. Longer ones are left out.
const KIND_LIMIT: usize = 32;

/// Kinds that the field `sentry.op` may name. Others may be data of the request.
const KINDS: [&str; 16] = [
    "auth",
    "cache",
    "db",
    "file",
    "function",
    "grpc",
    "http",
    "messaging",
    "middleware",
    "queue",
    "rpc",
    "serialize",
    "subprocess",
    "task",
    "template",
    "view",
];

/// The time of one kind of work.
struct Kind<'a> {
    name: &'a str,
    nanos: u64,
    /// The end of the time that is counted already, so that concurrent work counts once.
    until: Moment,
}

/// Writes the time of the request until now and that of each kind of work: `total;dur=52.1, db;dur=25`.
pub(crate) fn server_timing(record: &Record, now: Moment) -> String {
    let mut text = format!("total;dur={}", millis(now.nanos_since(record.start)));
    for Kind { name, nanos, .. } in kinds(record, now) {
        let name = if name == "function" { "handler" } else { name };
        // Writing to a string does not fail.
        let _ = write!(text, ", {name};dur={}", millis(nanos));
    }
    text
}

fn kinds(record: &Record, now: Moment) -> Vec<Kind<'_>> {
    let mut rows: Vec<usize> = (0..record.spans.len()).collect();
    // A query is reported at its end, so its row may follow rows that began later.
    rows.sort_by_key(|row| record.spans.get(*row).map(|span| span.start));
    let mut kinds: Vec<Kind<'_>> = Vec::new();
    let mut understood = Understood::default();
    for row in rows {
        let Some(span) = record.spans.get(row) else { continue };
        understood.read(span.name.metadata(), record.span_fields(row));
        let own = match span.name {
            SpanName::Own(own) => record.own_spans.get(own as usize),
            SpanName::Callsite(_) => None,
        };
        let given = understood.op.as_deref().map(|op| KINDS.iter().copied().find(|kind| *kind == first_part(op)));
        let by_program = || own.map(|own| own.op).or(understood.derived_op).map_or("function", first_part);
        let Some(name) = given.unwrap_or_else(|| Some(by_program()).filter(|name| is_token(name))) else { continue };
        let place = kinds.iter().position(|kind| kind.name == name);
        if place.is_none() && kinds.len() < KINDS_LIMIT {
            kinds.push(Kind { name, nanos: 0, until: Moment::default() });
        }
        let last = kinds.len().saturating_sub(1);
        let Some(kind) = kinds.get_mut(place.unwrap_or(last)).filter(|kind| kind.name == name) else { continue };
        if let Some((before, after)) = own.and_then(|own| own.middleware.around(span.start)) {
            kind.nanos += before + after;
        } else {
            let end = span.end.or(now);
            kind.nanos += end.nanos_since(span.start.max(kind.until));
            kind.until = kind.until.max(end);
        }
    }
    kinds
}

/// `db` of `db.query`.
fn first_part(op: &str) -> &str {
    op.split('.').next().unwrap_or(op)
}

/// Whether a kind may be written to the header unchanged: a name there must be a token.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.len() <= KIND_LIMIT && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
