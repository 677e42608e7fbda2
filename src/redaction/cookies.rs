//! Cookies: each is judged by its own name and value.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::Redactor;
use super::finding::{Rule, Secret};
use super::scan::without;
use super::value_class::{self, ValueClass};
use super::verdict::{Verdict, judge};

impl Redactor {
    /// Hides the values of secret cookies before a hook sees them.
    pub(crate) fn hide_cookies(&self, header: &mut String) {
        if !self.rules.hides_nothing()
            && let Cow::Owned(hidden) = cookies(self, header)
        {
            *header = hidden;
        }
    }
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
            None => ("", pair.trim_start()),
        };
        let range = start + pair.len() - value.len()..start + pair.len();
        if name.is_empty() || is_hidden(redactor, name, value) {
            secrets.push(Secret::value(range, Rule::Name));
        }
    }
    without(redactor, header, &secrets)
}

fn is_hidden(redactor: &Redactor, name: &str, value: &str) -> bool {
    if redactor.is_hidden_by_user(name) {
        return true;
    }
    let value = decoded(value);
    let class = value_class::class(&value);
    if class == ValueClass::Nothing {
        return false;
    }
    // Nearly all cookies are decided here.
    if hides_class(redactor, class, &value) {
        return true;
    }
    let verdict = judge(name);
    verdict.at(verdict.cookie).is_some_and(|name| name.hides_class(class)) || (!redactor.send_pii && verdict.personal_cookie)
}

/// Whether the name of a cookie alone says that its value is hidden.
pub(super) fn is_name_hidden(redactor: &Redactor, name: &str, verdict: Verdict) -> bool {
    redactor.is_hidden_by_user(name) || (!redactor.send_pii && verdict.personal_cookie)
}

/// Returns the value of a cookie whose name is harmless, or its replacement.
pub(super) fn cookie<'a>(redactor: &Redactor, value: &'a str) -> Cow<'a, str> {
    let text = decoded(value);
    let is_hidden = hides_class(redactor, value_class::class(&text), &text);
    let secrets = if is_hidden { vec![Secret::value(0..value.len(), Rule::Name)] } else { Vec::new() };
    without(redactor, value, &secrets)
}

/// The value without quotes and without percent-encoding.
fn decoded(value: &str) -> Cow<'_, str> {
    let value = value.trim().trim_matches('"');
    if value.contains('%') { percent_decode_str(value).decode_utf8_lossy() } else { Cow::Borrowed(value) }
}

/// Whether a cookie's value is hidden whatever its name.
fn hides_class(redactor: &Redactor, class: ValueClass, value: &str) -> bool {
    match class {
        ValueClass::Random => true,
        ValueClass::Nothing => false,
        ValueClass::Number(digits) => !redactor.send_pii && digits > 6,
        ValueClass::Words => !redactor.send_pii && value.len() > 64,
        ValueClass::Opaque => !redactor.send_pii,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
