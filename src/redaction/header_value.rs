//! Judges the value of a header with an unknown name.

use std::borrow::Cow;
use std::net::IpAddr;

use super::cursor::Reading;
use super::finding::{Rule, Secret};
use super::scan::{find, without};
use super::{Redactor, value_class};

/// Hides secrets with a known shape in the value of an unknown header, and addresses while PII is off.
pub(super) fn unknown<'a>(redactor: &Redactor, value: &'a str) -> Cow<'a, str> {
    let mut secrets = find(redactor, value, Reading::Text).secrets;
    let mut at = 0;
    for part in value.split([',', ';', ' ', '&', '|']) {
        let range = at..at + part.len();
        at = range.end + 1;
        let text = part.rsplit('=').next().unwrap_or(part).trim_matches('"');
        let token = text.rsplit('.').next().unwrap_or(text);
        let is_secret = is_token(text) || is_token(token) || (!redactor.send_pii && is_person(text));
        if is_secret && secrets.iter().all(|secret| secret.range.end <= range.start || range.end <= secret.range.start) {
            secrets.push(Secret::value(range, Rule::Personal));
        }
    }
    secrets.sort_by_key(|secret| secret.range.start);
    without(redactor, value, &secrets)
}

/// Whether a part is a token: long and random, and no id.
fn is_token(text: &str) -> bool {
    text.len() >= 32 && value_class::is_mixed(text) && !value_class::is_digest(text)
}

/// Whether a part is an IP or e-mail address, with or without a label before it: `src:192.0.2.7`.
fn is_person(text: &str) -> bool {
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphabetic());
    let labelled = text.split_once(':').filter(|(label, _)| is_label(label));
    text.contains('@') || text.contains("%40") || is_address(text) || labelled.is_some_and(|(_, rest)| is_address(rest))
}

fn is_address(text: &str) -> bool {
    text.len() >= 7
        && text.starts_with(|first: char| first.is_ascii_hexdigit() || first == '[' || first == ':')
        && (text.parse::<IpAddr>().is_ok() || text.parse::<std::net::SocketAddr>().is_ok())
}
