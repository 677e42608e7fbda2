//! Secrets in sentences: `the password is …`, `api key '…'`, `your code is 123456`.

use std::ops::Range;

use super::cursor::Scan;
use super::finding::{Rule, Secret};
use super::providers;
use super::value_class::{self, ValueClass};

/// Words that a secret follows in a sentence, and how plain it may be.
const NOUNS: [(&str, Noun); 22] = [
    ("password", Noun::Password),
    ("passwd", Noun::Password),
    ("passphrase", Noun::Password),
    ("passcode", Noun::Password),
    ("pwd", Noun::Password),
    ("pass", Noun::Opaque),
    ("secret", Noun::Opaque),
    ("token", Noun::Opaque),
    ("key", Noun::Opaque),
    ("apikey", Noun::Opaque),
    ("jwt", Noun::Opaque),
    ("credential", Noun::Opaque),
    ("credentials", Noun::Opaque),
    ("otp", Noun::Digits),
    ("totp", Noun::Digits),
    ("pin", Noun::Digits),
    ("cvv", Noun::Digits),
    ("cvc", Noun::Digits),
    ("code", Noun::Code),
    ("ssn", Noun::Number),
    ("hmac", Noun::Opaque),
    ("signature", Noun::Opaque),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Noun {
    /// A word that people chose: it has digits, signs or capitals.
    Password,
    /// It is long and random, or in quotes.
    Opaque,
    /// Three to eight digits.
    Digits,
    /// The same, if a word before says which code it is.
    Code,
    /// Nine digits.
    Number,
}

/// Words before `code` that make it a secret: a status, a country and a source have codes too.
const CODES: &str = "verification login security 2fa mfa sms time one-time access authentication authorization auth confirmation reset otp signin sign-in activation \
    backup recovery passcode factor two-factor pin";

/// Finds the secret after a word that names it in a sentence.
pub(super) fn after(scan: &Scan<'_>, run: Range<usize>) -> Option<Secret> {
    let text = scan.text;
    let bytes = text.as_bytes();
    // A sentence goes on with a blank, a path or a type does not; `password: …` is a pair.
    if bytes.get(run.end) != Some(&b' ') {
        return None;
    }
    if !(3..=11).contains(&run.len()) {
        return None;
    }
    let word = text.get(run.clone())?;
    if !matches!(bytes.get(run.start)?.to_ascii_lowercase(), b'p' | b's' | b't' | b'k' | b'a' | b'j' | b'c' | b'o' | b'h') {
        return None;
    }
    let (_, noun) = NOUNS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word))?;
    let before = text.get(..run.start)?;
    if *noun == Noun::Code && !is_secret_code(before) {
        return None;
    }
    let mut start = run.end;
    let mut is_told = false;
    // Words between: `is`, `was`, `provided:`.
    for _ in 0..3 {
        let rest = text.get(start..)?;
        let fillers = [" is ", " was ", ": ", " provided", " given", " =", " value"];
        let Some(filler) = fillers.iter().find(|filler| rest.starts_with(**filler)) else { break };
        let ends = filler.trim_end().len();
        // `password of jane: …` is left to the pair.
        start += ends;
        is_told = true;
        if !matches!(text.as_bytes().get(start), Some(b' ' | b':')) {
            return None;
        }
        if filler.len() == ends || !next_is_filler(text.get(start..)?) {
            break;
        }
    }
    candidate(scan, *noun, start, is_told)
}

/// Whether another word of the sentence stands before the secret.
fn next_is_filler(rest: &str) -> bool {
    [" provided", " given", ": ", " =", " value"].iter().any(|filler| rest.starts_with(filler))
}

/// Finds the secret that begins at `start`, behind blanks and colons.
fn candidate(scan: &Scan<'_>, noun: Noun, start: usize, is_told: bool) -> Option<Secret> {
    let text = scan.text;
    let rest = text.get(start..)?;
    let blank = rest.len() - rest.trim_start_matches([' ', ':']).len();
    if blank > 3 {
        return None;
    }
    let rest = rest.get(blank..)?;
    let first = rest.chars().next()?;
    let start = start + blank;
    if matches!(first, '\'' | '"' | '`') {
        let held = rest.get(1..)?.split(first).next()?;
        let closes = rest.get(1 + held.len()..)?.starts_with(first);
        let is_secret = closes
            && held.len() >= 3
            && !value_class::is_nothing(held)
            && match noun {
                Noun::Password => true,
                _ => value_class::class(held) >= ValueClass::Opaque && held.len() >= 6,
            };
        return is_secret.then(|| Secret::value(start + 1..start + 1 + held.len(), Rule::Sentence));
    }
    let end =
        rest.find(|letter: char| letter.is_whitespace() || matches!(letter, ',' | ';' | '"' | '\'' | '`' | ')')).unwrap_or(rest.len());
    let held = rest.get(..end)?.trim_end_matches(['.', ':', '!', '?']);
    let digits = held.bytes().filter(u8::is_ascii_digit).count();
    let is_secret = match noun {
        Noun::Password => held.len() >= 5 && (is_chosen(held) || digits == held.len() && held.len() <= 8),
        Noun::Opaque if providers::key(text, start..start + end).is_some() => return None,
        Noun::Opaque => {
            held.len() >= if is_told { 8 } else { 12 } && value_class::is_mixed(held) && digits > 0 && !held.contains(['(', '/', '='])
        }
        Noun::Digits | Noun::Code => digits == held.len() && (3..=8).contains(&digits) && (digits >= 4 || noun == Noun::Digits),
        Noun::Number => digits == 9 && held.len() <= 11,
    };
    (is_secret && !value_class::is_nothing(held)).then(|| Secret::value(start..start + held.len(), Rule::Sentence))
}

/// Whether a word is a chosen password, and not a word of the sentence.
fn is_chosen(word: &str) -> bool {
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    (has_digit || !value_class::is_words(word))
        && word.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !word.contains(['(', '/', '=', ':'])
        && !value_class::is_nothing(word)
}

fn is_secret_code(before: &str) -> bool {
    let word = before.trim_end().rsplit([' ', '\n', '"', ':', '(']).next().unwrap_or_default();
    super::name_words::is_listed_word(CODES, word)
}

/// Finds a code that stands before its word: `123456 is your login code`.
pub(super) fn code_before(text: &str, run: Range<usize>) -> Option<Secret> {
    if !(4..=8).contains(&run.len()) || !text.get(run.clone())?.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let rest = text.get(run.end..)?;
    let rest = rest.strip_prefix(" is your ").or_else(|| rest.strip_prefix(" is the "))?;
    let sentence = rest.get(..rest.find(['.', ',', '\n']).unwrap_or(rest.len()).min(60)).unwrap_or(rest);
    ["code", "pin", "password", "otp", "passcode", "PIN", "OTP"]
        .iter()
        .any(|word| sentence.contains(word))
        .then(|| Secret::value(run, Rule::OneTimeCode))
}
