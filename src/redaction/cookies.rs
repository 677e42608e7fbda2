//! Cookies: each is judged by its own name and value.

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::finding::{Rule, Secret};
use super::name_words::{is_listed_word, words};
use super::names::{self, Level};
use super::scan::without;
use super::value_class::{self, ValueClass};
use super::verdict::judge;
use super::{Redaction, Redactor};

/// Names of cookies that say who somebody is.
const PERSONAL: &str = "user uid userid username email mail visitor customer account person name login id guid cid client device ga gid fbp fbc gcl amplitude mixpanel ajs";

/// Hides the values of secret cookies before a hook sees them.
pub(crate) fn hide_cookies<'a>(rules: &Arc<Redaction>, send_pii: bool, header: &'a str) -> Cow<'a, str> {
    if rules.hides_nothing() { Cow::Borrowed(header) } else { cookies(&Redactor::new(Arc::clone(rules), send_pii), header) }
}

/// Hides the values of secret cookies. A header without any pair is hidden as a whole.
///
/// While PII is off, a cookie's value stays only if it is a word or a small number.
pub(super) fn cookies<'a>(redactor: &Redactor, header: &'a str) -> Cow<'a, str> {
    let mut secrets = Vec::new();
    let mut end = 0;
    for pair in header.split(';') {
        let start = end;
        end = start + pair.len() + 1;
        if pair.trim().is_empty() {
            continue;
        }
        let (name, value) = match pair.split_once('=') {
            Some((name, value)) => (name.trim(), value),
            None => ("", pair),
        };
        let range = start + pair.len() - value.len()..start + pair.len();
        if name.is_empty() || is_hidden(redactor, name, value) {
            secrets.push(Secret::value(range, Rule::Name));
        }
    }
    without(redactor, header, &secrets)
}

fn is_hidden(redactor: &Redactor, name: &str, value: &str) -> bool {
    let value = percent_decode_str(value.trim().trim_matches('"')).decode_utf8_lossy();
    if redactor.is_hidden_by_user(name) {
        return true;
    }
    if value.is_empty() {
        return false;
    }
    let level = judge(name).cookie;
    if level > Level::Harmless && value_class::is_hidden(level, &value, names::is_numeric(name), names::is_plural(name)) {
        return true;
    }
    let class = value_class::class(&value);
    // Analytics and logins name persons.
    let is_personal = || words(name).any(|word| is_listed_word(PERSONAL, word)) && class != ValueClass::Nothing;
    let is_plain = match class {
        ValueClass::Nothing => true,
        ValueClass::Number(digits) => digits <= 6,
        ValueClass::Words => value.len() <= 64,
        ValueClass::Opaque | ValueClass::Random => false,
    };
    class == ValueClass::Random || (!redactor.send_pii && (!is_plain || is_personal()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cookie_is_judged_by_itself() {
        let rows = [
            ("theme=dark; session=abc123; lang=en", "theme=dark; session=[Filtered]; lang=en"),
            ("connect.sid=s%3Aabc.def; page=2", "connect.sid=[Filtered]; page=2"),
            ("__Host-x=1a2b; remember_me=yes", "__Host-x=[Filtered]; remember_me=yes"),
            ("consent=true; token=", "consent=true; token="),
            ("a1b2c3d4", "[Filtered]"),
            ("user_id=7b1c; tz=Europe%2FBerlin", "user_id=[Filtered]; tz=Europe%2FBerlin"),
        ];

        for (given, expected) in rows {
            assert_eq!(cookies(&Redactor::new(Arc::default(), false), given), expected);
        }
    }

    #[test]
    fn with_pii_on_other_cookies_stay() {
        let given = "user_id=7b1c; session=abc123; theme=x7y8";

        assert_eq!(cookies(&Redactor::new(Arc::default(), true), given), "user_id=7b1c; session=[Filtered]; theme=x7y8");
        assert_eq!(cookies(&Redactor::new(Arc::default(), false), given), "user_id=[Filtered]; session=[Filtered]; theme=[Filtered]");
    }
}
