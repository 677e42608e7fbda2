//! Finds keys that services issue, by the table in `providers.tsv`.

use std::ops::Range;

use super::value_class;
use crate::fork::Lazy;

/// A row of the table.
struct Row {
    prefix: &'static str,
    alphabet: Alphabet,
    least: usize,
}

/// The characters of a key after its prefix.
#[derive(Clone, Copy)]
enum Alphabet {
    /// `a`: letters and digits.
    Alnum,
    /// `b`: base64.
    Base64,
    /// `c`: as `w`, and `:`.
    Colons,
    /// `e`: as `w`, and `$`.
    Dollars,
    /// `h`: hexadecimal digits.
    Hex,
    /// `t`: as `w`, and `.` and `~`.
    Tilde,
    /// `u`: capitals and digits.
    Upper,
    /// `w`: letters, digits, `_` and `-`.
    Word,
    /// `x`: as `w`, and `.`.
    Dotted,
}

impl Alphabet {
    fn of(text: &str) -> Option<Self> {
        Some(match text {
            "a" => Self::Alnum,
            "b" => Self::Base64,
            "c" => Self::Colons,
            "e" => Self::Dollars,
            "h" => Self::Hex,
            "t" => Self::Tilde,
            "u" => Self::Upper,
            "w" => Self::Word,
            "x" => Self::Dotted,
            _ => return None,
        })
    }

    const fn has(self, byte: u8) -> bool {
        let is_word = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        match self {
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Base64 => is_word || matches!(byte, b'+' | b'/' | b'=' | b'.'),
            Self::Colons => is_word || byte == b':',
            Self::Dollars => is_word || byte == b'$',
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Tilde => is_word || matches!(byte, b'.' | b'~'),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Word => is_word,
            Self::Dotted => is_word || byte == b'.',
        }
    }
}

/// The rows, in order, and the first two bytes of their prefixes.
struct Table {
    rows: Vec<Row>,
    /// One bit for each pair of first bytes below 128.
    starts: Vec<u64>,
}

static TABLE: Lazy<Table> = Lazy::new(|| {
    let lines = include_str!("providers.tsv").lines().filter(|line| !line.starts_with('#'));
    let mut rows: Vec<Row> = lines
        .filter_map(|line| {
            let mut cells = line.split('\t').skip(1);
            Some(Row { prefix: cells.next()?, alphabet: Alphabet::of(cells.next()?)?, least: cells.next()?.parse().ok()? })
        })
        .collect();
    // The longer prefix first, so that the first match is the best.
    rows.sort_by_key(|row| (row.prefix.as_bytes().first_chunk::<2>().copied(), std::cmp::Reverse(row.prefix.len())));
    let mut starts = vec![0; 128 * 128 / 64];
    for row in &rows {
        if let Some(place) = row.prefix.as_bytes().first_chunk().copied().and_then(place)
            && let Some(word) = starts.get_mut(place / 64)
        {
            *word |= 1_u64 << (place % 64);
        }
    }
    Table { rows, starts }
});

fn place(bytes: [u8; 2]) -> Option<usize> {
    let [first, second] = bytes.map(usize::from);
    (first < 128 && second < 128).then_some(first * 128 + second)
}

/// Returns the end of the key that a run begins.
pub(super) fn key(text: &str, run: Range<usize>) -> Option<usize> {
    let rest = text.as_bytes().get(run.start..)?;
    let start: &[u8; 2] = rest.first_chunk()?;
    let place = place(*start)?;
    let table = &*TABLE;
    if table.starts.get(place / 64)? >> (place % 64) & 1 == 1 {
        let from = table.rows.partition_point(|row| row.prefix.as_bytes().get(..2) < Some(&start[..]));
        let rows = table.rows.get(from..)?.iter().take_while(|row| row.prefix.as_bytes().starts_with(start));
        for row in rows.filter(|row| rest.starts_with(row.prefix.as_bytes())) {
            let body = rest.get(row.prefix.len()..)?;
            let mut len = body.iter().take_while(|byte| row.alphabet.has(**byte)).count();
            // A sentence ends with a dot, and so may a key's alphabet.
            len -= body.get(..len)?.iter().rev().take_while(|byte| **byte == b'.').count();
            let key = text.get(run.start + row.prefix.len()..run.start + row.prefix.len() + len);
            if len >= row.least && key.is_some_and(is_random) {
                return Some(run.start + row.prefix.len() + len);
            }
        }
    }
    // Nearly every run is shorter, and none of these signs follows it.
    let may_be_inner = run.len() >= 36 || (run.len() >= 5 && matches!(text.as_bytes().get(run.end), Some(b'~' | b':' | b'.')));
    if may_be_inner { inner(text, run) } else { None }
}

/// Whether the body of a key is random: no words with `_` or `-` between them, and not all letters of one case.
fn is_random(body: &str) -> bool {
    let has = |test: fn(&u8) -> bool| body.bytes().any(|byte| test(&byte));
    let kinds = [has(u8::is_ascii_digit), has(u8::is_ascii_uppercase), has(u8::is_ascii_lowercase)];
    kinds.iter().filter(|kind| **kind).count() >= 2 && !value_class::is_words(body)
}

/// Finds keys that are not recognised by a prefix.
fn inner(text: &str, run: Range<usize>) -> Option<usize> {
    let bytes = text.as_bytes();
    let word = text.get(run.clone())?;
    let after = bytes.get(run.end..)?;
    let count =
        |from: usize, alphabet: Alphabet| bytes.get(from..).map_or(0, |rest| rest.iter().take_while(|byte| alphabet.has(**byte)).count());
    let is_hex = |part: &str, len: usize| part.len() == len && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_digits = || word.bytes().all(|byte| byte.is_ascii_digit());
    match after.first() {
        // Azure: `abc8Q~…`
        Some(b'~') if run.len() == 5 && word.ends_with('Q') => {
            let len = count(run.end + 1, Alphabet::Tilde);
            (len >= 30).then_some(run.end + 1 + len)
        }
        // Telegram: `123456789:AA…`
        Some(b':') if after.starts_with(b":AA") && (8..=10).contains(&run.len()) && is_digits() => {
            let len = count(run.end + 1, Alphabet::Word);
            (len >= 33).then_some(run.end + 1 + len)
        }
        // Terraform: `….atlasv1.…`
        Some(b'.') if after.starts_with(b".atlasv1.") => Some(run.end + 9 + count(run.end + 9, Alphabet::Word)),
        // Discord: three parts.
        Some(b'.') if (23..=30).contains(&run.len()) => {
            let second = count(run.end + 1, Alphabet::Word);
            let at = run.end + 1 + second;
            let third = if bytes.get(at) == Some(&b'.') { count(at + 1, Alphabet::Word) } else { 0 };
            ((6..=7).contains(&second) && third >= 25 && is_random(word)).then_some(at + 1 + third)
        }
        _ => {
            let is_mailchimp = || word.rsplit_once("-us").is_some_and(|(key, place)| is_hex(key, 32) && place.len() <= 2);
            let is_mailgun = || {
                let mut parts = word.split('-');
                run.len() == 50
                    && parts.next().is_some_and(|part| is_hex(part, 32))
                    && parts.next().is_some_and(|part| is_hex(part, 8))
                    && parts.next().is_some_and(|part| is_hex(part, 8))
            };
            let is_new_relic = || word.len() == 40 && word.ends_with("NRAL");
            let is_maxmind = || word.len() == 40 && word.ends_with("_mmk");
            (run.len() >= 36 && (is_mailchimp() || is_mailgun() || is_new_relic() || is_maxmind())).then_some(run.end)
        }
    }
}

/// Finds Google's `1//0…` and Asana's `2/…/…:…` at a digit alone.
pub(super) fn behind_digit(text: &str, start: usize) -> Option<usize> {
    let is_free = start == 0 || !text.as_bytes().get(start - 1).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'/');
    if !is_free {
        return None;
    }
    if let Some(token) = text.get(start..)?.strip_prefix("1//0") {
        let len = token.bytes().take_while(|byte| Alphabet::Word.has(*byte)).count();
        return (len >= 24 && token.get(..len).is_some_and(is_random)).then_some(start + 4 + len);
    }
    let rest = text.get(start + 1..)?.strip_prefix('/')?;
    let (first, rest) = rest.split_once('/')?;
    let (second, key) = rest.split_once(':')?;
    let is_number = |part: &str| (14..=20).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let len = key.bytes().take_while(u8::is_ascii_hexdigit).count();
    (is_number(first) && is_number(second) && len == 32).then_some(start + 4 + first.len() + second.len() + len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_many_providers_and_each_row_is_read() {
        let lines = || include_str!("providers.tsv").lines().filter(|line| !line.starts_with('#'));
        let providers: std::collections::BTreeSet<_> = lines().filter_map(|line| line.split('\t').next()).collect();

        assert!(providers.len() >= 120, "{} providers", providers.len());
        assert_eq!(TABLE.rows.len(), lines().count(), "each row is read");
        assert!(lines().collect::<Vec<_>>().is_sorted_by_key(|line| line.split('\t').next().unwrap_or_default().to_lowercase()));
    }

    #[test]
    fn each_row_finds_its_keys_and_no_shorter_ones() {
        for row in &TABLE.rows {
            let letters = "a1B2c3D4e5F6a7B8c9D0";
            let body: String = letters.chars().cycle().filter(|letter| row.alphabet.has(*letter as u8)).take(row.least).collect();
            let text = format!("{}{body} ", row.prefix);
            let start = text.bytes().position(|byte| !super::super::cursor::is_run(byte)).unwrap_or(text.len());

            assert_eq!(key(&text, 0..start), Some(text.len() - 1), "{text}");
            let short = format!("{}{} ", row.prefix, body.chars().take(5).collect::<String>());
            assert_eq!(key(&short, 0..row.prefix.len().min(start)), None, "{short}");
        }
    }

    #[test]
    fn words_with_a_prefix_are_no_keys() {
        for text in [
            "npm_config_cache_of_the_job_that_was_started",
            "key-value-stores-are-fast-and-simple-to-use",
            "sk-learn",
            "live_view",
            "sk-ant-with-a-few-words-of-a-sentence-behind-it",
        ] {
            assert_eq!(key(text, 0..text.len()), None, "{text}");
        }
    }
}
