//! Prints transactions as a tree with durations, and errors with their causes, for development.
//!
//! It reads the redacted envelope, as a server does, so it shows exactly what would be sent.

use std::fmt::Write as _;
use std::future::ready;
use std::io::Write as _;

use ::http::{HeaderMap, StatusCode};
use bytes::Bytes;

use super::{BoxFuture, EnvelopeRequest, Transport, TransportError, TransportResponse};
use crate::protocol::{CheckIn, Event, FeedbackEvent, Frame, ItemType, Level, Request, Span, SpanId, Transaction, parse};

/// At most this many frames of a panic or an error are printed.
const FRAMES_SHOWN: usize = 8;

/// Prints envelopes to standard output.
#[derive(Debug)]
pub(crate) struct Console;

impl Transport for Console {
    fn send(&self, request: EnvelopeRequest) -> BoxFuture<'_, Result<TransportResponse, TransportError>> {
        // An error means that standard output is closed, so there is nowhere to report it.
        let _ = std::io::stdout().lock().write_all(render(request.body()).as_bytes());
        Box::pin(ready(Ok(TransportResponse::new(StatusCode::OK, HeaderMap::new(), Bytes::new()))))
    }

    fn accepts_gzip(&self) -> bool {
        false
    }
}

/// Renders an envelope as text.
fn render(bytes: &[u8]) -> String {
    let mut out = String::new();
    let Ok((_, items)) = parse(bytes) else { return out };
    for item in items {
        match item.header.kind {
            ItemType::Transaction => {
                if let Ok(transaction) = serde_json::from_slice(item.payload) {
                    tree(&mut out, &transaction);
                }
            }
            ItemType::Event => {
                if let Ok(event) = serde_json::from_slice(item.payload) {
                    story(&mut out, &event);
                }
            }
            ItemType::Log => {
                if let Ok(logs) = serde_json::from_slice(item.payload) {
                    lines(&mut out, &logs);
                }
            }
            ItemType::CheckIn => {
                if let Ok(CheckIn { monitor_slug, status, duration, .. }) = serde_json::from_slice(item.payload) {
                    let took = duration.map(|seconds| format!(" {seconds:.3} s")).unwrap_or_default();
                    let _ = writeln!(out, "check-in {} {status:?}{took}\n", visible(&monitor_slug));
                }
            }
            ItemType::Feedback => {
                if let Ok(FeedbackEvent { contexts, .. }) = serde_json::from_slice(item.payload) {
                    let _ = writeln!(out, "feedback {}\n", visible(&contexts.feedback.message));
                }
            }
            ItemType::Attachment | ItemType::ClientReport | ItemType::Sessions | ItemType::Other => {}
        }
    }
    out
}

// Writing to a `String` does not fail, so the functions below ignore the results of `write!`.

fn tree(out: &mut String, transaction: &Transaction) {
    let trace = transaction.contexts.trace.as_ref();
    let status = trace.and_then(|trace| trace.status).unwrap_or_default();
    let code = trace.and_then(|trace| trace.data.get("http.response.status_code")).map(|code| format!(" {code}")).unwrap_or_default();
    let lost = trace.and_then(|trace| trace.data.get("tower_sentry.cancelled")?.as_str());
    let lost = lost.map(|place| format!(" {place}")).unwrap_or_default();
    let duration = duration(transaction.start_timestamp.as_nanos(), transaction.timestamp.as_nanos());
    let _ = writeln!(
        out,
        "{} [{}] {status}{code}{lost} {duration}",
        transaction.name,
        trace.and_then(|trace| trace.op.as_deref()).unwrap_or("default")
    );
    if let Some(trace) = trace {
        children(out, transaction, trace.span_id, &mut String::new());
    }
    request(out, transaction.request.as_ref());
    let tags: Vec<_> = transaction.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    facts(out, "tags", &tags.join(" "));
    facts(out, "user", transaction.user.as_ref().and_then(|user| user.id.as_deref()).unwrap_or_default());
    out.push('\n');
}

fn children(out: &mut String, transaction: &Transaction, parent: SpanId, indent: &mut String) {
    let of_parent = |span: &&Span| span.parent_span_id == Some(parent);
    let mut spans = transaction.spans.iter().filter(of_parent).peekable();
    while let Some(span) = spans.next() {
        let (branch, below) = if spans.peek().is_some() { ("├─ ", "│  ") } else { ("└─ ", "   ") };
        let status =
            span.status.filter(|status| *status != crate::protocol::SpanStatus::Ok).map(|status| format!(" {status}")).unwrap_or_default();
        let attributes: Vec<_> =
            span.data.iter().filter(|(name, _)| !name.starts_with("code.")).map(|(name, value)| format!("  {name}={value}")).collect();
        let (description, op) = (span.description.as_deref().unwrap_or("-"), span.op.as_deref().unwrap_or("default"));
        let time = duration(span.start_timestamp.as_nanos(), span.timestamp.as_nanos());
        let _ = writeln!(out, "{indent}{branch}{description} [{op}]{status} {time}{}", attributes.join(""));
        // Stop at a depth of 64. The bytes are not validated, so a span could be its own ancestor.
        if indent.chars().count() < 3 * 64 {
            let kept = indent.len();
            indent.push_str(below);
            children(out, transaction, span.span_id, indent);
            indent.truncate(kept);
        }
    }
}

/// Structured logs, one per line.
fn lines(out: &mut String, logs: &serde_json::Value) {
    for log in logs["items"].as_array().into_iter().flatten() {
        let text = |name: &str| visible(log[name].as_str().unwrap_or_default());
        let _ = writeln!(out, "log {} {}", text("level"), text("body"));
    }
}

fn story(out: &mut String, event: &Event) {
    let mark = if event.level >= Level::Error { "✗" } else { "•" };
    let place = event.transaction.as_deref().map(|name| format!(" in {name}")).unwrap_or_default();
    let _ = writeln!(out, "{mark} {}{place}  [{}]", event.level, event.event_id);
    if let Some(text) = event.logentry.as_ref().and_then(|entry| entry.formatted.as_deref().or(entry.message.as_deref())) {
        let _ = writeln!(out, "  {text}");
    }
    for (depth, exception) in event.exception.values.iter().rev().enumerate() {
        let cause = if depth == 0 { "" } else { "caused by " };
        let indent = "  ".repeat(depth + 1);
        let _ = writeln!(
            out,
            "{indent}{cause}{}: {}",
            exception.kind.as_deref().unwrap_or("error"),
            exception.value.as_deref().unwrap_or_default()
        );
    }
    let frames = event
        .exception
        .values
        .last()
        .and_then(|outermost| outermost.stacktrace.as_ref())
        .map(|trace| trace.frames.as_slice())
        .unwrap_or_default();
    // Prefer the application's own frames. If there are none, print the innermost ones.
    let mut shown: Vec<_> = frames.iter().rev().filter(|frame| frame.in_app == Some(true)).take(FRAMES_SHOWN).collect();
    if shown.is_empty() {
        shown = frames.iter().rev().take(FRAMES_SHOWN).collect();
    }
    for frame in shown {
        let _ = writeln!(out, "    at {}", place_of(frame));
    }
    for crumb in event.breadcrumbs.values.iter().rev().take(5).rev() {
        let data: Vec<_> = crumb.data.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let _ = writeln!(out, "  before: {} {} {}", crumb.level, crumb.message.as_deref().unwrap_or_default(), data.join(" "));
    }
    request(out, event.request.as_ref());
    let tags: Vec<_> = event.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    facts(out, "tags", &tags.join(" "));
    facts(out, "user", event.user.as_ref().and_then(|user| user.id.as_deref()).unwrap_or_default());
    out.push('\n');
}

fn request(out: &mut String, request: Option<&Request>) {
    let Some(request) = request else { return };
    let query = request.query_string.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
    facts(
        out,
        "request",
        &format!("{} {}{query}", request.method.as_deref().unwrap_or_default(), request.url.as_deref().unwrap_or_default()),
    );
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    facts(out, "headers", &headers.join(", "));
}

fn facts(out: &mut String, name: &str, text: &str) {
    if !text.is_empty() {
        let _ = writeln!(out, "  {name}: {}", visible(text));
    }
}

/// Escapes control characters: those of a request must not reach a terminal.
fn visible(text: &str) -> String {
    text.chars().flat_map(|letter| if letter.is_control() { letter.escape_default().collect::<Vec<_>>() } else { vec![letter] }).collect()
}

fn place_of(frame: &Frame) -> String {
    let line = frame.lineno.map(|line| format!(":{line}")).unwrap_or_default();
    match (frame.function.as_deref(), frame.filename.as_deref()) {
        (Some(function), Some(file)) => format!("{function} ({file}{line})"),
        (Some(function), None) => function.to_owned(),
        (None, Some(file)) => format!("{file}{line}"),
        (None, None) => frame.instruction_addr.clone().unwrap_or_default(),
    }
}

fn duration(start: u64, end: u64) -> String {
    let micros = end.saturating_sub(start) / 1_000;
    format!("{}.{:02} ms", micros / 1_000, micros % 1_000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_a_tree_and_an_error_a_story() {
        let transaction = render(include_bytes!("../../tests/fixtures/valid/07-transaction.envelope"));
        let event = render(include_bytes!("../../tests/fixtures/valid/01-event-error-full.envelope"));

        assert_eq!(
            transaction,
            "GET /cart/{id} [http.server] ok 200 412.34 ms\n\
             └─ SELECT * FROM cart WHERE id = $1 [db.query] 40.00 ms  db.operation.name=\"SELECT\"  db.query.text=\"SELECT * FROM cart WHERE id = $1\"  db.system.name=\"postgresql\"\n   \
             └─ cart:7 [cache.get] 10.00 ms  cache.hit=true  cache.item_size=58  cache.key=[\"cart:7\"]\n  \
             request: GET https://shop.example/cart/7\n\n"
        );
        assert!(
            event.contains(
                "  CartError: backend unavailable\n    caused by io::Error: connection refused\n    at shop::cart::load (src/cart.rs:88)\n"
            ),
            "{event}"
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(visible("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\nc");
    }
}
