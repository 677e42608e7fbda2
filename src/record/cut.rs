//! Texts that were cut at a limit.

/// The end of a text that was cut.
pub(crate) const CUT_MARK: &str = "…";
/// The longest word that is removed where a text was cut; a longer run is judged by its length alone.
const WORD_LIMIT: usize = 256;

/// Returns a text that was cut at its limit, without the word that the cut went through.
///
/// Half a token has no shape by which it could be recognised.
pub(crate) fn without_cut_word(text: &str) -> &str {
    text.get(..whole_words(text.as_bytes()).len()).unwrap_or(text)
}

/// The same for a text that need not be UTF-8.
pub(super) fn whole_words(text: &[u8]) -> &[u8] {
    let from = text.len().saturating_sub(WORD_LIMIT);
    let tail = text.get(from..).unwrap_or_default();
    let last = |is_sign: fn(u8) -> bool| tail.iter().rposition(|byte| is_sign(*byte));
    let end = last(|byte| byte.is_ascii_whitespace())
        .or_else(|| last(|byte| matches!(byte, b'&' | b',' | b';' | b'"')))
        // Without any of these, a token ends at a sign that it does not have itself.
        .or_else(|| last(|byte| byte.is_ascii_punctuation() && !matches!(byte, b'_' | b'-' | b'.' | b'~' | b'+')));
    end.and_then(|end| text.get(..from + end)).unwrap_or(text)
}

/// What is left of a text that is cut, so that it has at most `limit` bytes with its mark. The word
/// that the limit cuts goes as a whole: half a token would not be recognised as a secret.
pub(super) fn shorter(text: &str, limit: usize) -> &str {
    without_cut_word(cut(text, limit.saturating_sub(CUT_MARK.len())))
}

/// Cuts `text` to at most `limit` bytes, on a character boundary.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        text
    } else {
        text.get(..(0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_at_the_cut_is_removed() {
        let long = "x".repeat(2 * WORD_LIMIT);
        let rows = [
            ("two words", "two"),
            ("größe über", "größe"),
            ("https://shop.example/?a=1&token=ab", "https://shop.example/?a=1"),
            ("a https://user:pass", "a"),
            ("/search?q=red%20shoes%20ab12", "/search?q=red%20shoes"),
            ("/orders/ghp_0123", "/orders"),
            ("one", "one"),
            ("", ""),
        ];
        for (given, expected) in rows {
            assert_eq!(without_cut_word(given), expected);
        }
        assert_eq!(without_cut_word(&long), long);
    }
}
