//! Whom outgoing requests tell of the trace.

use std::fmt;
use std::str::FromStr;

use http::Uri;

/// Somebody who is told of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Everybody,
    /// This host, whatever the port.
    Host(String),
    /// All hosts below this one.
    Subdomains(String),
    /// URLs that begin so, up to the end of a segment.
    Prefix(String),
}

impl Target {
    fn is(&self, uri: &Uri) -> bool {
        let host = || uri.host().unwrap_or_default();
        match self {
            Self::Everybody => true,
            Self::Host(name) => host().eq_ignore_ascii_case(name),
            Self::Subdomains(name) => {
                let host = host();
                let above = host.len().checked_sub(name.len()).and_then(|start| host.split_at_checked(start));
                above.is_some_and(|(labels, end)| labels.len() > 1 && labels.ends_with('.') && end.eq_ignore_ascii_case(name))
            }
            Self::Prefix(start) => {
                let url =
                    format!("{}://{}{}", uri.scheme_str().unwrap_or("http"), uri.authority().map_or("", |host| host.as_str()), uri.path());
                url.strip_prefix(start.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || start.ends_with('/'))
            }
        }
    }
}

/// Whether a request to this address tells of the trace.
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
            return Ok(Self::Everybody);
        }
        if text.contains("://") {
            let uri: Uri = text.parse().map_err(drop)?;
            let is_plain = matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none() && !text.contains('@');
            return if is_plain { Ok(Self::Prefix(text.to_owned())) } else { Err(()) };
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
            Self::Everybody => f.write_str("*"),
            Self::Host(text) | Self::Prefix(text) => f.write_str(text),
            Self::Subdomains(name) => write!(f, "*.{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_named_is_told() {
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
            ("[::1]", "http://[::1]:3000/", true),
        ];

        for (target, uri, expected) in rows {
            let (target, uri): (Target, Uri) = (target.parse().expect("a target"), uri.parse().expect("a URI"));
            assert_eq!(is_target(std::slice::from_ref(&target), &uri), expected, "{target} {uri}");
        }
        for wrong in ["", "a b", "stock/", "ftp://x/", "https://user@x/", "*.", "*x"] {
            assert_eq!(wrong.parse::<Target>(), Err(()), "{wrong}");
        }
    }
}
