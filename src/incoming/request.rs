//! The request as it is known at its start, as bytes in the record. Nothing is formatted here.

use std::net::{IpAddr, SocketAddr};

#[cfg(feature = "axum")]
use ::axum::extract::{ConnectInfo, MatchedPath, OriginalUri};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Uri};

use crate::propagation;
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
    let forwarded = if hops > 0 { forwarded_scheme(request.headers(), hops) } else { None };
    record.request.scheme = record.text(forwarded.or_else(|| uri.scheme_str()).unwrap_or("http").as_bytes());
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

/// The scheme that the client used, as the outermost of our own proxies saw it.
///
/// Proxies append to `Forwarded`. Nearly all overwrite `X-Forwarded-Proto`, so one entry there is that
/// of a proxy of ours, however many there are.
fn forwarded_scheme(headers: &HeaderMap, hops: usize) -> Option<&'static str> {
    let entries = |name: &str| -> Vec<&[u8]> {
        let lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
        lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty()).collect()
    };
    let simple = entries("x-forwarded-proto");
    let of_simple = match simple.as_slice() {
        [only] => Some(*only),
        several => several.len().checked_sub(hops).and_then(|place| several.get(place)).copied(),
    };
    let standard = entries("forwarded");
    let of_standard = || {
        let entry = standard.get(standard.len().checked_sub(hops)?)?;
        entry.split(|byte| *byte == b';').find_map(|pair| {
            let (name, value) = pair.split_at_checked(pair.iter().position(|byte| *byte == b'=')?)?;
            name.trim_ascii().eq_ignore_ascii_case(b"proto").then(|| value.get(1..).unwrap_or_default().trim_ascii())
        })
    };
    let scheme = of_simple.or_else(of_standard)?;
    let scheme = scheme.strip_prefix(b"\"").and_then(|quoted| quoted.strip_suffix(b"\"")).unwrap_or(scheme);
    // Proxies call the scheme of a WebSocket `ws` or `wss`.
    let schemes = [("http", "http"), ("https", "https"), ("ws", "http"), ("wss", "https")];
    schemes.into_iter().find(|(known, _)| scheme.eq_ignore_ascii_case(known.as_bytes())).map(|(_, scheme)| scheme)
}

/// The client's address: the one that our outermost proxy saw, or the peer's if there is no proxy.
///
/// `hops` is the number of our own proxies. Each appends its caller's address to `X-Forwarded-For`,
/// so the entry that many places from the end is the client's. Earlier entries can be forged.
pub(super) fn client_address(headers: &HeaderMap, peer: Option<IpAddr>, hops: usize) -> Option<IpAddr> {
    if hops == 0 {
        return peer;
    }
    // Read as bytes: an invalid byte from the client must not make the rest of the line unreadable.
    let lines = headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes);
    let chain: Vec<&[u8]> =
        lines.flat_map(|line| line.split(|byte| *byte == b',')).filter(|entry| !entry.trim_ascii().is_empty()).collect();
    if chain.is_empty() {
        return peer;
    }
    // Fewer entries than proxies: the request bypassed some of them, so no entry can be trusted.
    let place = chain.len().checked_sub(hops)?;
    address(std::str::from_utf8(chain.get(place)?).ok()?.trim())
}

/// Parses an address, with or without a port. IPv4-mapped IPv6 addresses become IPv4.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = text.parse().ok().or_else(|| bare.parse().ok()).or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
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

/// The template of the route that axum's router matched.
#[cfg(feature = "axum")]
pub(super) fn matched_path<B>(request: &Request<B>) -> Option<&str> {
    request.extensions().get::<MatchedPath>().map(MatchedPath::as_str)
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

/// Whether the layer is inside axum's router: what has no route there goes to a fallback.
#[cfg(feature = "axum")]
pub(super) fn is_in_router<B>(request: &Request<B>) -> bool {
    request.extensions().get::<OriginalUri>().is_some()
}

#[cfg(not(feature = "axum"))]
pub(super) fn is_in_router<B>(_: &Request<B>) -> bool {
    false
}

#[cfg(not(feature = "axum"))]
pub(super) fn matched_path<B>(_: &Request<B>) -> Option<&str> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_our_own_proxies_wrote_counts() {
        let rows = [
            (0, "203.0.113.7", Some("10.0.0.1")),
            (1, "203.0.113.7", Some("203.0.113.7")),
            (1, "6.6.6.6, 203.0.113.7", Some("203.0.113.7")),
            (2, "6.6.6.6, 203.0.113.7, 10.0.0.2", Some("203.0.113.7")),
            (2, "203.0.113.7", None),
            (1, "", Some("10.0.0.1")),
            (1, "::ffff:203.0.113.7", Some("203.0.113.7")),
            (1, "2001:db8::1", Some("2001:db8::1")),
            (1, "[2001:db8::1]:4711", Some("2001:db8::1")),
            (1, "203.0.113.7:4711", Some("203.0.113.7")),
            (1, "unknown", None),
        ];

        for (hops, line, expected) in rows {
            let mut headers = HeaderMap::new();
            headers.append("x-forwarded-for", HeaderValue::from_static(line));
            let found = client_address(&headers, "10.0.0.1".parse().ok(), hops);
            assert_eq!(found, expected.and_then(|text| text.parse().ok()), "{hops} {line}");
        }
        let odd = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-forwarded-for"),
            HeaderValue::from_bytes(b"\xff, 203.0.113.7").expect("bytes"),
        )]);
        assert_eq!(client_address(&odd, "10.0.0.1".parse().ok(), 1), "203.0.113.7".parse().ok());
        assert_eq!(client_address(&HeaderMap::new(), "10.0.0.1".parse().ok(), 1), "10.0.0.1".parse().ok());
    }

    #[test]
    fn the_scheme_is_the_one_that_our_outermost_proxy_saw() {
        const SIMPLE: &str = "x-forwarded-proto";
        type Row = (usize, &'static [(&'static str, &'static str)], Option<&'static str>);
        let rows: [Row; 12] = [
            (1, &[(SIMPLE, "https")], Some("https")),
            (2, &[(SIMPLE, "HTTPS")], Some("https")),
            (1, &[(SIMPLE, "http, https")], Some("https")),
            (2, &[(SIMPLE, "https, http, http")], Some("http")),
            (2, &[(SIMPLE, "https"), (SIMPLE, "http")], Some("https")),
            (3, &[(SIMPLE, "https, http")], None),
            (1, &[(SIMPLE, "javascript")], None),
            (1, &[("forwarded", "for=203.0.113.7;proto=https;by=10.0.0.1")], Some("https")),
            (1, &[("forwarded", "proto=http, for=203.0.113.7; Proto=\"https\"")], Some("https")),
            (2, &[("forwarded", "for=203.0.113.7;proto=https, for=10.0.0.2;proto=http")], Some("https")),
            (1, &[("forwarded", "for=203.0.113.7")], None),
            (1, &[], None),
        ];

        for (hops, lines, expected) in rows {
            let line =
                |(name, value): &(&'static str, &'static str)| (http::HeaderName::from_static(name), HeaderValue::from_static(value));
            let headers: HeaderMap = lines.iter().map(line).collect();
            assert_eq!(forwarded_scheme(&headers, hops), expected, "{hops} {lines:?}");
        }
    }

    #[test]
    fn several_lines_are_one_chain() {
        let rows: [(usize, &[&str], &str); 4] = [
            (1, &["6.6.6.6", "203.0.113.7"], "203.0.113.7"),
            (1, &["6.6.6.6, 7.7.7.7", "203.0.113.7"], "203.0.113.7"),
            (2, &["6.6.6.6", "203.0.113.7", "10.0.0.2"], "203.0.113.7"),
            (2, &["6.6.6.6", "203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        ];

        for (hops, lines, expected) in rows {
            let name = http::HeaderName::from_static("x-forwarded-for");
            let headers: HeaderMap = lines.iter().map(|line| (name.clone(), HeaderValue::from_static(line))).collect();
            assert_eq!(client_address(&headers, "10.0.0.1".parse().ok(), hops), expected.parse().ok(), "{hops} {lines:?}");
        }
    }
}
