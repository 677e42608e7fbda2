//! Finds personal data in texts, which only [`Redaction::strict`](super::Redaction::strict) hides.

use std::net::IpAddr;
use std::ops::Range;

use super::finding::{Rule, Secret};

/// Finds e-mail addresses, IP addresses, telephone numbers, and users' names in paths.
pub(super) fn find(text: &str) -> Vec<Secret> {
    let mut found = Vec::new();
    let mut start = 0;
    for word in text.split(ends_word) {
        let range = start..start + word.len();
        start = range.end + text.get(range.end..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        found.extend(personal(text, word, range));
    }
    found
}

fn ends_word(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '"' | '\'' | '`' | '<' | '>' | ',' | ';' | '(' | ')' | '{' | '}' | '=' | '|')
}

/// The personal data in a word.
fn personal(text: &str, word: &str, range: Range<usize>) -> Option<Secret> {
    let secret = |at: usize, len: usize| Secret::value(range.start + at..range.start + at + len, Rule::Personal);
    if let Some((at, len)) = email(word).or_else(|| address(word)).or_else(|| home(word)) {
        return Some(secret(at, len));
    }
    telephone(text, range).map(|range| Secret::value(range, Rule::Personal))
}

/// `jane@example.org`, also after `mailto:` and inside a URL.
fn email(word: &str) -> Option<(usize, usize)> {
    let at = word.find('@')?;
    let is_local = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '_' | '+' | '-' | '%');
    let (local, domain) = (word.get(..at)?, word.get(at + 1..)?);
    let start = local.rfind(|letter| !is_local(letter)).map_or(0, |place| place + local.get(place..).map_or(1, first_len));
    let len = domain.find(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '.' | '-'))).unwrap_or(domain.len());
    let domain = domain.get(..len)?.trim_end_matches(['.', '-']);
    let top = domain.rsplit_once('.')?.1;
    let is_domain = top.len() >= 2 && top.chars().all(char::is_alphabetic);
    (is_domain && start < at).then_some((start, at - start + 1 + domain.len()))
}

fn first_len(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

/// An IP address, with or without a port.
fn address(word: &str) -> Option<(usize, usize)> {
    let scheme = word.find("://").map_or(0, |at| at + 3);
    let rest = word.get(scheme..)?;
    let rest = rest.split(['/', '?', '#']).next()?;
    let bare = rest.trim_start_matches('[').trim_end_matches(['.', ':', ']']);
    let start = scheme + rest.find(bare)?;
    // `a::b` is a path in a program, though it is an address as well.
    let is_address = |text: &str| text.len() >= 6 && text.bytes().any(|byte| byte.is_ascii_digit()) && text.parse::<IpAddr>().is_ok();
    if is_address(bare) {
        return Some((start, bare.len()));
    }
    let (host, port) = bare.rsplit_once(':')?;
    let host = host.trim_end_matches(']');
    (port.bytes().all(|byte| byte.is_ascii_digit()) && is_address(host)).then_some((start, host.len()))
}

/// The name of a user in the path of a home folder.
fn home(word: &str) -> Option<(usize, usize)> {
    let (at, mark) = ["/home/", "/Users/", "\\Users\\"].iter().find_map(|mark| Some((word.find(mark)?, *mark)))?;
    let start = at + mark.len();
    let name = word.get(start..)?.split(['/', '\\', ':']).next()?;
    (!name.is_empty() && !matches!(name, "app" | "user" | "Shared" | "Public" | "runner")).then_some((start, name.len()))
}

/// A telephone number with its country code: `+49 30 1234567`.
fn telephone(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let rest = text.get(range.start..)?.strip_prefix('+')?;
    let len =
        rest.find(|letter: char| !(letter.is_ascii_digit() || matches!(letter, ' ' | '-' | '.' | '(' | ')' | '/'))).unwrap_or(rest.len());
    let number = rest.get(..len)?.trim_end_matches([' ', '-', '.', '(', ')', '/']);
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    ((8..=15).contains(&digits) && number.starts_with(|first: char| first.is_ascii_digit()))
        .then(|| range.start..range.start + 1 + number.len())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::scan::scrub;
    use super::super::{Redaction, Redactor};

    #[test]
    fn persons_in_texts_are_hidden_only_where_asked_for() {
        let strict = Redactor::new(Arc::new(Redaction::default().strict()), false);
        let usual = Redactor::new(Arc::default(), false);
        let rows = [
            ("mail to jane.doe+x@example.co.uk failed", "mail to [Filtered] failed"),
            ("<jane@example.org>", "<[Filtered]>"),
            ("user=jane@example.org.", "user=[Filtered]."),
            ("from 203.0.113.7:443 and [2001:db8::1]:80", "from [Filtered]:443 and [[Filtered]]:80"),
            ("http://10.0.0.1:8080/x", "http://[Filtered]:8080/x"),
            ("call +49 30 1234567 now", "call [Filtered] now"),
            ("call +1-202-555-0143", "call [Filtered]"),
            ("/home/jane/shop/src/main.rs", "/home/[Filtered]/shop/src/main.rs"),
            ("C:\\Users\\Jane\\a.txt", "C:\\Users\\[Filtered]\\a.txt"),
            ("password=hunter2 of jane@example.org", "password=[Filtered] of [Filtered]"),
        ];

        for (text, expected) in rows {
            assert_eq!(scrub(&strict, text), expected);
            assert_eq!(scrub(&strict, expected), expected, "once is enough");
            assert!(text.contains("password") || scrub(&usual, text) == text, "{text}");
        }
        for text in ["version 1.2.3.4-rc", "10:00:01 +0000", "a@b", "serde@1.0.200", "shop@1.0.0", "12 + 7", "/home/app/x", "::1 a::b"] {
            assert_eq!(scrub(&strict, text), text);
        }
    }
}
