//! Finds where the value after a name ends: in prose, `Debug` output, JSON or headers.

use std::ops::Range;

use super::cursor::near;

/// A value in the text after its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) range: Range<usize>,
    pub(super) is_quoted: bool,
    /// Whether it is a list, a map, or a value inside a type: `Some("…")`.
    pub(super) is_wrapped: bool,
}

/// The form of the value after a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One value.
    Value,
    /// A scheme with its token and parameters, or several cookies.
    Credential,
    /// Several words or numbers with commas between them.
    List,
    /// Several words.
    Phrase,
    /// A parameter of a query, which ends at `&`.
    Parameter,
}

/// Returns the value in the text after its name, or `None` if there is none.
pub(super) fn value(text: &str, form: Form) -> Option<Extent> {
    let mut start = text.len() - text.trim_start_matches([' ', '\t']).len();
    if let Some(dumped) = dumped(text) {
        start = dumped;
    }
    // YAML may name the type: `!!str …`.
    if let Some(tag) = text.get(start..)?.strip_prefix("!!") {
        start = text.len() - tag.get(tag.find(' ').filter(|len| *len <= 16)? + 1..)?.len();
    }
    // In `Debug` output, a value may be on its own line. In a file, the next line belongs to another name.
    if let Some(block) = block(text.get(start..)?) {
        return Some(Extent { range: start + block.start..start + block.end, is_quoted: false, is_wrapped: false });
    }
    // If the text itself was escaped, its quotes are `\"`.
    let unescaped = text.get(start..)?.trim_start_matches('\\');
    let is_escaped = unescaped.len() < text.len() - start;
    let quote = unescaped.chars().next().filter(|letter| matches!(letter, '"' | '\'' | '`'));
    if quote.is_some() {
        start = text.len() - unescaped.len() + 1;
    }
    let rest = text.get(start..)?;
    let mut is_wrapped = false;
    let len = match (quote, rest.as_bytes().first()?) {
        (Some(_), _) if is_escaped => rest.find('\\').unwrap_or(rest.len()),
        (Some('"'), b'"') if doubled(rest).is_some() => {
            let inner = doubled(rest)?;
            start += rest.len() - inner.len();
            inner.find('"').unwrap_or(inner.len())
        }
        (Some(quote), _) => quoted(rest, quote),
        (None, b'[' | b'{' | b'(') => {
            let len = bracketed(rest);
            is_wrapped = true;
            if goes_on(rest.get(len..)?) { len + bare(rest.get(len..)?).0 } else { len }
        }
        // `${NAME}`, `{{ name }}` and `$(command)` are one.
        (None, b'$') if rest.starts_with("${") || rest.starts_with("$(") => {
            let close = 1 + bracketed(rest.get(1..)?);
            close + bare(rest.get(close..)?).0
        }
        (None, b'<') if near(rest, 41).contains('>') => {
            let close = rest.find('>')? + 1;
            close + bare(rest.get(close..)?).0
        }
        (None, _) if form == Form::Credential => credential(rest),
        (None, _) if form == Form::Parameter => parameter(rest),
        (None, _) if form == Form::List => list(rest),
        (None, _) if form == Form::Phrase && !bare(rest).1 => phrase(rest),
        (None, _) => {
            let (len, wraps) = bare(rest);
            is_wrapped = wraps;
            len
        }
    };
    (len > 0).then_some(Extent { range: start..start + len, is_quoted: quote.is_some(), is_wrapped })
}

/// Whether a value continues after the sign that closes a bracket: `[Filtered]hunter2`, `[Filtered]-hunter2`.
fn goes_on(after: &str) -> bool {
    after.trim_start_matches(['-', '_', '+', '/', '*', '!', '~', '.', ',', '@', '$', '#', '%', '[']).starts_with(char::is_alphanumeric)
}

/// The text after two or three quotes, as in CSV cells and Python strings: `""hunter2""`, `"""hunter2"""`.
fn doubled(rest: &str) -> Option<&str> {
    let inner = rest.strip_prefix("\"\"").or_else(|| rest.strip_prefix('"'))?;
    inner.starts_with(|next: char| next.is_alphanumeric() || matches!(next, '_' | '-' | '+' | '/' | '$' | '!' | '#')).then_some(inner)
}

/// PHP's dumps: the type of a text, and its length, on the next line: `string(9) "…"`.
fn dumped(text: &str) -> Option<usize> {
    let line = text.strip_prefix(['\n', ' '])?.trim_start().strip_prefix("string(")?;
    let quote = line.find(") \"").filter(|len| *len <= 6)? + 2;
    Some(text.len() - line.len() + quote)
}

/// A block of YAML: `|` or `>`, and the indented lines after it.
fn block(text: &str) -> Option<Range<usize>> {
    // Nearly every value ends here: its line may be long.
    if !text.starts_with(['|', '>']) {
        return None;
    }
    let line = near(text, 64).lines().next()?;
    if !matches!(line.trim_end(), "|" | ">" | "|-" | ">-" | "|+" | ">+") {
        return None;
    }
    let start = text.find('\n')? + 1;
    let lines = text.get(start..)?.split_inclusive('\n');
    let len: usize = lines.take_while(|line| line.starts_with([' ', '\t'])).map(str::len).sum();
    let inner = text.get(start..start + len)?;
    let blank = inner.len() - inner.trim_start().len();
    (len > 0).then_some(start + blank..start + inner.trim_end().len())
}

fn quoted(text: &str, quote: char) -> usize {
    let (mut escaped, mut is_second) = (false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            // SQL and YAML double a quote that is part of the text: `'it''s'`.
            _ if letter == quote && (is_second || !escaped && is_pair_in_word(text, at, quote)) => is_second = !is_second,
            // `'it's'`: the quote inside a word ends nothing.
            '\'' if quote == '\'' && !escaped && is_inside_word(text, at) => {}
            _ if letter == quote && !escaped => return at,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Whether a quote and the quote after it have letters on both sides.
fn is_pair_in_word(text: &str, at: usize, quote: char) -> bool {
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    before.ends_with(char::is_alphanumeric)
        && after
            .strip_prefix(quote)
            .and_then(|after| after.strip_prefix(quote))
            .is_some_and(|after| after.starts_with(char::is_alphanumeric))
}

/// Whether a quote has letters on both sides, and another quote closes the value later in the line.
fn is_inside_word(text: &str, at: usize) -> bool {
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    let after = near(after.get(1..).unwrap_or_default(), 256);
    let closes = after.find('\'').is_some_and(|close| close < after.find([' ', '\n', ',']).unwrap_or(after.len()));
    before.ends_with(char::is_alphanumeric) && after.starts_with(char::is_alphanumeric) && closes
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

/// Returns the end of a credential: a scheme, its token, and the parameters or cookies that follow.
///
/// Quotes inside the credential are skipped: `OAuth oauth_token="…", oauth_nonce="…"`.
fn credential(text: &str) -> usize {
    let mut quote = None;
    let mut before = b' ';
    let mut words = 0;
    let mut goes_on = false;
    let mut is_scheme = true;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' | b'\'' if quote == Some(byte) => quote = None,
            b'"' | b'\'' if quote.is_none() && before == b'=' => quote = Some(byte),
            b'\n' | b'\r' | b'"' | b'\'' if quote.is_none() => return at,
            b' ' if quote.is_none() => {
                if before != b' ' {
                    words += 1;
                }
                // The scheme and its token; then only what follows a comma or a semicolon.
                let is_first = words == 1 && is_scheme && !is_known_state(text.get(..at).unwrap_or_default());
                if !is_first && !goes_on {
                    return at;
                }
            }
            _ => {
                if words == 0 {
                    is_scheme &= byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_') || (byte.is_ascii_digit() && at > 2);
                }
            }
        }
        if byte != b' ' {
            goes_on = matches!(byte, b',' | b';');
        }
        before = byte;
    }
    text.len()
}

/// Whether a word is a state that shows that there is no credential.
fn is_known_state(word: &str) -> bool {
    ["none", "ok", "null", "nil", "off", "on", "enabled", "disabled", "missing", "valid", "invalid"].contains(&word)
}

/// Returns the end of several words: the end of the line, or the next pair.
fn phrase(text: &str) -> usize {
    let line = text.find(['\n', '\r', '"', ',', ';', '}']).unwrap_or(text.len());
    let words = text.get(..line).unwrap_or_default();
    let pair = words.find('=').map(|sign| words.get(..sign).and_then(|before| before.rfind(' ')).unwrap_or(0)).filter(|end| *end > 0);
    pair.unwrap_or_else(|| words.trim_end().len())
}

/// Returns the end of values with `, ` between them.
fn list(text: &str) -> usize {
    let mut end = end_of_word(text);
    while let Some(next) = text.get(end..).and_then(|after| after.strip_prefix(", ")) {
        let word = end_of_word(next);
        if !next.get(..word).is_some_and(|word| word.bytes().any(|byte| byte.is_ascii_digit()) && !word.contains(['=', ':'])) {
            break;
        }
        end += 2 + word;
    }
    end
}

fn parameter(text: &str) -> usize {
    let end = |letter: char| letter.is_whitespace() || matches!(letter, '&' | '"' | '\'' | '<' | '>' | '`' | '\\' | '#');
    let len = text.find(end).unwrap_or(text.len());
    let value = text.get(..len).unwrap_or_default();
    // `(https://…?token=abc)` and `{ url: …?token=abc, n: 1 }`.
    let trimmed = value.trim_end_matches([')', ']', '}', ',', ';', '.']);
    // Matrix parameters end at `;` and `/`.
    trimmed.find(';').filter(|end| is_followed_by_pair(trimmed.get(end + 1..).unwrap_or_default())).unwrap_or(trimmed.len())
}

/// Returns the end of a value without quotes, and whether it is wrapped.
///
/// `Some("…")`, `Password("…")` and `Key { … }` include their contents.
fn bare(text: &str) -> (usize, bool) {
    let path = text.find(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | ':'))).unwrap_or(text.len());
    let after = text.get(path..).unwrap_or_default();
    let blank = after.len() - after.strip_prefix(' ').unwrap_or(after).len();
    let held = after.get(blank..).unwrap_or_default();
    let opens =
        held.starts_with('{') || (blank == 0 && held.starts_with(['(', '[']) && text.starts_with(|first: char| first.is_uppercase()));
    if path > 0 && opens && text.starts_with(char::is_alphabetic) {
        return (path + blank + bracketed(held), true);
    }
    let end = end_of_word(text);
    // A call: `hash(password)`, `os.getenv("NAME")`.
    let path = text.find(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | ':' | '.'))).unwrap_or(text.len());
    let after = text.get(path..).unwrap_or_default();
    if let Some(close) = after.strip_prefix('(').and_then(|inner| inner.find([')', ' ', '\n']))
        && let Some(call) = text.get(..path + close + 2).filter(|call| super::value_class::is_call(call))
    {
        return (call.len(), false);
    }
    let scheme = text.get(..end).unwrap_or_default();
    if ["bearer", "basic", "digest", "token"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        let after = text.get(end..).unwrap_or_default();
        let token = after.trim_start_matches(' ');
        let word = end_of_word(token);
        // Otherwise it is a word of a sentence.
        let word_text = token.get(..word).unwrap_or_default();
        let is_token = super::value_class::is_mixed(word_text) || word >= 3 && !super::value_class::is_common(word_text);
        if is_token && !word_text.contains('=') {
            return (text.len() - token.len() + word, false);
        }
    }
    (end, false)
}

/// Returns the end of a value without spaces.
///
/// `&`, `,` and `;` may be part of a password, and so may brackets and quotes. They end it only at
/// the end of the text, before white space or another sign, or before the next pair.
fn end_of_word(text: &str) -> usize {
    for (at, letter) in text.char_indices() {
        let after = || text.get(at + letter.len_utf8()..).unwrap_or_default();
        let ends = match letter {
            '&' | ',' | ';' => is_followed_by_pair(after()),
            ')' | '}' | ']' | '>' if is_opened(text.get(..at).unwrap_or_default(), letter) => false,
            ')' | '}' | ']' | '"' | '\'' | '>' | '`' => is_closing(after()),
            '<' => after().starts_with('/'),
            '\\' => after().starts_with(['"', 'n', 'r', '\\']),
            _ => letter.is_whitespace(),
        };
        if ends {
            return at;
        }
    }
    text.len()
}

/// Whether the value itself has the sign that this one closes: `[Filtered]`.
fn is_opened(before: &str, close: char) -> bool {
    let open = match close {
        ')' => '(',
        '}' => '{',
        ']' => '[',
        _ => '<',
    };
    before.matches(open).count() > before.matches(close).count()
}

/// Whether a closing sign ends the value: nothing of a word follows.
fn is_closing(after: &str) -> bool {
    after.chars().next().is_none_or(|next| {
        next.is_whitespace() || matches!(next, ',' | ';' | '.' | ':' | ')' | '}' | ']' | '"' | '\'' | '>' | '`' | '/' | '\\' | '<' | '&')
    })
}

/// Whether white space, the end, or the next pair follows: `&page=`, `, user:`, `,"n":`.
fn is_followed_by_pair(text: &str) -> bool {
    let inner = text.trim_start_matches(['"', '\'', '\\']);
    let name = inner
        .find(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '%' | '[' | ']')))
        .unwrap_or(inner.len());
    let after = inner.get(name..).unwrap_or_default().trim_start_matches(['"', '\'', '\\']);
    text.is_empty() || text.starts_with(char::is_whitespace) || (name > 0 && after.starts_with(['=', ':'])) || text.starts_with("amp;")
}
