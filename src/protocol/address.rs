//! The addresses of servers.

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// Reads a URL with a host and the scheme `http` or `https`; the user it may hold is left in.
pub(crate) fn parse(text: &str) -> Option<Uri> {
    let uri: Uri = text.trim().parse().ok()?;
    (matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}

/// The user of a URL, without its password.
pub(crate) fn user(uri: &Uri) -> Option<&str> {
    let (user, _) = uri.authority()?.as_str().rsplit_once('@')?;
    Some(user.split_once(':').map_or(user, |(name, _)| name))
}

/// The same server as URLs are compared (RFC 3986, section 6.2), at another path: the host in lower case, no port that the scheme implies, no user.
pub(crate) fn at_path(uri: &Uri, path: PathAndQuery) -> Option<Uri> {
    let scheme = uri.scheme()?.clone();
    let host = uri.host()?.to_ascii_lowercase();
    let implied = if scheme == Scheme::HTTPS { 443 } else { 80 };
    let authority = match uri.port_u16().filter(|port| *port != implied) {
        Some(port) => Authority::try_from(format!("{host}:{port}")).ok()?,
        None => Authority::try_from(host).ok()?,
    };
    Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build().ok()
}
