//! How far rules look in a text.

/// So far a rule looks for the end of a line or of a value, in bytes.
///
/// A value that is still open there is judged by what was seen, and hidden with all that
/// follows or stands before it.
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

/// The length of a value up to the first of its ends. One that has none near is as long as what was seen.
///
/// `None` if the text is over before the value is.
pub(super) fn until(text: &str, ends: &[char]) -> Option<usize> {
    let near = near(text, FAR);
    near.find(ends).or_else(|| (near.len() < text.len()).then_some(near.len()))
}
