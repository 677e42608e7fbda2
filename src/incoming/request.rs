//! What is known of a request at its start, as bytes of the record. Nothing is formatted here.

use http::{HeaderMap, Request};

use crate::protocol::TransactionSource;
use crate::record::{HeaderFact, Record};
use crate::redaction::Redaction;

/// What is looked for among the headers of each request: found while they are walked through, since each lookup by name takes 150
/// instructions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Noticed<'a> {
    pub(super) host: Option<&'a [u8]>,
    pub(super) has_trace: bool,
}

impl<'a> Noticed<'a> {
    /// Walks through the headers.
    pub(super) fn in_headers(headers: &'a HeaderMap) -> Self {
        let mut noticed = Self::default();
        for (name, value) in headers {
            noticed.look_at(name.as_str(), value.as_bytes());
        }
        noticed
    }

    fn look_at(&mut self, name: &str, value: &'a [u8]) {
        match name {
            "host" => self.host = self.host.or(Some(value)),
            "sentry-trace" => self.has_trace = true,
            _ => {}
        }
    }
}

/// Copies the headers. Values of those that are credentials stay where they are.
///
/// Bytes are copied and not shared: a clone of a header would keep the connection's read buffer from being used again, and the
/// queue would hold those buffers uncounted.
pub(super) fn copy_headers<'a>(headers: &'a HeaderMap, redaction: &Redaction, record: &mut Record) -> Noticed<'a> {
    let mut noticed = Noticed::default();
    record.headers(headers.iter().map(|(name, value)| {
        let (name, value) = (name.as_str(), value.as_bytes());
        noticed.look_at(name, value);
        (name, if redaction.withholds(name) { HeaderFact::Withheld } else { HeaderFact::Value(value) })
    }));
    noticed
}

/// Copies what is known of the request but for its headers.
pub(super) fn describe<B>(request: &Request<B>, host: Option<&[u8]>, template: Option<&str>, record: &mut Record) {
    let uri = request.uri();
    // HTTP/2 and proxies name the host in the URI, HTTP/1 in a header.
    let host = uri.authority().map(|authority| authority.as_str().as_bytes()).or(host).unwrap_or_default();
    // An authority may hold a user and a password: `GET http://user:password@host/`.
    let host = host.rsplit(|byte| *byte == b'@').next().unwrap_or_default();

    record.has_request = true;
    record.source = TransactionSource::Route;
    record.request.method = record.text(request.method().as_str().as_bytes());
    record.request.scheme = record.text(uri.scheme_str().unwrap_or("http").as_bytes());
    record.request.host = record.text(host);
    record.request.path = record.text(uri.path().as_bytes());
    record.request.query = uri.query().map(|query| record.text(query.as_bytes()));
    record.request.version = Some(request.version());
    record.name = template.map(|template| record.text(template.as_bytes()));
    record.seal_scope();
}
