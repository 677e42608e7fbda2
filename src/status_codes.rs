//! Sets of HTTP status codes.

use std::fmt;
use std::ops::RangeInclusive;

use http::StatusCode;

/// The codes that `http::StatusCode` can hold.
const CODES: RangeInclusive<u16> = 100..=999;
const WORDS: usize = 15;

/// A set of HTTP status codes, from 100 to 999.
///
/// Make it from a code, a list of codes or a range; [`with`](Self::with) adds more. Settings that take a
/// set accept all of these directly. A number outside 100 to 999 is invalid: depending on the setting, it is an
/// error or is ignored with a warning.
///
/// # Examples
///
/// ```
/// use tower_sentry::incoming::StatusCodes;
///
/// let failed = StatusCodes::from(500..=599).with(429);
/// assert!(failed.contains(429) && failed.contains(503));
/// assert!(!failed.contains(404));
/// assert_eq!(failed.to_string(), "429, 500..=599");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StatusCodes {
    /// One bit for each code from 100 on.
    bits: [u64; WORDS],
    /// The first given number that is not a status code, or the start of a range that ends before it.
    invalid: Option<u16>,
}

impl StatusCodes {
    /// Creates an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a code, a list of codes, or a range.
    #[must_use]
    pub fn with(mut self, codes: impl Into<Self>) -> Self {
        let added = codes.into();
        for (word, more) in self.bits.iter_mut().zip(added.bits) {
            *word |= more;
        }
        self.invalid = self.invalid.or(added.invalid);
        self
    }

    /// Whether the code is in the set.
    #[inline]
    pub fn contains(&self, code: u16) -> bool {
        let (word, bit) = place(code);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Returns what is wrong with the numbers that the set was made from.
    pub(crate) fn fault(&self) -> Option<String> {
        self.invalid.map(|code| format!("expected status codes from 100 to 999 in ascending order, found {code}"))
    }

    fn insert(&mut self, code: u16) {
        let (word, bit) = place(code);
        match self.bits.get_mut(word).filter(|_| CODES.contains(&code)) {
            Some(word) => *word |= bit,
            None => self.invalid = self.invalid.or(Some(code)),
        }
    }
}

/// The word and the bit of a code. For codes below 100 there is no such word.
fn place(code: u16) -> (usize, u64) {
    let index = usize::from(code.wrapping_sub(*CODES.start()));
    (index / 64, 1 << (index % 64))
}

impl From<u16> for StatusCodes {
    fn from(code: u16) -> Self {
        Self::from([code])
    }
}

impl From<StatusCode> for StatusCodes {
    fn from(code: StatusCode) -> Self {
        Self::from(code.as_u16())
    }
}

impl From<RangeInclusive<u16>> for StatusCodes {
    fn from(codes: RangeInclusive<u16>) -> Self {
        let mut set = Self::new();
        if codes.is_empty() || !CODES.contains(codes.end()) {
            set.invalid = Some(if codes.is_empty() { *codes.start() } else { *codes.end() });
        }
        set.extend_within(codes);
        set
    }
}

impl<const N: usize> From<[u16; N]> for StatusCodes {
    fn from(codes: [u16; N]) -> Self {
        codes.into_iter().collect()
    }
}

impl FromIterator<u16> for StatusCodes {
    fn from_iter<I: IntoIterator<Item = u16>>(codes: I) -> Self {
        let mut set = Self::new();
        codes.into_iter().for_each(|code| set.insert(code));
        set
    }
}

impl StatusCodes {
    /// Adds the codes of a range. A range of all numbers ends at 999.
    fn extend_within(&mut self, codes: RangeInclusive<u16>) {
        let end = *codes.end().min(CODES.end());
        (*codes.start()..=end).for_each(|code| self.insert(code));
    }
}

/// Lists codes and ranges, such as `429, 500..=599`.
impl fmt::Display for StatusCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut code = *CODES.start();
        while code <= *CODES.end() {
            let run = (code..=*CODES.end()).take_while(|code| self.contains(*code)).count();
            let last = code + u16::try_from(run).unwrap_or_default().saturating_sub(1);
            match run {
                0 => {}
                1 => write!(f, "{separator}{code}")?,
                _ => write!(f, "{separator}{code}..={last}")?,
            }
            if run > 0 {
                separator = ", ";
            }
            code = last + 1;
        }
        if separator.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

impl fmt::Debug for StatusCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatusCodes({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_it_was_made_from() {
        let rows = [
            (StatusCodes::new(), "none"),
            (StatusCodes::from(100), "100"),
            (StatusCodes::from(999), "999"),
            (StatusCodes::from([503, 429, 430]), "429..=430, 503"),
            (StatusCodes::from(500..=599).with(429).with([599, 600]), "429, 500..=600"),
            (StatusCodes::from(100..=999), "100..=999"),
            (StatusCodes::from(StatusCode::NOT_FOUND), "404"),
        ];

        for (set, text) in rows {
            assert_eq!(set.to_string(), text);
            assert_eq!(set.fault(), None, "{text}");
        }
        let all: Vec<u16> = (0..=u16::MAX).filter(|code| StatusCodes::from(500..=599).with(429).contains(*code)).collect();
        assert_eq!(all, std::iter::once(429).chain(500..=599).collect::<Vec<_>>());
    }

    #[test]
    fn numbers_that_are_not_status_codes_are_named() {
        #[expect(clippy::reversed_empty_ranges, reason = "what a user may write by mistake")]
        let reversed = 599..=500;
        let rows = [
            (StatusCodes::from(5), 5),
            (StatusCodes::from([404, 4040]), 4040),
            (StatusCodes::from(0..=599), 0),
            (StatusCodes::from(500..=u16::MAX), u16::MAX),
            (StatusCodes::from(reversed), 599),
            (StatusCodes::from(404).with(1000).with(7), 1000),
        ];

        for (set, found) in rows {
            assert!(set.fault().is_some_and(|fault| fault.ends_with(&format!("found {found}"))), "{set}: {:?}", set.fault());
        }
    }
}
