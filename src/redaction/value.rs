//! Finds where the value after a name ends: in prose, `Debug` output, JSON or headers.

use std::ops::Range;

/// Returns the range of a value in the text after its name.
///
/// Returns `None` if the value is empty or has been replaced already.
pub(super) fn value(text: &str, placeholder: &str, to_the_end: bool) -> Option<Range<usize>> {
    let mut start = text.len() - text.trim_start().len();
    // If the text itself was escaped, its quotes are `\"`.
    let unescaped = text.get(start..)?.trim_start_matches('\\');
    let is_escaped = unescaped.len() < text.len() - start;
    let quote = unescaped.chars().next().filter(|letter| matches!(letter, '"' | '\''));
    if quote.is_some() {
        start = text.len() - unescaped.len() + 1;
    }
    let rest = text.get(start..)?;
    if rest.starts_with("[REDACTED") {
        return None;
    }
    let len = match (quote, rest.as_bytes().first()?) {
        (Some(_), _) if is_escaped => rest.find('\\').unwrap_or(rest.len()),
        (Some(quote), _) => quoted(rest, quote),
        (None, b'[' | b'{' | b'(') => bracketed(rest),
        (None, _) if to_the_end => credential(rest),
        (None, _) => bare(rest),
    };
    let value = rest.get(..len)?;
    let is_none = value.is_empty() || value == placeholder || (quote.is_none() && is_bound(value));
    (!is_none).then_some(start..start + len)
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            _ if letter == quote && !escaped => return at,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

fn bracketed(text: &str) -> usize {
    let mut depth = 0_u32;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// Whether the value is a placeholder in SQL: `token = $1`, `token = ?`.
fn is_bound(value: &str) -> bool {
    value == "?"
        || value.strip_prefix('$').is_some_and(|number| (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns the end of a credential: the end of its line, or the quote that closes it.
///
/// Quotes inside the credential are skipped: `OAuth oauth_token="…", oauth_nonce="…"`.
fn credential(text: &str) -> usize {
    let mut quote = None;
    let mut before = b' ';
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'\n' => return at,
            b'"' | b'\'' if quote == Some(byte) => quote = None,
            b'"' | b'\'' if quote.is_none() && before == b'=' => quote = Some(byte),
            b'"' | b'\'' if quote.is_none() => return at,
            _ => {}
        }
        before = byte;
    }
    text.len()
}

/// Returns the end of a value without quotes.
///
/// `Some("…")`, `Password("…")` and `Key { … }` include their contents.
fn bare(text: &str) -> usize {
    let path = text.find(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | ':'))).unwrap_or(text.len());
    let after = text.get(path..).unwrap_or_default();
    let blank = after.len() - after.strip_prefix(' ').unwrap_or(after).len();
    let opens = after.get(blank..).is_some_and(|held| held.starts_with('{') || (blank == 0 && held.starts_with(['(', '['])));
    if path > 0 && opens {
        return path + blank + after.get(blank..).map_or(0, bracketed);
    }
    let end = end_of_word(text);
    let scheme = text.get(..end).unwrap_or_default();
    if ["bearer", "basic", "digest", "token"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        let after = text.get(end..).unwrap_or_default();
        let token = after.trim_start_matches(' ');
        return text.len() - token.len() + end_of_word(token);
    }
    end
}

/// Returns the end of a value without spaces.
///
/// `&`, `,` and `;` may be part of a password. They end it only at the end of the text, before
/// white space, or before the next pair.
fn end_of_word(text: &str) -> usize {
    for (at, letter) in text.char_indices() {
        let ends = match letter {
            '&' | ',' | ';' => is_followed_by_pair(text.get(at + 1..).unwrap_or_default()),
            ')' | '}' | ']' | '"' | '\'' | '<' | '>' => true,
            _ => letter.is_whitespace(),
        };
        if ends {
            return at;
        }
    }
    text.len()
}

fn is_followed_by_pair(text: &str) -> bool {
    let name = text
        .find(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '%' | '[' | ']')))
        .unwrap_or(text.len());
    let after = text.get(name..).unwrap_or_default();
    text.is_empty() || text.starts_with(char::is_whitespace) || (name > 0 && after.starts_with(['=', ':']))
}
