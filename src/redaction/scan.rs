//! Searches a text for secrets in one pass over its bytes, without backtracking.
//!
//! The pass stops where a secret may begin: at the end of a run of letters and digits, and at signs
//! that separate a name from its value or belong to an address. There it applies the rules.

use std::borrow::Cow;
use std::ops::Range;

use super::cursor::{
    AT, COLON, EQUALS, ESCAPE, Found, GREATER, OTHER, PARENTHESIS, PERCENT, QUOTE, Reading, SLASH, Scan, Step, TOKEN, WIDE, class,
};
use super::finding::{Replacement, Rule, Secret};
use super::{
    Redactor, authority, columns, command, encoded, numbers, pair, path, prose, providers, quoted, reported, shape, statement, strict,
    table,
};

/// Whether a text is too short for any shape, contains no pair of name and value, and needs no escape.
///
/// Most words are like this. They skip the lookup in the cache, which saves 1.3 % of an envelope.
pub(super) fn is_harmless_word(text: &str) -> bool {
    // The shortest shape is a telephone's code beside its word; a value needs a sign before it.
    text.len() < 9 && text.bytes().all(|byte| matches!(class(byte), OTHER | TOKEN | SLASH | QUOTE | PARENTHESIS))
}

/// Looks for secrets and for bytes that JSON must escape.
pub(super) fn find(redactor: &Redactor, text: &str, reading: Reading) -> Found {
    find_decoded(redactor, text, reading, 0)
}

/// The same for a text that was decoded `depth` times.
fn find_decoded(redactor: &Redactor, text: &str, reading: Reading, depth: u8) -> Found {
    let mut scan = Scan::new(redactor, text, reading, depth);
    scan.run();
    let mut found = scan.found;
    if redactor.rules.is_strict && depth == 0 && reading != Reading::Identifier {
        found.secrets.extend(strict::find(text));
    }
    if found.secrets.len() > 1 {
        merge(&mut found.secrets);
    }
    found
}

/// Sorts the secrets, and merges those that overlap.
fn merge(secrets: &mut Vec<Secret>) {
    secrets.sort_by_key(|secret| (secret.range.start, std::cmp::Reverse(secret.range.end)));
    secrets.dedup_by(|next, kept| {
        let overlaps = next.range.start < kept.range.end;
        if overlaps && next.range.end > kept.range.end {
            kept.range.end = next.range.end;
            kept.replacement = Replacement::Value;
        }
        overlaps
    });
}

/// Returns the text without its secrets; borrowed if it has none.
pub(super) fn scrub<'a>(redactor: &Redactor, text: &'a str) -> Cow<'a, str> {
    if redactor.rules.hides_nothing() {
        return Cow::Borrowed(text);
    }
    without(redactor, text, &find(redactor, text, Reading::Text).secrets)
}

/// Returns a text with its secrets replaced.
pub(super) fn without<'a>(redactor: &Redactor, text: &'a str, secrets: &[Secret]) -> Cow<'a, str> {
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for Secret { range, replacement, .. } in secrets {
        out.push_str(text.get(copied..range.start).unwrap_or_default());
        match replacement {
            Replacement::Value => out.push_str(redactor.placeholder()),
            Replacement::Token => out.push_str(&redactor.rules.token_placeholder),
            Replacement::UserInfo => {
                out.push_str(redactor.placeholder());
                out.push(':');
                out.push_str(redactor.placeholder());
            }
        }
        copied = range.end;
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

/// Whether a word with this first letter and length may be one that a secret follows.
///
/// Nearly every word ends here, after one load.
#[inline]
fn is_announcing(first: u8, len: usize) -> bool {
    len <= 15 && ANNOUNCING.get(usize::from(first & 31)).is_some_and(|lengths| lengths >> len & 1 == 1)
}

/// The lengths of these words, one bit each, by their first letter in any case.
#[expect(clippy::indexing_slicing, reason = "this runs in the compiler")]
static ANNOUNCING: [u16; 32] = {
    const fn with(mut lengths: [u16; 32], word: &str) -> [u16; 32] {
        lengths[(word.as_bytes()[0] & 31) as usize] |= 1 << word.len();
        lengths
    }
    let mut lengths = [0; 32];
    let mut at = 0;
    while at < prose::NOUNS.len() {
        lengths = with(lengths, prose::NOUNS[at].0);
        at += 1;
    }
    at = 0;
    while at < statement::WORDS.len() {
        lengths = with(lengths, statement::WORDS[at]);
        at += 1;
    }
    at = 0;
    while at < reported::WORDS.len() {
        lengths = with(lengths, reported::WORDS[at]);
        at += 1;
    }
    lengths
};

/// Whether a name consists of several words, like the names of variables: `DB_PASSWORD`, `npmAuthToken`, `XSRF-TOKEN`.
fn is_compound(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.iter().skip(1).any(|byte| matches!(byte, b'_' | b'-'))
        || bytes.windows(2).any(|pair| matches!(pair, [small, capital] if small.is_ascii_lowercase() && capital.is_ascii_uppercase()))
}

impl Scan<'_> {
    fn run(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        let mut start = 0;
        let mut last_run = 0..0;
        loop {
            // The bytes from `start` to `at` are a run, which may be empty.
            let run = bytes.get(start..)?;
            let len = run.iter().position(|byte| class(*byte) != TOKEN).unwrap_or(run.len());
            let at = start + len;
            if len >= 2
                && let Some(step) = self.at_run(start..at)
            {
                let end = self.take(step, start);
                // The secret may be before the word that reveals it.
                start = if end > start { end } else { at };
                last_run = start..start;
                continue;
            }
            if len > 0 {
                last_run = start..at;
            }
            let byte = *bytes.get(at)?;
            start = at + 1;
            let step = match class(byte) {
                OTHER => continue,
                ESCAPE => {
                    self.found.needs_escape = true;
                    // The letter after a backslash is not part of the next word.
                    if byte == b'\\' && matches!(bytes.get(start), Some(b'n' | b'r' | b't')) {
                        start += 1;
                    }
                    if matches!(byte, b'\t' | b'\n') && last_run.end == at && !last_run.is_empty() {
                        table::cells(self, &last_run);
                    }
                    if byte == b'"' { quoted::after(self, &last_run, at).map(Step::Secret) } else { None }
                }
                class if self.reading == Reading::Identifier => (class == COLON && bytes.get(start..start + 2) == Some(b"//"))
                    .then(|| authority::user_info(self.text, start + 2))
                    .flatten()
                    .map(Step::Secret),
                COLON if bytes.get(start..start + 2) == Some(b"//") => authority::url(self, start + 2).map(Step::Secret),
                COLON => pair::named_value(self, &last_run, at)
                    .or_else(|| shape::data_url(self.text, &last_run, at))
                    .or_else(|| authority::password_file(self.text, &last_run, at).map(Step::Secret)),
                EQUALS => pair::named_value(self, &last_run, at),
                SLASH => self.at_slash(&last_run, at).map(Step::Secret),
                AT => authority::without_scheme(self.text, at).map(Step::Secret),
                PERCENT => {
                    self.at_percent(at);
                    if encoded::byte(bytes, at).is_some() {
                        start = at + 3;
                    }
                    None
                }
                GREATER => quoted::element(self, at).map(Step::Secret),
                QUOTE => quoted::pair(self, &last_run, at).map(Step::Secret),
                PARENTHESIS => {
                    if byte == b'(' && at > 0 && bytes.get(at - 1) == Some(&b'=') {
                        columns::values(self, at);
                    }
                    if last_run.end == at && matches!(bytes.get(start), Some(b'"' | b'\'')) {
                        let name = self.text.get(last_run.clone()).unwrap_or_default();
                        for secret in reported::arguments(self, name, start) {
                            self.add(secret);
                        }
                    }
                    quoted::call(self, &last_run, at).map(Step::Secret)
                }
                WIDE => pair::wide(self, &last_run, at),
                _ => {
                    self.found.has_question_mark = true;
                    None
                }
            };
            if let Some(step) = step {
                start = self.take(step, start);
                last_run = start..start;
            }
        }
    }

    /// Finds a secret that begins with a slash, or that the word before the slash announces.
    fn at_slash(&self, run: &Range<usize>, at: usize) -> Option<Secret> {
        let is_double = self.text.as_bytes().get(at + 1) == Some(&b'/');
        if run.len() == 1
            && run.end == at
            && let Some(end) = providers::behind_digit(self.text, run.start)
        {
            return Some(Secret::token(run.start..end, Rule::Key));
        }
        path::segment(self, run, at)
            .or_else(|| path::marked(self.text, at))
            .or_else(|| if is_double { authority::bare(self.text, at + 2) } else { None })
    }

    /// Judges the encoded word around a `%`, once for each word. A secret is replaced in the encoded text.
    fn at_percent(&mut self, at: usize) {
        // The track of a card: `%B…^`.
        if let Some(rest) = self.text.get(at..).and_then(|rest| rest.strip_prefix("%B"))
            && let Some(len) = rest.find(|letter: char| !letter.is_ascii_digit()).filter(|len| (12..=19).contains(len))
            && rest.get(len..).is_some_and(|after| after.starts_with('^'))
        {
            self.add(Secret::value(at + 2..at + 2 + len, Rule::Card));
        }
        let Some(encoded::Decoded { text, places, range }) = encoded::word(self, at) else { return };
        let place = |at: usize| range.start + places.get(at).copied().unwrap_or_else(|| range.len());
        for secret in find_decoded(self.redactor, &text, self.reading, self.depth + 1).secrets {
            self.add(Secret { range: place(secret.range.start)..place(secret.range.end), ..secret });
        }
    }

    fn take(&mut self, step: Step, start: usize) -> usize {
        match step {
            Step::Secret(secret) => {
                let end = secret.range.end.max(start);
                self.found.secrets.push(secret);
                end
            }
            Step::Skip(end) => {
                self.found.needs_escape |= self.text.get(start..end).is_some_and(|skipped| !super::escape::is_plain(skipped));
                end.max(start)
            }
        }
    }

    /// Finds a secret that begins with a run of letters, digits, `_`, `-` and `+`, or after it.
    #[inline]
    fn at_run(&mut self, run: Range<usize>) -> Option<Step> {
        // Nearly every word is too short, or begins with a byte that begins none of the shapes.
        let bytes = self.text.as_bytes();
        let len = run.len();
        let first = *bytes.get(run.start)?;
        if first.is_ascii_digit() {
            if len >= 4
                && let Some(secret) = numbers::number(self.text, run.clone()).or_else(|| prose::code_before(self.text, run.clone()))
                && self.reading != Reading::Identifier
            {
                return Some(Step::Secret(secret));
            }
        } else if first == b'-' {
            if let Some(step) = shape::dashes(self.text, run.clone()).or_else(|| command::option(self, run.clone()).map(Step::Secret)) {
                return Some(step);
            }
        } else if self.reading != Reading::Identifier {
            if first.is_ascii_uppercase()
                && let Some(secret) = numbers::iban(self.text, run.clone())
            {
                return Some(Step::Secret(secret));
            }
            if first == b'G'
                && let Some(secret) = prose::code_before(self.text, run.clone())
            {
                return Some(Step::Secret(secret));
            }
            if is_announcing(first, len) {
                if matches!(bytes.get(run.end), Some(b' ' | b')' | b',' | b';')) {
                    table::cells(self, &run);
                }
                let found = prose::after(self, run.clone()).or_else(|| statement::after(self, run.clone()));
                if let Some(secret) =
                    found.or_else(|| reported::WORDS.contains(&self.text.get(run.clone())?).then(|| reported::after(self, &run))?)
                {
                    return Some(Step::Secret(secret));
                }
            }
            if len == 2
                && first == b'g'
                && let Some(secret) = quoted::escaped_element(self, &run)
            {
                return Some(Step::Secret(secret));
            }
        }
        if len >= 5
            && self.reading != Reading::Identifier
            && bytes.get(run.end) == Some(&b' ')
            && self.text.get(run.clone()).is_some_and(is_compound)
            && let Some(secret) = command::word(self.text, run.clone()).or_else(|| command::variable(self, run.clone()))
        {
            return Some(Step::Secret(secret));
        }
        shape::of_run(self, run)
    }
}

#[cfg(test)]
mod kinds;
#[cfg(test)]
mod tests;
