//! Ranges of the arena, and bytes as text.

use std::borrow::Cow;

/// A range of bytes in the record's arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(super) start: u32,
    pub(super) len: u32,
}

/// Returns bytes as text; invalid UTF-8 is replaced with U+FFFD.
pub(super) fn readable(bytes: &[u8]) -> Cow<'_, str> {
    // Checked first: this is several times faster than a lossy conversion.
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

pub(super) fn slice(start: usize, len: usize) -> Slice {
    match (u32::try_from(start), u32::try_from(len)) {
        (Ok(start), Ok(len)) => Slice { start, len },
        _ => Slice::default(),
    }
}
