//! URLs and queries: parameters are judged by name, user-info is always hidden.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::verdict::judge;
use super::{Redaction, Redactor, names, patterns};

/// Hides the values of secret parameters in a query or a form.
///
/// Order, duplicates and encoding of the other parameters are kept.
pub(super) fn query<'a>(redactor: &Redactor, query: &'a str) -> Cow<'a, str> {
    let mut out = String::new();
    // The query up to here is in `out`, which is empty while nothing has changed.
    let mut copied = 0;
    let mut end = 0;
    for pair in query.split('&') {
        let start = end;
        end = start + pair.len() + 1;
        let (name, value) = pair.split_once('=').map_or((None, pair), |(name, value)| (Some(name), value));
        // A bare value may be a token by its shape.
        let Some(instead) = (match name {
            Some(name) if is_secret(redactor, name) => (!value.is_empty()).then(|| Cow::Borrowed(redactor.placeholder())),
            Some(_) => scrubbed(redactor, &decoded(value)),
            None => scrubbed(redactor, value),
        }) else {
            continue;
        };
        let value_start = start + name.map_or(0, |name| name.len() + 1);
        out.push_str(query.get(copied..value_start).unwrap_or_default());
        out.push_str(&instead);
        copied = start + pair.len();
    }
    if copied == 0 {
        return Cow::Borrowed(query);
    }
    out.push_str(query.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

fn is_secret(redactor: &Redactor, name: &str) -> bool {
    let name = decoded(name);
    judge(&name).sensitive_parameter || redactor.is_sensitive(&name)
}

/// Returns the replacement of a value that contains a secret.
fn scrubbed(redactor: &Redactor, value: &str) -> Option<Cow<'static, str>> {
    match patterns::scrub(redactor, value) {
        Cow::Borrowed(_) => None,
        Cow::Owned(scrubbed) => Some(Cow::Owned(scrubbed)),
    }
}

fn decoded(text: &str) -> Cow<'_, str> {
    if text.contains('%') { percent_decode_str(text).decode_utf8_lossy() } else { Cow::Borrowed(text) }
}

/// Hides the user-info of a URL and the secrets in its query.
pub(super) fn url<'a>(redactor: &Redactor, url: &'a str) -> Cow<'a, str> {
    let scrubbed = patterns::scrub(redactor, url);
    let Some((before, after)) = scrubbed.split_once('?') else { return scrubbed };
    let (parameters, fragment) = after.find('#').and_then(|at| after.split_at_checked(at)).unwrap_or((after, ""));
    match query(redactor, parameters) {
        Cow::Borrowed(_) => scrubbed,
        Cow::Owned(clean) => Cow::Owned([before, "?", &clean, fragment].concat()),
    }
}

impl Redaction {
    /// Hides path parameters that have a secret name in the route's template: `/reset/{token}`.
    pub(crate) fn hide_parameters<'a>(&self, template: &str, path: &'a str) -> Cow<'a, str> {
        let is_secret = |name: &str| judge(name).sensitive || names::is_listed(name, &self.fields);
        let is_hidden = |segment: &str| segment.contains('{') && is_secret(segment);
        if self.hides_nothing() || !template.split('/').any(is_hidden) {
            return Cow::Borrowed(path);
        }
        let mut templates = template.split('/');
        let (mut takes_rest, mut hides_rest) = (false, false);
        let segments = path.split('/').map(|segment| {
            let template = if takes_rest { None } else { templates.next() };
            takes_rest |= template.is_some_and(|template| template.starts_with("{*"));
            let is_hidden = template.is_some_and(is_hidden);
            hides_rest |= is_hidden && takes_rest;
            if is_hidden || hides_rest { &*self.placeholder } else { segment }
        });
        Cow::Owned(segments.collect::<Vec<_>>().join("/"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn parameters_are_hidden_by_name_and_by_shape() {
        let redactor = Redactor::new(Arc::default(), false);
        let token = "a1".repeat(40);
        let rows = [
            ("page=2&q=shoes".to_owned(), "page=2&q=shoes".to_owned()),
            ("token=abc&page=2&token=def".to_owned(), "token=[Filtered]&page=2&token=[Filtered]".to_owned()),
            ("api%5Fkey=abc".to_owned(), "api%5Fkey=[Filtered]".to_owned()),
            ("next=https%3A%2F%2Fme%3Apw%40host%2F".to_owned(), "next=https://[Filtered]:[Filtered]@host/".to_owned()),
            (format!("id={token}"), "id=[REDACTED_TOKEN]".to_owned()),
            (token, "[REDACTED_TOKEN]".to_owned()),
            ("code=abc&page=2".to_owned(), "code=[Filtered]&page=2".to_owned()),
            ("secret=".to_owned(), "secret=".to_owned()),
        ];

        for (given, expected) in rows {
            assert_eq!(query(&redactor, &given), expected);
        }
    }

    #[test]
    fn path_parameters_with_secret_names_are_hidden() {
        let own = || Redaction::default().field("voucher").placeholder("[REDACTED]");
        let rows = [
            (Redaction::default(), "/users/{id}/reset/{token}", "/users/7/reset/abc", "/users/7/reset/[Filtered]"),
            (Redaction::default(), "/tokens/{id}", "/tokens/7", "/tokens/7"),
            (Redaction::default(), "/x/{*secret}", "/x/a/b", "/x/[Filtered]/[Filtered]"),
            (Redaction::default(), "/redeem/{voucher}", "/redeem/abc", "/redeem/abc"),
            (own(), "/redeem/{voucher}", "/redeem/abc", "/redeem/[REDACTED]"),
            (own(), "/users/{id}/reset/{token}", "/users/7/reset/abc", "/users/7/reset/[REDACTED]"),
        ];

        for (rules, template, path, expected) in rows {
            assert_eq!(rules.hide_parameters(template, path), expected);
        }
    }

    #[test]
    fn urls_lose_their_user_and_secret_parameters() {
        let redactor = Redactor::new(Arc::default(), false);

        let clean = url(&redactor, "https://me:pw@host/path?sig=abc&a=1#top");

        assert_eq!(clean, "https://[Filtered]:[Filtered]@host/path?sig=[Filtered]&a=1#top");
    }
}
