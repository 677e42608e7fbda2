//! Hashes of texts, to compare texts that are no longer in memory.

use std::fmt;

use crate::fnv;
use crate::record::cut;

/// The hash of a text.
///
/// It is FNV-1a: texts are short, and a request compares a few of them.
pub(crate) type TextHash = u64;

/// At most this many bytes of a text are compared. Longer texts are cut elsewhere, in several ways.
const COMPARED: usize = 4 * 1024;

/// The hash of a text.
pub(super) fn of(text: &str) -> TextHash {
    fnv::add(fnv::START, cut(text, COMPARED))
}

/// The hash of several texts in a row.
pub(super) fn of_all(texts: &[&str]) -> TextHash {
    texts.iter().fold(fnv::START, |hash, text| fnv::add(hash, text))
}

/// The hash of formatted output, of at most [`COMPARED`] bytes.
pub(super) fn of_output(output: fmt::Arguments<'_>) -> TextHash {
    let mut hasher = Hasher::default();
    // The writer returns an error only at the limit.
    let _ = fmt::Write::write_fmt(&mut hasher, output);
    hasher.finish()
}

/// Hashes the text that is written to it, and stops the writer after [`COMPARED`] bytes.
pub(super) struct Hasher {
    hash: TextHash,
    room: usize,
}

impl Default for Hasher {
    fn default() -> Self {
        Self { hash: fnv::START, room: COMPARED }
    }
}

impl Hasher {
    pub(super) fn finish(&self) -> TextHash {
        self.hash
    }
}

impl fmt::Write for Hasher {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let kept = cut(text, self.room);
        self.hash = fnv::add(self.hash, kept);
        self.room -= kept.len();
        if kept.len() < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_pieces_has_the_hash_of_the_whole() {
        assert_eq!(of_all(&["shop::", "Cart"]), of("shop::Cart"));
        assert_eq!(of_output(format_args!("{}: {:?}", "a", "b")), of("a: \"b\""));
        assert_ne!(of("timeout"), of("timeouts"));
    }

    #[test]
    fn only_the_begin_of_a_long_text_counts() {
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("ä")?;
                }
            }
        }

        assert_eq!(of_output(format_args!("{Endless}")), of(&"ä".repeat(COMPARED)));
    }
}
