//! Writes texts into JSON, each judged by its place.

use std::borrow::Cow;

use serde::ser::Error as _;
use serde_json::Error;

use super::place::ValuePlace;
use super::{Redactor, clean, escape, patterns, url};

/// Appends redacted JSON to a buffer.
pub(super) struct Json<'r> {
    pub(super) redactor: &'r Redactor,
    pub(super) out: &'r mut Vec<u8>,
}

impl Json<'_> {
    /// Writes a text from any source, redacted as its place requires.
    pub(super) fn judged(&mut self, text: &str, place: ValuePlace) {
        match place {
            ValuePlace::Id => return self.plain(text),
            ValuePlace::Own => return self.escaped(text),
            ValuePlace::Digits if text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) => {
                return self.out.extend_from_slice(text.as_bytes());
            }
            ValuePlace::Query | ValuePlace::Url => {}
            _ if patterns::is_harmless_word(text) => return self.plain(text),
            _ => {}
        }
        if clean::is_known(self.redactor, place, text) {
            return self.plain(text);
        }
        match self.redacted(text, place) {
            (Cow::Borrowed(text), true) => {
                clean::note(self.redactor, place, text);
                self.plain(text);
            }
            (text, _) => self.escaped(&text),
        }
    }

    /// Returns a text without its secrets, borrowed if it has none.
    ///
    /// The flag is `true` if the text is known to need no escape.
    fn redacted<'t>(&self, text: &'t str, place: ValuePlace) -> (Cow<'t, str>, bool) {
        let checked = |text: Cow<'t, str>| {
            let is_plain = escape::is_plain(&text);
            (text, is_plain)
        };
        match place {
            _ if self.redactor.rules.hides_nothing() => return checked(Cow::Borrowed(text)),
            ValuePlace::Query => return checked(url::query(self.redactor, text)),
            ValuePlace::Url => return checked(url::url(self.redactor, text)),
            _ => {}
        }
        let scan = patterns::scan(self.redactor, text);
        // A request target or URL, whatever its field is named: its parameters are judged one by
        // one. The scan stops at a secret, which may come before the question mark.
        if (scan.has_question_mark || scan.has_secret) && text.contains('?') && !text.contains(char::is_whitespace) {
            checked(url::url(self.redactor, text))
        } else if scan.has_secret {
            (patterns::scrub(self.redactor, text), false)
        } else {
            (Cow::Borrowed(text), !scan.needs_escape)
        }
    }

    /// Writes a text that needs no escape.
    #[inline]
    pub(super) fn plain(&mut self, text: &str) {
        self.out.reserve(text.len() + 2);
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }

    /// Writes a text that may need escapes.
    pub(super) fn escaped(&mut self, text: &str) {
        if escape::is_plain(text) { self.plain(text) } else { escape::write(text, self.out) }
    }

    #[inline]
    pub(super) fn comma(&mut self, is_first: &mut bool) {
        if !std::mem::take(is_first) {
            self.out.push(b',');
        }
    }
}

/// The error for forms that no payload uses.
///
/// A user's `Serialize` never gets here: contexts become JSON values when they are set.
pub(super) fn unused() -> Error {
    Error::custom("no payload has this form")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Redaction, redact_json};

    #[test]
    fn a_secret_is_hidden_each_time() {
        let long = "Ab1".repeat(22);
        for (given, expected) in [
            ("sent Bearer abcdef123456 to upstream", "sent Bearer [Filtered] to upstream"),
            ("/callback?code=abc&state=1", "/callback?code=[Filtered]&state=1"),
            (&long, "[REDACTED_TOKEN]"),
            ("an ordinary text", "an ordinary text"),
            ("one with \"quotes\"", "one with \\\"quotes\\\""),
        ] {
            for _ in 0..4 {
                assert_eq!(redact_json(Redaction::default(), &json!({ "note": given })), format!("{{\"note\":\"{expected}\"}}"));
            }
        }
    }
}
