//! A secret in a text.

use std::ops::Range;

/// The kind of text that replaces a secret.
#[derive(Clone, Copy)]
pub(super) enum Replacement {
    Value,
    Token,
    UserInfo,
}

pub(super) struct Secret {
    pub(super) range: Range<usize>,
    pub(super) replacement: Replacement,
}
