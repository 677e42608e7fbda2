//! A secret that was found in a text.

use std::ops::Range;

use super::window::{FAR, near};

/// The kind of text that replaces a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replacement {
    Value,
    Token,
    /// A user and a password, each of which is replaced.
    UserInfo,
}

/// The rule that found a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Card,
    Command,
    Iban,
    Key,
    LongToken,
    Name,
    OneTimeCode,
    Path,
    Personal,
    PrivateKey,
    Scheme,
    Sentence,
    Ssn,
    Statement,
    UserInfo,
    Webhook,
}

#[derive(Clone, Debug)]
pub(super) struct Secret {
    pub(super) range: Range<usize>,
    pub(super) replacement: Replacement,
    pub(super) rule: Rule,
}

impl Secret {
    pub(super) fn value(range: Range<usize>, rule: Rule) -> Self {
        Self { range, replacement: Replacement::Value, rule }
    }

    /// A value that a rule looked for [near](near) `from`. If it does not end there, all following text is hidden.
    pub(super) fn near(text: &str, from: usize, range: Range<usize>, rule: Rule) -> Self {
        let seen = from + near(text.get(from..).unwrap_or_default(), FAR).len();
        let end = if range.end < seen { range.end } else { text.len() };
        Self::value(range.start..end, rule)
    }

    pub(super) fn token(range: Range<usize>, rule: Rule) -> Self {
        Self { range, replacement: Replacement::Token, rule }
    }
}
