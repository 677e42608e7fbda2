//! Prints transactions as a tree with durations, and errors with their causes, for development.
//!
//! It reads the redacted envelope, as a server does, so it shows exactly what would be sent. On a terminal
//! there are colours, and a bar that shows when each span ran; a file or a pipe gets plain lines.

use std::fmt::Write as _;
use std::future::ready;
use std::io::Write as _;

use ::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

pub(crate) use self::look::ConsoleForm;
use self::look::{Look, Tone};
use self::text::{end, visible};
use super::{BoxFuture, EnvelopeRequest, Transport, TransportError, TransportResponse};
use crate::protocol::{CheckIn, FeedbackEvent, ItemType, StreamedSpan, parse, put_together};
use crate::unwind;

mod look;
mod story;
mod text;
mod tree;

/// Prints envelopes to standard output.
#[derive(Debug)]
pub(crate) struct Console {
    form: ConsoleForm,
}

impl Console {
    pub(crate) const fn new(form: ConsoleForm) -> Self {
        Self { form }
    }
}

impl Transport for Console {
    fn send(&self, request: EnvelopeRequest) -> BoxFuture<'_, Result<TransportResponse, TransportError>> {
        let text = render(request.body(), Look::of_stdout(self.form));
        // The standard library may be printing the panic that this is about.
        unwind::wait_for_panic_hooks();
        // An error means that standard output is closed, so there is nowhere to report it.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
        Box::pin(ready(Ok(TransportResponse::new(StatusCode::OK, HeaderMap::new(), Bytes::new()))))
    }

    fn accepts_gzip(&self) -> bool {
        false
    }
}

/// Spans of one request or job, maybe without itself: it still runs then.
#[derive(Deserialize)]
struct SpanContainer {
    items: Vec<StreamedSpan>,
}

/// Renders an envelope as text.
fn render(bytes: &[u8], look: Look) -> String {
    let mut out = String::new();
    let Ok((_, items)) = parse(bytes) else { return out };
    for item in items {
        match item.header.kind {
            ItemType::Transaction => {
                if let Ok(transaction) = serde_json::from_slice(item.payload) {
                    tree::write(&mut out, &transaction, look);
                }
            }
            ItemType::Span => {
                if let Ok(SpanContainer { items }) = serde_json::from_slice(item.payload) {
                    for transaction in put_together(items) {
                        tree::write(&mut out, &transaction, look);
                    }
                }
            }
            ItemType::Event => {
                if let Ok(event) = serde_json::from_slice(item.payload) {
                    story::write(&mut out, &event, look);
                }
            }
            ItemType::Log => {
                if let Ok(logs) = serde_json::from_slice(item.payload) {
                    lines(&mut out, &logs, look);
                }
            }
            ItemType::TraceMetric => {
                if let Ok(metrics) = serde_json::from_slice(item.payload) {
                    values(&mut out, &metrics);
                }
            }
            ItemType::CheckIn => {
                if let Ok(CheckIn { monitor_slug, status, duration, .. }) = serde_json::from_slice(item.payload) {
                    let took = duration.map(|seconds| format!(" {seconds:.3} s")).unwrap_or_default();
                    let _ = writeln!(out, "check-in {} {status:?}{took}", visible(&monitor_slug));
                    end(&mut out, look);
                }
            }
            ItemType::Feedback => {
                if let Ok(FeedbackEvent { contexts, .. }) = serde_json::from_slice(item.payload) {
                    let _ = writeln!(out, "feedback {}", visible(&contexts.feedback.message));
                    end(&mut out, look);
                }
            }
            ItemType::Attachment
            | ItemType::ClientReport
            | ItemType::Profile
            | ItemType::ProfileChunk
            | ItemType::Sessions
            | ItemType::Other => {}
        }
    }
    out
}

// Writing to a `String` does not fail, so the functions of this module ignore the results of `write!`.

/// Structured logs, one per line.
fn lines(out: &mut String, logs: &Value, look: Look) {
    for log in logs["items"].as_array().into_iter().flatten() {
        let text = |name: &str| visible(log[name].as_str().unwrap_or_default());
        let level = text("level");
        let tone = match &*level {
            "error" | "fatal" => Tone::Failed,
            "warn" => Tone::Slow,
            _ => Tone::Quiet,
        };
        let _ = writeln!(out, "log {} {}", look.paint(tone, &level), text("body"));
    }
}

/// Metrics, one per line: `metric counter orders.placed 1`.
fn values(out: &mut String, metrics: &Value) {
    for metric in metrics["items"].as_array().into_iter().flatten() {
        let text = |name: &str| visible(metric[name].as_str().unwrap_or_default());
        let unit = text("unit");
        let _ =
            writeln!(out, "metric {} {} {}{}{unit}", text("type"), text("name"), metric["value"], if unit.is_empty() { "" } else { " " });
    }
}

#[cfg(test)]
mod tests;
