//! Limits how far rules look in a text.

/// The maximum distance at which a rule looks for the end of a line or of a value, in bytes.
///
/// A longer value is judged by its visible part. If it is secret, all text that follows it (or, for rules
/// that look back, precedes it) is hidden too.
pub(super) const FAR: usize = 4096;

/// The beginning of a text, at most this many bytes.
pub(super) fn near(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// The end of a text, at most this many bytes.
pub(super) fn last(text: &str, bytes: usize) -> &str {
    let start = (text.len().saturating_sub(bytes)..=text.len()).find(|start| text.is_char_boundary(*start));
    text.get(start.unwrap_or_default()..).unwrap_or_default()
}

/// The length of a value up to the first of these end signs. If there is none near, the length is that of the
/// searched part.
///
/// `None` if the text ends before the value does.
pub(super) fn until(text: &str, ends: &[char]) -> Option<usize> {
    let near = near(text, FAR);
    near.find(ends).or_else(|| (near.len() < text.len()).then_some(near.len()))
}
