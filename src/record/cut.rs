//! Texts that were cut at a limit.

/// The end of a text that was cut.
pub(crate) const CUT_MARK: &str = "…";
/// The longest word that is removed where a text was cut; a longer run is judged by its length alone.
const WORD_LIMIT: usize = 256;

/// Returns a text that was cut at its limit, without the word that the cut went through.
///
/// Half a token has no shape by which it could be recognised.
pub(crate) fn without_cut_word(text: &str) -> &str {
    let from = (text.len().saturating_sub(WORD_LIMIT)..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let tail = text.get(from..).unwrap_or_default();
    let end = tail.rfind(char::is_whitespace).or_else(|| tail.rfind(['&', ',', ';', '"']));
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
            ("one", "one"),
            ("", ""),
        ];
        for (given, expected) in rows {
            assert_eq!(without_cut_word(given), expected);
        }
        assert_eq!(without_cut_word(&long), long);
    }
}
