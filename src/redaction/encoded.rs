//! Decodes percent-encoded words inside a text, so that they can be judged. The text that is sent keeps its encoding.

use std::ops::Range;

use super::cursor::Scan;

/// A text is decoded at most this often.
const DEPTH: u8 = 3;

/// The byte that `%XX` at a place stands for.
pub(super) fn byte(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    if bytes.get(at) != Some(&b'%') {
        return None;
    }
    u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()
}

/// A word without its encoding.
pub(super) struct Decoded {
    pub(super) text: String,
    /// The place of each byte in the encoded word.
    pub(super) places: Vec<usize>,
    /// The word.
    pub(super) range: Range<usize>,
}

/// Decodes the word around the `%` at `at`, once for each word.
pub(super) fn word(scan: &mut Scan<'_>, at: usize) -> Option<Decoded> {
    if scan.depth >= DEPTH || at < scan.decoded_to {
        return None;
    }
    byte(scan.text.as_bytes(), at)?;
    let text = scan.text;
    let is_end = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '<' | '>' | '`' | '\\');
    let start =
        text.get(scan.decoded_to..at).and_then(|before| Some(scan.decoded_to + before.rfind(is_end)? + 1)).unwrap_or(scan.decoded_to);
    let start = (start..=at).find(|place| text.is_char_boundary(*place)).unwrap_or(at);
    let end = text.get(at..).and_then(|after| after.find(is_end)).map_or(text.len(), |len| at + len);
    scan.decoded_to = end;
    let (decoded, places) = decode(text.get(start..end)?);
    Some(Decoded { text: String::from_utf8(decoded).ok()?, places, range: start..end })
}

/// Decodes a word, and returns the place of each byte in it.
fn decode(word: &str) -> (Vec<u8>, Vec<usize>) {
    let bytes = word.as_bytes();
    let (mut out, mut places) = (Vec::with_capacity(bytes.len()), Vec::with_capacity(bytes.len()));
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        places.push(at);
        let decoded = self::byte(bytes, at);
        out.push(decoded.unwrap_or(*byte));
        at += if decoded.is_some() { 3 } else { 1 };
    }
    (out, places)
}
