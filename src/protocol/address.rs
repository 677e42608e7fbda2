//! URLs of servers.

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// Parses an `http` or `https` URL with a host. A user in it is kept.
pub(crate) fn parse(text: &str) -> Option<Uri> {
    let uri: Uri = text.trim().parse().ok()?;
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    (matches!(uri.scheme_str(), Some("http" | "https")) && has_host && has_readable_port(&uri)).then_some(uri)
}

/// Whether the text after the host is a port, or empty. The URL parser accepts any text there.
pub(crate) fn has_readable_port(uri: &Uri) -> bool {
    let authority = uri.authority().map(Authority::as_str).unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let behind = host.get(uri.host().map_or(0, str::len)..).unwrap_or_default();
    behind.is_empty() || behind.strip_prefix(':').is_some_and(|port| port.is_empty() || port.parse::<u16>().is_ok())
}

/// The user name in the URL, without its password.
pub(crate) fn user(uri: &Uri) -> Option<&str> {
    let (user, _) = uri.authority()?.as_str().rsplit_once('@')?;
    Some(user.split_once(':').map_or(user, |(name, _)| name))
}

/// The default port of the scheme.
pub(crate) fn implied_port(uri: &Uri) -> u16 {
    if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 }
}

/// Returns a normalised URL (RFC 3986, section 6.2) of the same server, with another path.
///
/// The host is in lower case; a default port and the user are removed.
pub(crate) fn at_path(uri: &Uri, path: PathAndQuery) -> Option<Uri> {
    let scheme = uri.scheme()?.clone();
    let host = uri.host()?.to_ascii_lowercase();
    let authority = match uri.port_u16().filter(|port| *port != implied_port(uri)) {
        Some(port) => Authority::try_from(format!("{host}:{port}")).ok()?,
        None => Authority::try_from(host).ok()?,
    };
    Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_of_http_with_a_host() {
        for text in ["http://h", "https://h/stream", " http://h\n", "http://[::1]"] {
            assert!(parse(text).is_some(), "{text}");
        }
        for text in ["", "h", "h:80", "/stream", "ftp://h/1", "ws://h/1", "socks5://h:1", "http://", "http:///stream", "http://k@:80/1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_scheme_implies_the_port() {
        for (text, port) in [("http://h/1", 80), ("https://h/1", 443), ("https://k:s@h/1", 443)] {
            assert_eq!(implied_port(&parse(text).unwrap()), port, "{text}");
        }
    }

    #[test]
    fn a_port_that_cannot_be_read_is_not_an_address() {
        for text in ["http://h/1", "http://h:/1", "http://k:s@h:9000/1", "https://[::1]:9000/1", "https://[::1]/1", "http://k@h:65535/1"] {
            assert!(parse(text).is_some(), "{text}");
        }
        for text in ["http://h:9OOO/1", "http://k@h:99999/1", "https://k@h:443x/1", "http://h:-1/1", "http://[::1]x:80/1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
