//! The state of a scan, and the classes of bytes.

use std::cell::Cell;

use super::Redactor;
use super::finding::Secret;
pub(super) use super::window::{FAR, last, near, until};

pub(super) const OTHER: u8 = 0;
pub(super) const TOKEN: u8 = 1;
pub(super) const COLON: u8 = 2;
pub(super) const EQUALS: u8 = 3;
/// A byte that JSON must escape.
pub(super) const ESCAPE: u8 = 4;
pub(super) const QUESTION: u8 = 5;
pub(super) const SLASH: u8 = 6;
pub(super) const AT: u8 = 7;
pub(super) const PERCENT: u8 = 8;
pub(super) const GREATER: u8 = 9;
/// `'`, which begins and ends texts in many languages.
pub(super) const QUOTE: u8 = 10;
pub(super) const PARENTHESIS: u8 = 11;
/// The first byte of signs of full width: `：` and `＝`.
pub(super) const WIDE: u8 = 12;

/// The class of each byte for the scan; one load per byte keeps the scan cheap.
#[expect(clippy::indexing_slicing, reason = "a byte is within 256, and this runs in the compiler")]
static CLASSES: [u8; 256] = {
    let mut classes = [OTHER; 256];
    let mut byte = 0_u8;
    loop {
        classes[byte as usize] = match byte {
            b':' => COLON,
            b'=' => EQUALS,
            b'"' | b'\\' | 0..=31 => ESCAPE,
            b'?' => QUESTION,
            b'/' => SLASH,
            b'@' => AT,
            b'%' => PERCENT,
            b'>' => GREATER,
            b'\'' => QUOTE,
            b'(' | b'[' | b'{' => PARENTHESIS,
            0xef => WIDE,
            b'_' | b'-' | b'+' => TOKEN,
            _ if byte.is_ascii_alphanumeric() => TOKEN,
            _ => OTHER,
        };
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

pub(super) fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(OTHER)
}

/// Whether a byte belongs to a run: a letter, a digit, `_`, `-` or `+`.
pub(super) fn is_run(byte: u8) -> bool {
    class(byte) == TOKEN
}

/// How a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Any text.
    Text,
    /// The body of a request. Its names are parameters, as those of a query.
    Body,
    /// A name that the application chose. Digests in it stay, so that different names stay different.
    Name,
    /// The name of something in the program, or of a release. Only text that is certainly a secret is hidden.
    Identifier,
}

/// The result of one pass over a text.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In order, none inside another.
    pub(super) secrets: Vec<Secret>,
    pub(super) needs_escape: bool,
    pub(super) has_question_mark: bool,
}

/// A text on its way through the rules.
pub(super) struct Scan<'t> {
    pub(super) redactor: &'t Redactor,
    pub(super) text: &'t str,
    pub(super) reading: Reading,
    /// How often it was decoded.
    pub(super) depth: u8,
    pub(super) found: Found,
    /// Percent-encoded words before this byte are already decoded and judged.
    pub(super) decoded_to: usize,
    /// Bytes that rules may still read ahead.
    left: Cell<usize>,
}

/// Where the scan continues.
pub(super) enum Step {
    /// A secret. The scan continues after it.
    Secret(Secret),
    /// The text up to this byte is not a secret, although it may look like one.
    Skip(usize),
}

/// The rules may read ahead this many times the length of a text, plus `FREE` bytes.
const READINGS: usize = 16;
const FREE: usize = 64 * 1024;

impl<'t> Scan<'t> {
    pub(super) fn new(redactor: &'t Redactor, text: &'t str, reading: Reading, depth: u8) -> Self {
        let left = Cell::new(text.len().saturating_mul(READINGS).saturating_add(FREE));
        Self { redactor, text, reading, depth, found: Found::default(), decoded_to: 0, left }
    }

    /// The text from `at` on, at most this many bytes. Without the limit, the time of a rule that looks ahead
    /// at each word would grow with the square of the text's length.
    pub(super) fn ahead(&self, at: usize, bytes: usize) -> &'t str {
        near(self.text.get(at..).unwrap_or_default(), bytes)
    }

    /// The text before `at`, at most this many bytes.
    pub(super) fn behind(&self, at: usize, bytes: usize) -> &'t str {
        last(self.text.get(..at).unwrap_or_default(), bytes)
    }

    /// Adds a secret that is not where the scan is.
    pub(super) fn add(&mut self, secret: Secret) {
        self.found.secrets.push(secret);
    }

    /// Counts bytes that a rule reads ahead. Returns `false` if the text made the rules read too much. The
    /// caller then hides the rest of the text, so that a hostile text costs no more than others of its length.
    pub(super) fn may_read(&self, bytes: usize) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(bytes));
        bytes <= left
    }
}
