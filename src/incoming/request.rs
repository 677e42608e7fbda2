//! What is recorded of a request: copied as bytes, formatted only if it is sent.

use http::Request;
use http::header::HOST;

use crate::protocol::TransactionSource;
use crate::record::{HeaderFact, Record};
use crate::redaction::Redaction;

/// Copies what is known of the request. Values of credential headers stay where they are.
pub(super) fn describe<B>(request: &Request<B>, template: Option<&str>, redaction: &Redaction, record: &mut Record) {
    let uri = request.uri();
    let headers = request.headers();
    // HTTP/2 and proxies name the host in the URI, HTTP/1 in a header.
    let host = uri
        .authority()
        .map(|authority| authority.as_str().as_bytes())
        .or_else(|| headers.get(HOST).map(http::HeaderValue::as_bytes))
        .unwrap_or_default();

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
    record.headers(headers.iter().map(|(name, value)| {
        let name = name.as_str();
        (name, if redaction.withholds(name) { HeaderFact::Withheld } else { HeaderFact::Value(value.as_bytes()) })
    }));
    record.name = template.map(|template| record.text(template.as_bytes()));
    record.seal_scope();
}
