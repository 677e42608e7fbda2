//! Finds values that a message reports beside a secret name: `invalid value '…' for '--password'`,
//! `Duplicate entry '…' for key 'sessions.token'`, `{"loc": ["password"], "input": "…"}`.

use std::ops::Range;

use super::cursor::{FAR, Scan, last, near, until};
use super::finding::{Rule, Secret};
use super::names::Level;
use super::value_class::{self, ValueClass};
use super::verdict::judge;

/// Words that the reported value follows.
pub(super) const WORDS: [&str; 9] = ["value", "string", "entry", "Data", "Received", "received", "credentials", "valid", "echo"];

/// The maximum distance between a value and its name, in bytes.
const NEAR: usize = 160;

/// Finds the value after one of the words, which is the run.
pub(super) fn after(scan: &Scan<'_>, run: &Range<usize>) -> Option<Secret> {
    let text = scan.text;
    let word = text.get(run.clone())?;
    match word {
        "valid" => return refused(scan, run.start),
        "echo" => return echoed(scan, run.end),
        _ => {}
    }
    let rest = text.get(run.end..)?;
    let skipped = rest.len() - rest.trim_start_matches(" is").trim_start_matches([' ', ':', '(', '"', '\'', '`']).len();
    let gap = rest.get(..skipped)?;
    if !(1..=6).contains(&skipped) {
        return None;
    }
    let held = rest.get(skipped..)?;
    let open = gap.chars().next_back().filter(|last| matches!(last, '"' | '\'' | '`'));
    let len = if let Some(quote) = open {
        until(held, &[quote, '\n'])?
    } else {
        let near = near(held, FAR);
        near.find(|letter: char| letter.is_whitespace() || matches!(letter, ',' | ')' | ';' | ']')).unwrap_or(near.len())
    };
    let start = run.end + skipped;
    if word == "credentials" {
        return pair_in_parentheses(text, start, gap.ends_with('('));
    }
    judged(scan, start..start + len)
}

/// Hides a reported value if it is opaque, and the name of a secret is near.
pub(super) fn judged(scan: &Scan<'_>, range: Range<usize>) -> Option<Secret> {
    let held = scan.text.get(range.clone())?;
    // Nearly every value ends here.
    if held.len() < 6 || held.len() > FAR || !held.bytes().any(|byte| byte.is_ascii_digit()) || held.contains(char::is_whitespace) {
        return None;
    }
    let is_opaque =
        value_class::class(held) >= ValueClass::Opaque && !held.contains("://") && held.bytes().any(|byte| byte.is_ascii_alphabetic());
    // If the value does not end near, a name after it cannot be seen, so the value is hidden.
    let is_open = held.len() == scan.ahead(range.start, FAR).len() && range.end < scan.text.len();
    (is_opaque && (is_open || has_name_near(scan, &range))).then(|| Secret::near(scan.text, range.start, range, Rule::Name))
}

/// Whether the name of a secret is near: one of the level `Sure`, or one with several words.
fn has_name_near(scan: &Scan<'_>, range: &Range<usize>) -> bool {
    let text = scan.text;
    let from = (range.start.saturating_sub(NEAR)..=range.start).find(|at| text.is_char_boundary(*at)).unwrap_or(range.start);
    let to = (range.end..=(range.end + NEAR).min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(range.end);
    if !scan.may_read(2 * NEAR) {
        return true;
    }
    [text.get(from..range.start), text.get(range.end..to)].into_iter().flatten().any(|part| {
        part.split(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.'))).filter(|word| word.len() >= 4).any(
            |name| {
                let level = judge(name).field;
                level == Level::Sure || level == Level::Likely && super::name_words::words(name).count() > 1
            },
        )
    })
}

/// `'…' not a valid key=value pair in Authorization header`
fn refused(scan: &Scan<'_>, start: usize) -> Option<Secret> {
    let before = scan.text.get(..start)?.strip_suffix(" not a ").or_else(|| scan.text.get(..start)?.strip_suffix(" is not a "))?;
    let quote = before.chars().next_back().filter(|last| matches!(last, '"' | '\'' | '`'))?;
    let inner = before.get(..before.len() - 1)?;
    let near = last(inner, FAR);
    if let Some((_, held)) = near.rsplit_once(quote) {
        return judged(scan, inner.len() - held.len()..inner.len());
    }
    // The quote begins before the text that was searched.
    let is_open = near.len() < inner.len();
    judged(scan, inner.len() - near.len()..inner.len()).filter(|_| is_open).map(|secret| Secret::value(0..inner.len(), secret.rule))
}

/// `echo … | wg set`: a long and random word.
fn echoed(scan: &Scan<'_>, end: usize) -> Option<Secret> {
    let rest = scan.text.get(end..)?.strip_prefix(' ')?.trim_start_matches(['"', '\'']);
    let start = scan.text.len() - rest.len();
    let held = rest.get(..until(rest, &[' ', '"', '\'', '\n'])?)?;
    let is_open = held.len() == scan.ahead(start, FAR).len();
    let is_piped = is_open || rest.get(held.len()..)?.trim_start_matches(['"', '\'']).starts_with(" | ");
    let is_secret = is_piped && held.len() >= 24 && value_class::is_random(held) && !value_class::is_digest(held);
    is_secret.then(|| Secret::near(scan.text, start, start..start + held.len(), Rule::Command))
}

/// `credentials (jane / …)`
fn pair_in_parentheses(text: &str, start: usize, is_open: bool) -> Option<Secret> {
    let inner = text.get(start..).filter(|_| is_open)?;
    let inner = inner.get(..until(inner, &[')', '\n'])?)?;
    let sign = inner.find([':', '/'])?;
    let held = inner.get(sign + 1..)?.trim_start();
    let is_secret = value_class::class(held) >= ValueClass::Opaque && !held.contains(char::is_whitespace);
    is_secret.then(|| Secret::near(text, start, start + inner.len() - held.len()..start + inner.len(), Rule::Sentence))
}

/// Finds the first password among the arguments of a call that signs in; see [`arguments`].
pub(super) fn argument(scan: &Scan<'_>, name: &str, start: usize) -> Option<Secret> {
    arguments(scan, name, start).into_iter().next()
}

/// Finds the passwords among the arguments of a call that signs in: `connect('db', 'root', '…')`, `login: ("me", "…")`.
///
/// `start` is the place after the parenthesis.
pub(super) fn arguments(scan: &Scan<'_>, name: &str, start: usize) -> Vec<Secret> {
    const SIGNS_IN: [&str; 10] =
        ["login", "signin", "sign_in", "authenticate", "connect", "__construct", "credentials", "logon", "basic_auth", "basicauth"];
    let ends =
        |known: &&str| name.len().checked_sub(known.len()).and_then(|at| name.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(known));
    let is_call = SIGNS_IN.iter().any(ends) || matches!(name, "remote" | "remoteSecure" | "s3" | "mysql" | "postgresql");
    let inner = scan.text.get(start..).unwrap_or_default();
    let end = inner.find([')', '\n', ']']).unwrap_or(inner.len()).min(400);
    let is_list = || matches!(name, "args" | "params") && has_name_near(scan, &(start..start));
    if !(is_call || is_list()) || !scan.may_read(end) {
        return Vec::new();
    }
    let inner = inner.get(..end).unwrap_or_default();
    let held = literals(inner).skip(1).filter(|range| {
        let held = inner.get(range.clone()).unwrap_or_default();
        held.len() >= 6
            && held.bytes().any(|byte| byte.is_ascii_digit())
            && !held.contains("://")
            && value_class::class(held) >= ValueClass::Opaque
    });
    held.map(|range| Secret::value(start + range.start..start + range.end, Rule::Name)).collect()
}

/// The texts in quotes.
fn literals(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let open = at + text.get(at..)?.find(['"', '\''])?;
        let quote = char::from(*text.as_bytes().get(open)?);
        let len = text.get(open + 1..)?.find(quote)?;
        at = open + 1 + len + 1;
        Some(open + 1..open + 1 + len)
    })
}
