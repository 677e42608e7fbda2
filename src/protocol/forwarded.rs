//! Reads what proxies report about the client of a request.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue};

/// The scheme that the client used, as the outermost of our own proxies saw it.
///
/// Each proxy appends an entry to `Forwarded`. Nearly all proxies overwrite `X-Forwarded-Proto`, so a single
/// entry there comes from one of our proxies, whatever `hops` is.
pub(crate) fn scheme(headers: &HeaderMap, hops: usize) -> Option<&'static str> {
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
pub(crate) fn client_address(headers: &HeaderMap, peer: Option<IpAddr>, hops: usize) -> Option<IpAddr> {
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
            assert_eq!(scheme(&headers, hops), expected, "{hops} {lines:?}");
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
