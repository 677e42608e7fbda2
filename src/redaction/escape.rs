//! JSON strings (RFC 8259, section 7).

/// Writes a text as a quoted JSON string.
pub(super) fn write(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some((clean, byte, after)) = next(rest) {
        out.extend_from_slice(clean);
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend([byte >> 4, byte & 15].iter().filter_map(|digit| DIGITS.get(usize::from(*digit))));
            }
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Whether a text contains nothing that JSON must escape.
pub(crate) fn is_plain(text: &str) -> bool {
    next(text.as_bytes()).is_none()
}

/// Returns the bytes before the next byte to escape, that byte, and the bytes after it.
fn next(bytes: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let (words, tail) = bytes.as_chunks::<8>();
    let word = words.iter().position(|word| has_any(*word));
    // The last eight bytes overlap the words before them.
    if word.is_none() && (tail.is_empty() || bytes.last_chunk().is_some_and(|last| !has_any(*last))) {
        return None;
    }
    let start = word.unwrap_or(words.len()) * 8;
    let place = start + bytes.get(start..)?.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=31))?;
    let (clean, from) = bytes.split_at_checked(place)?;
    let (byte, after) = from.split_first()?;
    Some((clean, *byte, after))
}

/// Whether one of eight bytes must be escaped.
///
/// A subtraction sets the top bit of each byte that borrows. A borrow may continue into higher
/// bytes. The answer for the whole word is still exact, but the caller must search for the byte.
const fn has_any(bytes: [u8; 8]) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const fn below(word: u64, limit: u64) -> u64 {
        word.wrapping_sub(EACH * limit) & !word
    }
    let word = u64::from_ne_bytes(bytes);
    // A byte that equals the other one is 0 after `xor`.
    (below(word, 32) | below(word ^ (EACH * b'"' as u64), 1) | below(word ^ (EACH * b'\\' as u64), 1)) & (EACH << 7) != 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_reads_back_through_a_foreign_parser(text in "[\\x00-\\x7f]{0,40}|.{0,40}") {
            let mut out = Vec::new();

            write(&text, &mut out);

            prop_assert_eq!(serde_json::from_slice::<String>(&out).ok(), Some(text));
        }
    }
}
