//! The request as events and transactions contain it.

use std::borrow::Cow;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::Facts;
use super::body;
use super::value::Pairs;
use crate::protocol::Request;
use crate::record::Record;

pub(super) struct RequestPayload<'a> {
    pub(super) record: &'a Record,
    /// The path, with secret parameters hidden.
    pub(super) path: &'a str,
    pub(super) facts: &'a Facts,
    pub(super) has_body: bool,
}

impl Serialize for RequestPayload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { record, path, .. } = *self;
        let facts = &record.request;
        let mut request = serializer.serialize_struct("Request", 5)?;
        request.serialize_field("method", &record.str(facts.method))?;
        let (scheme, host) = (record.str(facts.scheme), record.str(facts.host));
        // A URL needs a host. If the client sent none, a reserved name replaces it (RFC 2606).
        let host = if host.is_empty() { "unknown.invalid".into() } else { host };
        // The URL of `OPTIONS *` has no path (RFC 9112, section 3.3).
        let path = if *path == *"*" { "" } else { path };
        request.serialize_field("url", &[&*scheme, "://", &*host, path].concat())?;
        if let Some(query) = facts.query {
            request.serialize_field("query_string", &record.str(query))?;
        }
        let sample = record.set.rare().and_then(|rare| rare.bodies.request.as_ref()).filter(|_| self.has_body);
        if let Some(data) = sample.and_then(|sample| body::data(sample)) {
            request.serialize_field("data", &data)?;
        }
        request.serialize_field("headers", &Pairs(|| headers(record, self.facts)))?;
        request.end()
    }
}

/// The request, for a hook that runs inside it. It has no cookies, because only the exporter judges these. On a
/// sensitive route it has only the method.
pub(crate) fn shown(record: &Record, facts: &Facts) -> Option<Request> {
    if !record.has_request {
        return None;
    }
    let payload = RequestPayload { record, path: &path(record, facts), facts, has_body: false };
    let mut request: Request = serde_json::to_vec(&payload).and_then(|json| serde_json::from_slice(&json)).ok()?;
    request.headers.remove("cookie");
    if record.request.is_sensitive {
        request = Request { method: request.method, ..Request::default() };
    }
    Some(request)
}

/// Returns the path of the request, with secret parameters hidden. Empty without a request.
///
/// The parameter names in the route decide which are secret.
pub(super) fn path<'a>(record: &'a Record, facts: &Facts) -> Cow<'a, str> {
    let path = record.str(record.request.path);
    match record.route {
        Some(template) => match facts.redaction.hide_parameters(&record.str(template), &path) {
            Cow::Borrowed(_) => path,
            Cow::Owned(hidden) => Cow::Owned(hidden),
        },
        None => path,
    }
}

/// Returns the headers by name.
///
/// Lines with the same name are joined with a comma, and those of cookies with a semicolon (RFC 9113, section 8.2.3),
/// because JSON must not repeat a key. `http` keeps such lines together. A withheld value is replaced.
fn headers<'a>(record: &'a Record, facts: &'a Facts) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
    let judged = |(name, value): (Cow<'a, str>, Option<Cow<'a, str>>)| match value {
        Some(value) => Some((name, value)),
        None => facts.redaction.withheld().map(|mark| (name, Cow::Borrowed(mark))),
    };
    let mut lines = record.each_header().filter_map(judged).peekable();
    std::iter::from_fn(move || {
        let (name, mut joined) = lines.next()?;
        while let Some((_, value)) = lines.next_if(|(next, _)| *next == name) {
            joined = join(&name, &joined, &value).into();
        }
        Some((name, joined))
    })
}

/// The values of two lines with the same name.
#[cold]
fn join(name: &str, first: &str, second: &str) -> String {
    [first, if name == "cookie" { "; " } else { "," }, second].concat()
}
