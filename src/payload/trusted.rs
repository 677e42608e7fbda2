//! Texts that the redactor does not search for secrets.

use serde::{Serialize, Serializer};

use crate::protocol::{EventId, SpanId, TraceId};
use crate::redaction::is_plain;

/// A constant of this crate: an attribute's name or a word of the protocol.
///
/// It is written as it is, neither redacted nor escaped.
#[derive(Clone, Copy)]
pub(super) struct Constant(pub(super) &'static str);

impl Serialize for Constant {
    #[expect(clippy::inline_always, reason = "a constant is copied as one")]
    #[inline(always)]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit_variant("Constant", 0, self.0)
    }
}

/// A text of the program: a module, a file, the name of a span. It contains no data of a request.
///
/// It is not searched for secrets, unless it needs escapes, as a path of Windows does.
pub(super) struct ProgramText(pub(super) &'static str);

impl Serialize for ProgramText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if is_plain(self.0) { serializer.serialize_unit_variant("ProgramText", 0, self.0) } else { serializer.serialize_str(self.0) }
    }
}

/// The digits of an id, written as they are.
#[derive(Clone, Copy)]
pub(super) struct Id<T>(pub(super) T);

macro_rules! ids {
    ($($id:ty: $digits:literal),*) => {$(
        impl Serialize for Id<$id> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.0.as_hex(&mut [0; $digits]))
            }
        }
    )*};
}
ids!(EventId: 32, TraceId: 32, SpanId: 16);

/// The digits are already written out.
impl Serialize for Id<&str> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redaction::{Redaction, redact_json};

    #[test]
    fn a_text_of_the_program_may_contain_any_character() {
        for text in ["shop::cart", r"src\main.rs", "a \"quoted\" target", "two\nlines"] {
            let written = redact_json(Redaction::default(), &ProgramText(text));
            assert_eq!(serde_json::from_str::<String>(&written).ok().as_deref(), Some(text), "{written}");
        }
    }
}
