//! Text inside HTML and inside a script.

use std::fmt::{self, Write as _};

#[cfg(feature = "browser")]
use serde::Serialize;

/// Text inside a quoted HTML attribute, or between tags.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            letter => f.write_char(letter),
        })
    }
}

/// A value as a JavaScript literal that can neither end nor change the script around it.
#[cfg(feature = "browser")]
pub(super) struct Literal<T>(pub(super) T);

#[cfg(feature = "browser")]
impl<T: Serialize> fmt::Display for Literal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_string(&self.0).map_err(|_| fmt::Error)?;
        json.chars().try_for_each(|letter| match letter {
            // Only texts contain these, and an escape means the same there. `</script>` and `<!--` would
            // end or change the element, and the last two end a line in old browsers.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => write!(f, "\\u{:04x}", u32::from(letter)),
            letter => f.write_char(letter),
        })
    }
}
