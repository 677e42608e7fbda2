//! Values of settings in messages about them.

use std::sync::Arc;

use super::value_class::{self, ValueClass};
use super::{Redaction, Redactor};

/// The longest value in a message, in characters.
const LIMIT: usize = 64;

/// A value for the message that it is invalid. It may be a secret that is in the wrong place.
pub(crate) fn shown(text: &str) -> String {
    let rules = Redaction::default();
    if value_class::class(text) == ValueClass::Random {
        return rules.placeholder;
    }
    // Redacted as a whole: half a secret has no shape.
    let redactor = Redactor::new(Arc::new(rules), false);
    let clean = redactor.text(text);
    let mut rest = clean.chars().filter(|letter| !letter.is_control());
    let kept: String = rest.by_ref().take(LIMIT).collect();
    if rest.next().is_some() { kept + "…" } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_the_wrong_place_is_not_shown() {
        let rows = [
            ("half", "half"),
            ("0.5 of all\n", "0.5 of all"),
            ("0f1e2d3c4b5a69788796a5b4c3d2e1f0", "[Filtered]"),
            ("https://jane:pw@shop.example/?token=abc123x", "https://[Filtered]:[Filtered]@shop.example/?token=[Filtered]"),
        ];

        for (text, expected) in rows {
            assert_eq!(shown(text), expected);
        }
        assert_eq!(shown(&"long ".repeat(100)).chars().count(), LIMIT + 1);
    }
}
