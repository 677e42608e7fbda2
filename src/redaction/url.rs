//! URLs and queries: names decide about parameters, user-info always goes.

use std::borrow::Cow;
use std::cell::RefCell;

use percent_encoding::percent_decode_str;

use super::memory::Memory;
use super::{Redactor, names, patterns};

/// A query (or a form) with the values of secret parameters replaced. Order, duplicates and encoding of the rest are kept.
pub(super) fn query<'a>(redactor: &Redactor, query: &'a str) -> Cow<'a, str> {
    let mut out = String::new();
    let mut changed = false;
    for (index, pair) in query.split('&').enumerate() {
        if index > 0 {
            out.push('&');
        }
        let Some((name, value)) = pair.split_once('=') else {
            // A bare value may be a token by its shape.
            let scrubbed = patterns::scrub(redactor, pair);
            changed |= scrubbed != pair;
            out.push_str(&scrubbed);
            continue;
        };
        out.push_str(name);
        out.push('=');
        let plain_name = decoded(name);
        if names::judge(&plain_name).sensitive_parameter || redactor.is_sensitive(&plain_name) {
            changed |= !value.is_empty();
            out.push_str(if value.is_empty() { "" } else { redactor.placeholder() });
            continue;
        }
        let plain = decoded(value);
        let scrubbed = patterns::scrub(redactor, &plain);
        if scrubbed == plain {
            out.push_str(value);
        } else {
            changed = true;
            out.push_str(&scrubbed);
        }
    }
    if changed { Cow::Owned(out) } else { Cow::Borrowed(query) }
}

fn decoded(text: &str) -> Cow<'_, str> {
    if text.contains('%') { percent_decode_str(text).decode_utf8_lossy() } else { Cow::Borrowed(text) }
}

/// A URL without its user-info and with its query redacted.
pub(super) fn url<'a>(redactor: &Redactor, url: &'a str) -> Cow<'a, str> {
    let scrubbed = patterns::scrub(redactor, url);
    match scrubbed.split_once('?') {
        None => scrubbed,
        Some((before, after)) => {
            let (parameters, fragment) = after.split_once('#').map_or((after, None), |(query, fragment)| (query, Some(fragment)));
            let clean = query(redactor, parameters);
            let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
            Cow::Owned(format!("{before}?{clean}{fragment}"))
        }
    }
}

/// A path without the values of parameters that the route's template gives a secret name: `/reset/{token}`.
pub(crate) fn hide_parameters<'a>(template: &str, path: &'a str) -> Cow<'a, str> {
    thread_local! {
        static HIDES: RefCell<Memory<bool>> = RefCell::default();
    }
    let names = |segment: &str| segment.contains('{') && names::judge(segment).sensitive;
    let hides_any = |template: &str| template.split('/').any(names);
    let remembered = HIDES.try_with(|hides| Some(hides.try_borrow_mut().ok()?.recall(template, hides_any)));
    if !remembered.ok().flatten().unwrap_or_else(|| hides_any(template)) {
        return Cow::Borrowed(path);
    }
    let mut templates = template.split('/');
    let (mut takes_rest, mut hides_rest) = (false, false);
    let segments = path.split('/').map(|segment| {
        let template = if takes_rest { None } else { templates.next() };
        takes_rest |= template.is_some_and(|template| template.starts_with("{*"));
        let is_hidden = template.is_some_and(names);
        hides_rest |= is_hidden && takes_rest;
        if is_hidden || hides_rest { "[Filtered]" } else { segment }
    });
    Cow::Owned(segments.collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn parameters_go_by_name_and_by_shape() {
        let redactor = Redactor::new(Arc::default(), false);
        let token = "a1".repeat(40);
        let rows = [
            ("page=2&q=shoes".to_owned(), "page=2&q=shoes".to_owned()),
            ("token=abc&page=2&token=def".to_owned(), "token=[Filtered]&page=2&token=[Filtered]".to_owned()),
            ("api%5Fkey=abc".to_owned(), "api%5Fkey=[Filtered]".to_owned()),
            ("next=https%3A%2F%2Fme%3Apw%40host%2F".to_owned(), "next=https://[Filtered]:[Filtered]@host/".to_owned()),
            (format!("id={token}"), "id=[REDACTED_TOKEN]".to_owned()),
            (token, "[REDACTED_TOKEN]".to_owned()),
            ("secret=".to_owned(), "secret=".to_owned()),
        ];

        for (given, expected) in rows {
            assert_eq!(query(&redactor, &given), expected);
        }
    }

    #[test]
    fn path_parameters_with_secret_names_are_hidden() {
        assert_eq!(hide_parameters("/users/{id}/reset/{token}", "/users/7/reset/abc"), "/users/7/reset/[Filtered]");
        assert_eq!(hide_parameters("/tokens/{id}", "/tokens/7"), "/tokens/7");
        assert_eq!(hide_parameters("/x/{*secret}", "/x/a/b"), "/x/[Filtered]/[Filtered]");
    }

    #[test]
    fn urls_lose_their_user_and_secret_parameters() {
        let redactor = Redactor::new(Arc::default(), false);

        let clean = url(&redactor, "https://me:pw@host/path?sig=abc&a=1#top");

        assert_eq!(clean, "https://[Filtered]:[Filtered]@host/path?sig=[Filtered]&a=1#top");
    }
}
