//! What trees and stories share.

use std::fmt::Write as _;

use super::look::{Look, Tone};
use crate::protocol::Request;

// Writing to a `String` does not fail, so the functions of this module ignore the results of `write!`.

/// An empty line between two items, unless each has one line only.
pub(super) fn end(out: &mut String, look: Look) {
    if !look.is_brief {
        out.push('\n');
    }
}

pub(super) fn request(out: &mut String, request: Option<&Request>, look: Look) {
    let Some(request) = request else { return };
    let query = request.query_string.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
    let (method, url) = (request.method.as_deref().unwrap_or_default(), request.url.as_deref().unwrap_or_default());
    facts(out, "request", &format!("{method} {url}{query}"), look);
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    facts(out, "headers", &headers.join(", "), look);
}

pub(super) fn facts(out: &mut String, name: &str, text: &str, look: Look) {
    if !text.is_empty() {
        let _ = writeln!(out, "  {} {}", look.paint(Tone::Quiet, format_args!("{name}:")), visible(text));
    }
}

/// Escapes control characters: those of a request must not reach a terminal.
pub(super) fn visible(text: &str) -> String {
    text.chars().flat_map(|letter| if letter.is_control() { letter.escape_default().collect::<Vec<_>>() } else { vec![letter] }).collect()
}
