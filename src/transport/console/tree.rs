//! Transactions: a tree of spans.

use std::fmt::Write as _;

use super::look::{Look, Tone};
use super::text::{end, facts, request, visible};
use crate::protocol::{Measurement, Span, SpanId, SpanStatus, Transaction};

/// The characters of a bar.
const BAR: usize = 20;
/// The characters before the text of a span: its time, its bar, and a space behind each.
const BEFORE: usize = 11 + BAR + 1;
/// At most this deep. The bytes are not validated, so a span could be its own ancestor.
const DEEPEST: usize = 64;

/// A transaction or a span, as a line.
struct Row<'a> {
    start: u64,
    end: u64,
    /// What stands before the text, and before further lines of the same span.
    branch: &'a str,
    below: &'a str,
    name: &'a str,
    op: &'a str,
    /// Nothing if a span ended well.
    status: String,
    attributes: Vec<String>,
    tone: Tone,
}

/// Writes the rows of one transaction.
struct Tree<'a> {
    transaction: &'a Transaction,
    look: Look,
}

pub(super) fn write(out: &mut String, transaction: &Transaction, look: Look) {
    let tree = Tree { transaction, look };
    tree.root(out);
    if look.is_brief {
        return;
    }
    let trace = transaction.contexts.trace.as_ref();
    if let Some(trace) = trace {
        tree.children(out, trace.span_id, &mut String::new(), 0);
    }
    let attributes = trace.into_iter().flat_map(|trace| &trace.data).filter(|(name, _)| is_of_application(name));
    facts(out, "attributes", &attributes.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "), look);
    let measurements = transaction.measurements.iter();
    let measurements =
        measurements.map(|(name, Measurement { value, unit })| format!("{name}={value} {}", unit.as_deref().unwrap_or("none")));
    facts(out, "measurements", &measurements.collect::<Vec<_>>().join(", "), look);
    request(out, transaction.request.as_ref(), look);
    let tags: Vec<_> = transaction.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    facts(out, "tags", &tags.join(" "), look);
    facts(out, "user", transaction.user.as_ref().and_then(|user| user.id.as_deref()).unwrap_or_default(), look);
    end(out, look);
}

impl Tree<'_> {
    fn root(&self, out: &mut String) {
        let Transaction { name, start_timestamp, timestamp, .. } = self.transaction;
        let trace = self.transaction.contexts.trace.as_ref();
        let status = trace.and_then(|trace| trace.status).unwrap_or_default();
        let data = |name: &str| trace.and_then(|trace| trace.data.get(name));
        let code = data("http.response.status_code").map(|code| format!(" {code}")).unwrap_or_default();
        let lost = data("tower_sentry.cancelled").and_then(|place| place.as_str()).map(|place| format!(" {place}")).unwrap_or_default();
        let is_slow = data("tower_sentry.kept").is_some_and(|reason| reason == "slow");
        let row = Row {
            start: start_timestamp.as_nanos(),
            end: timestamp.as_nanos(),
            branch: "",
            below: "",
            name,
            op: trace.and_then(|trace| trace.op.as_deref()).unwrap_or("default"),
            status: format!(" {status}{code}{lost}"),
            attributes: Vec::new(),
            tone: tone(status, is_slow, Tone::Strong),
        };
        self.row(out, &row);
    }

    fn children(&self, out: &mut String, parent: SpanId, indent: &mut String, depth: usize) {
        let mut spans = self.transaction.spans.iter().filter(|span| span.parent_span_id == Some(parent)).peekable();
        while let Some(span) = spans.next() {
            let (branch, below) = if spans.peek().is_some() { ("├─ ", "│  ") } else { ("└─ ", "   ") };
            self.span(out, span, &format!("{indent}{branch}"), &format!("{indent}{below}"));
            if depth < DEEPEST {
                let kept = indent.len();
                indent.push_str(below);
                self.children(out, span.span_id, indent, depth + 1);
                indent.truncate(kept);
            }
        }
    }

    fn span(&self, out: &mut String, span: &Span, branch: &str, below: &str) {
        let status = span.status.unwrap_or(SpanStatus::Ok);
        let is_slow = span.data.get("tower_sentry.slow").is_some_and(|slow| slow == true);
        let shown = span.data.iter().filter(|(name, _)| !name.starts_with("code."));
        let row = Row {
            start: span.start_timestamp.as_nanos(),
            end: span.timestamp.as_nanos(),
            branch,
            below,
            name: span.description.as_deref().unwrap_or("-"),
            op: span.op.as_deref().unwrap_or("default"),
            status: if status == SpanStatus::Ok { String::new() } else { format!(" {status}") },
            attributes: shown.map(|(name, value)| visible(&format!("{name}={value}"))).collect(),
            tone: tone(status, is_slow, Tone::Usual),
        };
        self.row(out, &row);
    }

    fn row(&self, out: &mut String, row: &Row<'_>) {
        let look = self.look;
        let (name, op, status, time) = (visible(row.name), visible(row.op), visible(&row.status), duration(row.start, row.end));
        let text =
            format!("{} {}{}", look.paint(row.tone, &name), look.paint(Tone::Quiet, format_args!("[{op}]")), look.paint(row.tone, &status));
        let Some(width) = look.width else {
            let _ = write!(out, "{}{text} {}", row.branch, look.paint(Tone::Time, time));
            for attribute in &row.attributes {
                let _ = write!(out, "  {}", look.paint(Tone::Quiet, attribute));
            }
            out.push('\n');
            return;
        };
        let bar = look.paint(if row.tone == Tone::Strong || row.tone == Tone::Usual { Tone::Time } else { row.tone }, self.bar(row));
        let _ = write!(out, "{} {bar} {}{text}", look.paint(Tone::Time, format_args!("{time:>10}")), look.paint(Tone::Quiet, row.branch));
        let mut column = BEFORE + [row.branch, &name, &op, &status].map(|part| part.chars().count()).iter().sum::<usize>() + 3;
        let fold = format!("{:BEFORE$}{}  ", "", row.below);
        for attribute in &row.attributes {
            let long = attribute.chars().count() + 2;
            if column + long > width {
                let _ = write!(out, "\n{}", look.paint(Tone::Quiet, &fold));
                column = fold.chars().count();
            }
            let _ = write!(out, "  {}", look.paint(Tone::Quiet, attribute));
            column += long;
        }
        out.push('\n');
    }

    /// When the span ran, from the start of the transaction on the left to its end on the right.
    fn bar(&self, row: &Row<'_>) -> String {
        let start = self.transaction.start_timestamp.as_nanos();
        // A hook may have changed the times.
        let end = self.transaction.timestamp.as_nanos().max(start);
        let whole = u128::from((end - start).max(1));
        // A span may end after the response.
        let cell = |at: u64| usize::try_from(u128::from(at.clamp(start, end) - start) * BAR as u128 / whole).unwrap_or(BAR);
        let first = cell(row.start).min(BAR - 1);
        let last = cell(row.end).max(first + 1);
        (0..BAR).map(|place| if (first..last).contains(&place) { '━' } else { ' ' }).collect()
    }
}

fn tone(status: SpanStatus, is_slow: bool, usual: Tone) -> Tone {
    match (status, is_slow) {
        (SpanStatus::Ok, false) => usual,
        (SpanStatus::Ok, true) => Tone::Slow,
        _ => Tone::Failed,
    }
}

/// Whether an attribute of a transaction is not one that each request or job has.
fn is_of_application(name: &str) -> bool {
    const OURS: [&str; 10] =
        ["client.", "http.", "messaging.", "network.", "rpc.", "sentry.", "server.", "tower_sentry.", "url.", "user_agent."];
    !OURS.iter().any(|prefix| name.starts_with(prefix))
}

fn duration(start: u64, end: u64) -> String {
    let micros = end.saturating_sub(start) / 1_000;
    // The column of times has ten characters.
    if micros >= 10_000_000 {
        return format!("{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000);
    }
    format!("{}.{:02} ms", micros / 1_000, micros % 1_000 / 10)
}
