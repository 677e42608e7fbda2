//! The request as it is known at its start, as bytes in the record. Nothing is formatted here.

use std::net::IpAddr;
#[cfg(feature = "axum")]
use std::net::SocketAddr;

#[cfg(feature = "axum")]
use ::axum::extract::{ConnectInfo, MatchedPath, OriginalUri};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Uri};

use super::route_template::RouteTemplate;
use crate::propagation;
use crate::protocol::forwarded;
use crate::record::{HeaderFact, Record};
use crate::redaction::Redaction;

/// Facts found while the headers are iterated: a lookup by name costs 150 instructions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Noticed<'a> {
    pub(super) host: Option<&'a [u8]>,
    pub(super) has_trace: bool,
}

impl<'a> Noticed<'a> {
    /// Iterates over the headers.
    pub(super) fn in_headers(headers: &'a HeaderMap) -> Self {
        let mut noticed = Self::default();
        for (name, value) in headers {
            noticed.look_at(name.as_str(), value.as_bytes());
        }
        noticed
    }

    fn look_at(&mut self, name: &str, value: &'a [u8]) {
        if name == "host" {
            self.host = self.host.or(Some(value));
        }
        self.has_trace |= propagation::is_trace_header(name);
    }
}

/// Copies the headers, but not the values of credentials.
///
/// Bytes are copied and not shared. A clone of a header value would keep the connection's read
/// buffer alive, and the queue would hold those buffers without counting them.
pub(super) fn copy_headers<'a>(headers: &'a HeaderMap, redaction: &Redaction, record: &mut Record) -> Noticed<'a> {
    let mut noticed = Noticed::default();
    record.headers(headers.iter().map(|(name, value)| {
        let (name, is_sensitive, value) = (name.as_str(), value.is_sensitive(), value.as_bytes());
        noticed.look_at(name, value);
        (name, if is_sensitive || redaction.withholds(name) { HeaderFact::Withheld } else { HeaderFact::Value(value) })
    }));
    noticed
}

/// Copies all facts of the request except its headers.
///
/// `hops` is the number of our own proxies.
pub(super) fn describe<B>(request: &Request<B>, host: Option<&[u8]>, hops: usize, record: &mut Record) {
    let uri = original_uri(request);
    // HTTP/2 requests and requests to proxies have the host in the URI, HTTP/1 requests in a
    // header.
    let host = uri.authority().map(|authority| authority.as_str().as_bytes()).or(host).unwrap_or_default();
    // An authority may contain a user and a password: `GET http://user:password@host/`.
    let host = if host.contains(&b'@') { host.rsplit(|byte| *byte == b'@').next().unwrap_or_default() } else { host };

    record.has_request = true;
    record.request.method = record.text(request.method().as_str().as_bytes());
    let of_proxy = if hops > 0 { forwarded::scheme(request.headers(), hops) } else { None };
    record.request.scheme = record.text(of_proxy.or_else(|| uri.scheme_str()).unwrap_or("http").as_bytes());
    record.request.host = record.text(host);
    record.request.path = record.text(uri.path().as_bytes());
    record.request.query = uri.query().map(|query| record.text(query.as_bytes()));
    record.request.version = Some(request.version());
}

/// Whether the request is a gRPC call, also one of gRPC-Web.
pub(super) fn is_grpc<B>(request: &Request<B>) -> bool {
    request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().get(..16).is_some_and(|kind| kind.eq_ignore_ascii_case(b"application/grpc")))
}

/// The peer's address, if the server uses `into_make_service_with_connect_info`.
#[cfg(feature = "axum")]
pub(super) fn peer<B>(request: &Request<B>) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_canonical())
}

#[cfg(not(feature = "axum"))]
pub(super) fn peer<B>(_: &Request<B>) -> Option<IpAddr> {
    None
}

/// The template of the route that a router matched: axum's, or another one.
#[cfg(feature = "axum")]
pub(super) fn matched_path<B>(request: &Request<B>) -> Option<&str> {
    // axum's first: the services that have it pay for one lookup.
    request.extensions().get::<MatchedPath>().map(MatchedPath::as_str).or_else(|| given_template(request))
}

#[cfg(not(feature = "axum"))]
pub(super) fn matched_path<B>(request: &Request<B>) -> Option<&str> {
    given_template(request)
}

fn given_template<B>(request: &Request<B>) -> Option<&str> {
    request.extensions().get::<RouteTemplate>().map(RouteTemplate::as_str)
}

/// The URI before a nested router took its prefix away.
#[cfg(feature = "axum")]
pub(super) fn original_uri<B>(request: &Request<B>) -> &Uri {
    request.extensions().get::<OriginalUri>().map_or_else(|| request.uri(), |OriginalUri(uri)| uri)
}

#[cfg(not(feature = "axum"))]
pub(super) fn original_uri<B>(request: &Request<B>) -> &Uri {
    request.uri()
}

/// Whether the layer is inside axum's router: there, a request without a route goes to a fallback.
#[cfg(feature = "axum")]
pub(super) fn is_in_router<B>(request: &Request<B>) -> bool {
    request.extensions().get::<OriginalUri>().is_some()
}

#[cfg(not(feature = "axum"))]
pub(super) fn is_in_router<B>(_: &Request<B>) -> bool {
    false
}
