//! Writes texts into JSON, each judged by its place.

use std::borrow::Cow;

use serde::ser::Error as _;
use serde_json::Error;

use super::cursor::Reading;
use super::place::ValuePlace;
use super::scan;
use super::verdict::{Verdict, judge};
use super::{Redactor, clean, cookies, escape, header_value, numbers, url};

/// Appends redacted JSON to a buffer.
pub(super) struct Json<'r> {
    pub(super) redactor: &'r Redactor,
    pub(super) out: &'r mut Vec<u8>,
    /// How deep the value is in lists and maps.
    pub(super) depth: usize,
    /// A value under a secret name was hidden.
    pub(super) hid: bool,
}

impl Json<'_> {
    /// Writes a text from any source, redacted as its place requires.
    pub(super) fn judged(&mut self, text: &str, place: ValuePlace) {
        match place {
            ValuePlace::Id => return self.plain(text),
            ValuePlace::IdText if text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => return self.plain(text),
            ValuePlace::Own => return self.escaped(text),
            ValuePlace::Digits if text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) => {
                return self.digits(text);
            }
            ValuePlace::Query | ValuePlace::Url | ValuePlace::Cookies | ValuePlace::Cookie | ValuePlace::UnknownHeader => {}
            _ if scan::is_harmless_word(text) && !self.redactor.rules.is_strict => return self.plain(text),
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
            ValuePlace::Cookies => return checked(cookies::cookies(self.redactor, text)),
            ValuePlace::Cookie => return checked(cookies::cookie(self.redactor, text)),
            ValuePlace::UnknownHeader => return checked(header_value::unknown(self.redactor, text)),
            _ => {}
        }
        let reading = match place {
            ValuePlace::Identifier => Reading::Identifier,
            ValuePlace::Name => Reading::Name,
            ValuePlace::Body => Reading::Body,
            _ => Reading::Text,
        };
        let found = scan::find(self.redactor, text, reading);
        match scan::without(self.redactor, text, &found.secrets) {
            // A request target or URL, whatever its field is named: its parameters are judged one by one.
            _ if matches!(reading, Reading::Text | Reading::Body)
                && (found.has_question_mark || !found.secrets.is_empty())
                && text.contains('?')
                && !text.contains(char::is_whitespace)
                && is_url(text) =>
            {
                checked(url::url(self.redactor, text))
            }
            Cow::Borrowed(text) => (Cow::Borrowed(text), !found.needs_escape),
            clean @ Cow::Owned(_) => (clean, false),
        }
    }

    /// Writes a number, unless it is a card's.
    pub(super) fn digits(&mut self, text: &str) {
        if text.len() >= 13 && numbers::is_card_text(text) && !self.redactor.rules.hides_nothing() {
            self.escaped(self.redactor.placeholder());
        } else {
            self.out.extend_from_slice(text.as_bytes());
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

    /// The verdict on the text that was written from `start` on, as a name.
    pub(super) fn name_written(&self, start: usize) -> Option<Verdict> {
        let written = self.out.get(start..)?;
        let untyped = written.strip_prefix(TYPED_TEXT).and_then(|written| written.strip_suffix(b"}"));
        let text = untyped.unwrap_or(written).strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        std::str::from_utf8(text).ok().filter(|name| name.len() <= 64 && !name.contains(' ')).map(judge)
    }

    /// Begins a list or a map. If it is too deep, a mark is written, and its contents are left out.
    #[inline]
    pub(super) fn enter(&mut self, open: u8) -> bool {
        self.depth += 1;
        let is_open = self.depth <= DEPTH_LIMIT;
        if is_open {
            self.out.push(open);
        } else {
            self.plain(TOO_DEEP);
        }
        is_open
    }

    #[inline]
    pub(super) fn leave(&mut self, is_open: bool, close: u8) {
        self.depth -= 1;
        if is_open {
            self.out.push(close);
        }
    }

    /// Writes the replacement of a value.
    pub(super) fn hidden(&mut self, place: ValuePlace) {
        // Servers discard values without a type beside them.
        let (before, after): (&[u8], &[u8]) = match place {
            ValuePlace::Typed => (b"{\"type\":\"string\",\"value\":", b"}"),
            // A group must be an object.
            ValuePlace::Groups => (b"{\"value\":", b"}"),
            _ => (b"", b""),
        };
        self.out.extend_from_slice(before);
        self.escaped(self.redactor.placeholder());
        self.out.extend_from_slice(after);
    }

    #[inline]
    pub(super) fn comma(&mut self, is_first: &mut bool) {
        if !std::mem::take(is_first) {
            self.out.push(b',');
        }
    }
}

/// The maximum depth of lists and maps. Parsers refuse 128 levels, and each level takes stack.
const DEPTH_LIMIT: usize = 32;
const TOO_DEEP: &str = "[nested too deep]";

/// The JSON before a text that has its type beside it.
const TYPED_TEXT: &[u8] = br#"{"type":"string","value":"#;

/// Whether a text without white space is a request target or a URL.
fn is_url(text: &str) -> bool {
    text.starts_with('/') || text.split_once('?').is_some_and(|(before, _)| before.contains("://"))
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
