//! Finds secrets by their shape, whatever their name is, in one pass without backtracking.

use std::borrow::Cow;
use std::ops::Range;

use percent_encoding::percent_decode_str;

use super::Redactor;
use super::card::card;
use super::secret::{Replacement, Secret};
use super::value::value;
use super::verdict::judge;
use super::webhook::webhook;

/// Prefixes of keys that services issue.
///
/// A key has at least 20 characters, prefix included, and looks random.
const KEY_PREFIXES: [&str; 25] = [
    "AIza",
    "AKIA",
    "ASIA",
    "dop_v1_",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "glsa_",
    "hf_",
    "npm_",
    "NRAK-",
    "pypi-",
    "rk_live_",
    "shpat_",
    "sk-ant-",
    "sk-proj-",
    "sk_live_",
    "sk_test_",
    "sntrys_",
    "whsec_",
    "xapp-",
    "xox",
];

/// The prefix of a key with dots in it, which end a run.
const DOTTED_PREFIX: &str = "dp.pt.";

const OTHER: u8 = 0;
const TOKEN: u8 = 1;
const COLON: u8 = 2;
const EQUALS: u8 = 3;
/// A byte that JSON must escape.
const ESCAPE: u8 = 4;
const QUESTION: u8 = 5;

/// The class of each byte for the scan; one load per byte keeps the scan cheap.
#[expect(clippy::indexing_slicing, reason = "a byte is within 256, and this runs in the compiler")]
static CLASSES: [u8; 256] = {
    let mut classes = [OTHER; 256];
    let mut byte = 0_u8;
    loop {
        classes[byte as usize] = match byte {
            b':' => COLON,
            b'=' => EQUALS,
            b'"' | b'\\' | 0..=31 => ESCAPE,
            b'?' => QUESTION,
            b'_' | b'-' | b'+' => TOKEN,
            _ if byte.is_ascii_alphanumeric() => TOKEN,
            _ => OTHER,
        };
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(OTHER)
}

/// Whether a text is too short for any shape, names no value and needs no escape, like most words.
///
/// Such a text is not looked up in the cache, which saves 1.3 % of an envelope.
pub(super) fn is_harmless_word(text: &str) -> bool {
    // The shortest shape is `-----BEGIN`; a value needs a name and a sign before it.
    text.len() < 10 && text.bytes().all(|byte| matches!(class(byte), OTHER | TOKEN))
}

/// The result of one pass over a text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    pub(super) has_secret: bool,
    pub(super) needs_escape: bool,
    pub(super) has_question_mark: bool,
}

/// Looks for secrets and for bytes that JSON must escape.
///
/// Stops at the first secret, so the other results are incomplete if there is one.
pub(super) fn scan(redactor: &Redactor, text: &str) -> Scan {
    let mut scan = Scan::default();
    scan.has_secret = next_secret(redactor, text, 0, &mut scan).is_some();
    scan
}

/// Returns the text without its secrets; borrowed if it has none.
pub(super) fn scrub<'a>(redactor: &Redactor, text: &'a str) -> Cow<'a, str> {
    if redactor.rules.hides_nothing() {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut copied = 0;
    while let Some(Secret { range, replacement }) = next_secret(redactor, text, copied, &mut Scan::default()) {
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
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

fn next_secret(redactor: &Redactor, text: &str, from: usize, scan: &mut Scan) -> Option<Secret> {
    let bytes = text.as_bytes();
    let mut start = from;
    let mut last_run = from..from;
    loop {
        // The bytes from `start` to `at` are a run, which may be empty.
        let run = bytes.get(start..)?;
        let len = run.iter().position(|byte| class(*byte) != TOKEN).unwrap_or(run.len());
        let at = start + len;
        if len >= 4
            && let Some(secret) = in_run(redactor, text, start..at)
        {
            return Some(secret);
        }
        if len > 0 {
            last_run = start..at;
        }
        let class = class(*bytes.get(at)?);
        start = at + 1;
        let secret = match class {
            OTHER => continue,
            COLON if bytes.get(at + 1..at + 3) == Some(b"//") => user_info(text, at + 3).or_else(|| webhook(redactor, text, at + 3)),
            COLON | EQUALS => named_value(redactor, text, last_run.clone(), at),
            ESCAPE => {
                scan.needs_escape = true;
                continue;
            }
            _ => {
                scan.has_question_mark = true;
                continue;
            }
        };
        if secret.is_some() {
            return secret;
        }
    }
}

/// Finds a secret that begins with a run of letters, digits, `_`, `-` and `+`.
#[inline]
fn in_run(redactor: &Redactor, text: &str, run: Range<usize>) -> Option<Secret> {
    // Nearly every word is too short, or begins with a byte that begins none of the shapes.
    let len = run.len();
    let first = *text.as_bytes().get(run.start)?;
    let may_be_one = match first {
        b'2'..=b'6' => len >= 4,
        b'b' | b'B' | b'e' | b'-' => len >= 5,
        _ => len >= 20,
    };
    if may_be_one || len >= redactor.rules.token_length { shape(redactor, text, run) } else { None }
}

fn shape(redactor: &Redactor, text: &str, run: Range<usize>) -> Option<Secret> {
    let word = text.get(run.clone())?;
    let len = word.len();
    if len >= redactor.rules.token_length {
        let padding = text.get(run.end..)?.bytes().take_while(|byte| *byte == b'=').count();
        return Some(Secret { range: run.start..run.end + padding, replacement: Replacement::Token });
    }
    let first = *word.as_bytes().first()?;
    if (len >= 4 && matches!(first, b'2'..=b'6'))
        && let Some(range) = card(text, run.start)
    {
        return Some(Secret { range, replacement: Replacement::Value });
    }
    if len < 5 {
        return None;
    }
    if len == 5 && word.eq_ignore_ascii_case("basic") || len == 6 && word.eq_ignore_ascii_case("bearer") {
        let rest = text.get(run.end..)?.strip_prefix(' ')?;
        let end = rest.find(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | ',' | ';')).unwrap_or(rest.len());
        // A value that has been hidden already is not random.
        let token = rest.get(..end)?.replace(redactor.placeholder(), "");
        return looks_random(&token).then(|| Secret { range: run.end + 1..run.end + 1 + end, replacement: Replacement::Value });
    }
    if word.starts_with("eyJ") && len >= 10 && text.as_bytes().get(run.end) == Some(&b'.') {
        // A JWT is a header, claims and a signature with dots between them.
        let tail = text.get(run.end..)?.bytes().take_while(|byte| class(*byte) == TOKEN || *byte == b'.').count();
        return Some(Secret { range: run.start..run.end + tail, replacement: Replacement::Token });
    }
    if word.starts_with("-----BEGIN") {
        let tail = text.get(run.end..)?;
        let end = tail.find("-----END").and_then(|end| Some(end + 8 + tail.get(end + 8..)?.find("-----")? + 5)).unwrap_or(tail.len());
        return Some(Secret { range: run.start..run.end + end, replacement: Replacement::Value });
    }
    let is_dotted = || text.get(..run.start).is_some_and(|before| before.ends_with(DOTTED_PREFIX));
    let has_prefix = len >= 20 && (KEY_PREFIXES.iter().any(|prefix| word.starts_with(prefix)) || is_dotted()) && looks_random(word);
    has_prefix.then_some(Secret { range: run, replacement: Replacement::Token })
}

/// Whether a word looks random, unlike a word of a language.
///
/// It has at least 24 characters, or at least eight with a digit, a capital or `=` after the first.
fn looks_random(word: &str) -> bool {
    let inner = word.get(1..).unwrap_or_default();
    word.len() >= 8 && (word.len() >= 24 || inner.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase() || byte == b'='))
}

/// Finds `user:password` before the `@` of an authority that begins at `start`.
fn user_info(text: &str, start: usize) -> Option<Secret> {
    let rest = text.get(start..)?;
    let end = rest
        .find(|letter: char| letter.is_whitespace() || matches!(letter, '/' | '?' | '#' | '"' | '\'' | '<' | '>' | '\\'))
        .unwrap_or(rest.len());
    let at = rest.get(..end)?.rfind('@')?;
    let range = start..start + at;
    // An empty user-info contains no secret.
    (at > 0).then(|| Secret {
        replacement: if text.get(range.clone()).is_some_and(|info| info.contains(':')) {
            Replacement::UserInfo
        } else {
            Replacement::Value
        },
        range,
    })
}

/// Finds the value after `name=`, `name: ` or `"name":` if the name is secret.
///
/// `name` is the run before the sign at `sign`.
fn named_value(redactor: &Redactor, text: &str, name: Range<usize>, sign: usize) -> Option<Secret> {
    let bytes = text.as_bytes();
    let gap = bytes.get(name.end..sign)?;
    let beside = (sign.checked_sub(1).and_then(|before| bytes.get(before)), bytes.get(sign + 1));
    // `token::Kind` and `a == b` are not pairs.
    let doubled = beside.0 == bytes.get(sign) || beside.1 == bytes.get(sign);
    if doubled || name.is_empty() || gap.len() > 3 || !gap.iter().all(|byte| matches!(byte, b'"' | b'\'' | b'\\' | b' ' | b']')) {
        return None;
    }
    // `cache.key` is one name, not a `key`. The limit keeps long names cheap.
    let before = bytes.get(name.start.saturating_sub(NAME_LIMIT)..name.start)?;
    let dotted = before.iter().rev().take_while(|byte| matches!(**byte, b'.' | b'%') || class(**byte) == TOKEN).count();
    let name = name.start - dotted..name.end;
    let is_parameter = matches!(name.start.checked_sub(1).and_then(|before| bytes.get(before)), Some(b'?' | b'&'));
    let text_of_name = &*percent_decode_str(text.get(name)?).decode_utf8_lossy();
    let lower = || text_of_name.to_ascii_lowercase();
    let is_secret = redactor.is_sensitive(text_of_name)
        || (is_parameter && judge(text_of_name).sensitive_parameter)
        // A map of headers in `Debug` output.
        || (text_of_name.contains('-') && redactor.hides_header(&lower(), judge(&lower())));
    if !is_secret {
        return None;
    }
    let rest = text.get(sign + 1..)?;
    // Everything after these is the credential: a scheme and a token, or several cookies.
    let to_the_end = ["authorization", "cookie"].iter().any(|ending| lower().ends_with(ending));
    let is_prose = bytes.get(sign) == Some(&b':') && rest.starts_with(' ') && !to_the_end;
    let range = value(rest, redactor.placeholder(), to_the_end)?;
    if is_prose && is_phrase(rest.get(range.clone())?, rest.get(range.end..)?, redactor.is_surely_sensitive(text_of_name)) {
        return None;
    }
    Some(Secret { range: sign + 1 + range.start..sign + 1 + range.end, replacement: Replacement::Value })
}

/// Only the last bytes of a longer name are judged.
const NAME_LIMIT: usize = 128;

/// Whether a value is prose: `invalid token: connection refused` names a cause, not a token.
///
/// The value is a plain word. More words follow it, or its name does not certainly mean a secret.
fn is_phrase(value: &str, after: &str, surely: bool) -> bool {
    let is_word = value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let goes_on = after.strip_prefix(' ').is_some_and(|next| next.starts_with(|letter: char| letter.is_ascii_lowercase() || letter == '('));
    is_word && (goes_on || !surely)
}

#[cfg(test)]
mod tests;
