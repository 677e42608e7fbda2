//! The hosts and URLs that receive trace headers on outgoing requests.

use std::fmt;
use std::str::FromStr;

use http::Uri;

/// A host or URL that receives trace headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    AnyHost,
    /// This host, on any port.
    Host(String),
    /// All hosts below this one, but not the host itself.
    Subdomains(String),
    /// URLs with this origin whose path begins with `path`, up to the end of a segment.
    Prefix {
        origin: Origin,
        path: String,
    },
}

impl Target {
    fn is(&self, uri: &Uri) -> bool {
        let host = || uri.host().unwrap_or_default();
        match self {
            Self::AnyHost => true,
            Self::Host(name) => host().eq_ignore_ascii_case(name),
            Self::Subdomains(name) => {
                let host = host();
                let above = host.len().checked_sub(name.len()).and_then(|start| host.split_at_checked(start));
                above.is_some_and(|(labels, end)| labels.len() > 1 && labels.ends_with('.') && end.eq_ignore_ascii_case(name))
            }
            Self::Prefix { origin, path } => {
                let rest = uri.path().strip_prefix(path.as_str());
                let is_segment = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || path.ends_with('/'));
                is_segment && Origin::of(uri).is_some_and(|other| other == *origin)
            }
        }
    }
}

/// Scheme, host and port of a URL, normalised for comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    is_secure: bool,
    host: String,
    port: u16,
}

impl Origin {
    fn of(uri: &Uri) -> Option<Self> {
        let is_secure = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        Some(Self { is_secure, host: uri.host()?.to_ascii_lowercase(), port })
    }
}

/// Whether a request to this URL carries trace headers.
pub(crate) fn is_target(targets: &[Target], uri: &Uri) -> bool {
    targets.iter().any(|target| target.is(uri))
}

impl FromStr for Target {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim();
        let is_host = |text: &str| {
            let is_bare_v6 = text.starts_with('[') && text.ends_with(']');
            is_bare_v6 || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')))
        };
        if text == "*" {
            return Ok(Self::AnyHost);
        }
        if text.contains("://") {
            let uri: Uri = text.parse().map_err(drop)?;
            let origin = Origin::of(&uri).filter(|_| uri.query().is_none() && !text.contains('@')).ok_or(())?;
            return Ok(Self::Prefix { origin, path: uri.path().to_owned() });
        }
        match text.strip_prefix("*.") {
            Some(name) if is_host(name) => Ok(Self::Subdomains(name.to_owned())),
            None if is_host(text) => Ok(Self::Host(text.to_owned())),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyHost => f.write_str("*"),
            Self::Host(text) => f.write_str(text),
            Self::Prefix { origin: Origin { is_secure, host, port }, path } => {
                write!(f, "{}://{host}:{port}{path}", if *is_secure { "https" } else { "http" })
            }
            Self::Subdomains(name) => write!(f, "*.{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_hosts_receive_trace_headers() {
        let rows = [
            ("*", "https://anybody.example/", true),
            ("stock.internal", "http://stock.internal:8080/items", true),
            ("stock.internal", "http://STOCK.internal/", true),
            ("stock.internal", "http://a.stock.internal/", false),
            ("stock.internal", "http://stock.internal.evil.example/", false),
            ("stock.internal", "http://evil.example/?stock.internal", false),
            ("stock.internal", "http://stock.internal@evil.example/", false),
            ("*.stock.internal", "http://a.b.stock.internal/", true),
            ("*.stock.internal", "http://stock.internal/", false),
            ("*.stock.internal", "http://evilstock.internal/", false),
            ("https://api.example/v2", "https://api.example/v2/items?x=1", true),
            ("https://api.example/v2", "https://api.example/v2", true),
            ("https://api.example/v2", "https://api.example/v20", false),
            ("https://api.example/v2/", "http://api.example/v2/items", false),
            ("https://API.example:443/v2/", "https://api.example/v2/items", true),
            ("http://api.example:8080", "http://api.example:8080/any", true),
            ("http://api.example:8080", "http://api.example/any", false),
            ("[::1]", "http://[::1]:3000/", true),
            (" stock.internal\n", "http://stock.internal/", true),
            (" https://api.example/v2 ", "https://api.example/v2/items", true),
        ];

        for (target, uri, expected) in rows {
            let (target, uri): (Target, Uri) = (target.parse().expect("a target"), uri.parse().expect("a URI"));
            assert_eq!(is_target(std::slice::from_ref(&target), &uri), expected, "{target} {uri}");
        }
        for wrong in ["", "a b", "stock/", "ftp://x/", "https://user@x/", "https://x/?item=7", "https://x/v2?", "*.", "*x"] {
            assert_eq!(wrong.parse::<Target>(), Err(()), "{wrong}");
        }
    }
}
