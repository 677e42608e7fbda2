//! Redacts URLs and queries: parameters are judged by name and value, and user-info is always hidden.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::cursor::Reading;
use super::finding::{Rule, Secret};
use super::names::{self, Level};
use super::scan::{find, without};
use super::verdict::judge;
use super::{Redaction, Redactor, path, value_class};

/// Hides the values of secret parameters in a query or a form.
///
/// Order, duplicates and encoding of the other parameters are kept.
pub(super) fn query<'a>(redactor: &Redactor, query: &'a str) -> Cow<'a, str> {
    let mut secrets = find(redactor, query, Reading::Text).secrets;
    let mut end = 0;
    for pair in query.split('&') {
        let start = end;
        end = start + pair.len() + 1;
        let Some((name, value)) = pair.split_once('=') else { continue };
        let range = start + name.len() + 1..start + pair.len();
        if is_secret(redactor, name, value) {
            secrets.retain(|secret| secret.range.end <= range.start || secret.range.start >= range.end);
            secrets.push(Secret::value(range, Rule::Name));
        }
    }
    secrets.sort_by_key(|secret| secret.range.start);
    without(redactor, query, &secrets)
}

/// Whether the value of a parameter is secret.
fn is_secret(redactor: &Redactor, name: &str, value: &str) -> bool {
    let name = decoded(name);
    if value.is_empty() {
        return false;
    }
    if redactor.is_hidden_by_user(&name) {
        return true;
    }
    let level = judge(&name).parameter;
    level > Level::Harmless
        && value_class::is_hidden(level, &decoded(&value.replace('+', " ")), names::is_numeric(&name), names::is_plural(&name))
}

fn decoded(text: &str) -> Cow<'_, str> {
    if text.contains('%') { percent_decode_str(text).decode_utf8_lossy() } else { Cow::Borrowed(text) }
}

/// Hides the tokens in a path, with or without a scheme and a host before it.
fn path_of<'a>(redactor: &Redactor, text: &'a str) -> Cow<'a, str> {
    let mut secrets = find(redactor, text, Reading::Text).secrets;
    let mut at = 0;
    for segment in text.split('/') {
        let range = at..at + segment.len();
        at = range.end + 1;
        let segment = segment.find(['?', '#', ';']).and_then(|end| segment.get(..end)).unwrap_or(segment);
        let range = range.start..range.start + segment.len();
        if segment.len() >= 32
            && path::is_token(&decoded(segment))
            && secrets.iter().all(|secret| secret.range.end <= range.start || range.end <= secret.range.start)
        {
            secrets.push(Secret::token(range, Rule::Path));
        }
        // What follows belongs to the query.
        if text.as_bytes().get(at.saturating_sub(1)).is_none() || text.get(..at).is_some_and(|before| before.contains('?')) {
            break;
        }
    }
    secrets.sort_by_key(|secret| secret.range.start);
    without(redactor, text, &secrets)
}

/// Hides the user-info of a URL, the tokens in its path and the secrets in its query.
pub(super) fn url<'a>(redactor: &Redactor, url: &'a str) -> Cow<'a, str> {
    let Some((before, after)) = url.split_once('?') else { return path_of(redactor, url) };
    let (parameters, fragment) = after.find('#').and_then(|at| after.split_at_checked(at)).unwrap_or((after, ""));
    match (path_of(redactor, before), query(redactor, parameters), fragment_of(redactor, fragment)) {
        (Cow::Borrowed(_), Cow::Borrowed(_), Cow::Borrowed(_)) => Cow::Borrowed(url),
        (before, parameters, fragment) => Cow::Owned([&*before, "?", &parameters, &fragment].concat()),
    }
}

fn fragment_of<'a>(redactor: &Redactor, fragment: &'a str) -> Cow<'a, str> {
    let Some(parameters) = fragment.strip_prefix('#') else { return Cow::Borrowed(fragment) };
    match query(redactor, parameters) {
        Cow::Borrowed(_) => Cow::Borrowed(fragment),
        Cow::Owned(clean) => Cow::Owned(["#", &clean].concat()),
    }
}

impl Redaction {
    /// Hides path parameters that have a secret name in the route's template: `/reset/{token}`.
    pub(crate) fn hide_parameters<'a>(&self, template: &str, path: &'a str) -> Cow<'a, str> {
        let is_secret = |name: &str| judge(name).field >= Level::Likely || names::is_listed(name, &self.fields);
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
mod tests;
