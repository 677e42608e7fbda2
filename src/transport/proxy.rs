//! The way to a server: direct, or through the proxy from the settings or the environment.

use ::http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use crate::error::Error;
use crate::protocol::address;

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Direct,
    /// Through the proxy with this URL, which has no user and no password.
    Proxy(Uri),
}

impl Way {
    pub(super) fn proxy(&self) -> Option<&Uri> {
        match self {
            Self::Direct => None,
            Self::Proxy(proxy) => Some(proxy),
        }
    }

    /// Whether a proxy reads the requests and may answer instead of the server.
    ///
    /// For a server with TLS, a proxy only forwards bytes. So does a SOCKS proxy.
    pub(super) fn is_forwarded(&self, server: &Uri) -> bool {
        let is_http = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https"));
        server.scheme_str() == Some("http") && self.proxy().is_some_and(is_http)
    }
}

/// Finds the way to a server.
///
/// Loopback addresses are always reached directly. `setting` replaces the environment: `HTTP_PROXY`,
/// `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, and on macOS and Windows the system's settings.
///
/// # Errors
///
/// Returns an error if the proxy's URL is invalid, or if its scheme is not supported.
pub(super) fn find(server: &Uri, setting: Option<&str>) -> Result<Way, Error> {
    if is_loopback(server) {
        return Ok(Way::Direct);
    }
    if let Some(text) = setting {
        if text.trim().is_empty() {
            return Ok(Way::Direct);
        }
        let found = Matcher::builder().all(text.trim()).build().intercept(server);
        return found.map_or_else(|| Err(unreadable("proxy")), |proxy| by("proxy", proxy.uri()));
    }
    if variable("no_proxy").is_some_and(|(_, hosts)| hosts == "*") {
        return Ok(Way::Direct);
    }
    let specific = if server.scheme_str() == Some("https") { "https_proxy" } else { "http_proxy" };
    let named: Vec<_> = [specific, "all_proxy"].into_iter().filter_map(variable).collect();
    if let Some(proxy) = Matcher::from_system().intercept(server) {
        return by(named.first().map_or("the system's proxy", |(name, _)| name), proxy.uri());
    }
    // The matcher also returns `None` for a proxy URL it cannot read. Without this check, envelopes
    // would silently bypass the configured proxy.
    let is_unreadable = |value: &String| Matcher::builder().all(value).build().intercept(server).is_none();
    match named.iter().find(|(_, value)| is_unreadable(value)) {
        Some((name, _)) => Err(unreadable(name)),
        None => Ok(Way::Direct),
    }
}

/// Returns the value of a variable that is set and not blank, with its name in upper case.
fn variable(name: &str) -> Option<(String, String)> {
    let upper = name.to_ascii_uppercase();
    let value = std::env::var(&upper).or_else(|_| std::env::var(name)).ok()?.trim().to_owned();
    (!value.is_empty()).then_some((upper, value))
}

/// The way through a proxy whose URL could be read.
fn by(name: &str, proxy: &Uri) -> Result<Way, Error> {
    let is_known = match proxy.scheme_str() {
        Some("https") => cfg!(feature = "rustls"),
        scheme => matches!(scheme, Some("http" | "socks5" | "socks5h")),
    };
    if !is_known {
        let scheme = proxy.scheme_str().unwrap_or_default();
        return Err(Error::setting(format!("{name}: {EXPECTED}, found the scheme '{scheme}'")));
    }
    // The HTTP client would use the default port instead of one that it cannot read.
    if !address::has_readable_port(proxy) {
        return Err(Error::setting(format!("{name}: {EXPECTED}, found a port that is not a number up to 65535")));
    }
    Ok(Way::Proxy(proxy.clone()))
}

/// The error for a proxy URL that cannot be read. The URL may contain a password.
pub(super) fn unreadable(name: &str) -> Error {
    Error::setting(format!("{name}: {EXPECTED}, found something else"))
}

const EXPECTED: &str = if cfg!(feature = "rustls") {
    "expected a proxy's URL with the scheme http, https, socks5 or socks5h"
} else {
    "expected a proxy's URL with the scheme http, socks5 or socks5h (https needs the feature `rustls`)"
};

/// Whether a server is on this machine. It needs no proxy, and a proxy could not reach it.
fn is_loopback(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default();
    // An IPv6 address has brackets.
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    address.map_or_else(|_| host == "localhost" || host.ends_with(".localhost"), |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(server: &'static str, proxy: &str) -> Result<Way, Error> {
        find(&Uri::from_static(server), Some(proxy))
    }

    #[test]
    fn a_setting_names_the_proxy_of_every_server_but_those_of_this_machine() {
        let server = "http://sentry.test/1";
        let by = |url: &'static str| Way::Proxy(Uri::from_static(url));

        for (text, expected) in [
            ("http://me:pa55@proxy.test:3128", by("http://proxy.test:3128/")),
            (" proxy.test:3128 ", by("http://proxy.test:3128/")),
            ("socks5h://proxy.test", by("socks5h://proxy.test/")),
            ("", Way::Direct),
        ] {
            assert_eq!(found(server, text).expect("a proxy that can be read"), expected, "{text}");
        }
        for local in ["http://127.0.0.1:8969/stream", "http://[::1]/1", "http://localhost/1", "https://sentry.localhost/1"] {
            assert_eq!(found(local, "http://proxy.test:3128").expect("no proxy is needed"), Way::Direct, "{local}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_without_its_password() {
        for text in [
            "http://",
            "://",
            "http://me:pa55@proxy.test:99999",
            "http://me:pa55@proxy.test:http",
            "socks4://me:pa55@proxy.test",
            "ftp://proxy.test",
        ] {
            let error = found("https://sentry.test/1", text).expect_err(text).to_string();
            assert!(error.starts_with("proxy: expected a proxy's URL") && !error.contains("pa55"), "{error}");
        }
    }

    #[test]
    fn only_a_proxy_that_reads_requests_answers_for_the_server() {
        for (server, proxy, expected) in [
            ("http://sentry.test/1", "http://proxy.test", true),
            ("https://sentry.test/1", "http://proxy.test", false),
            ("http://sentry.test/1", "socks5h://proxy.test", false),
            ("http://localhost/1", "http://proxy.test", false),
        ] {
            let way = found(server, proxy).expect("a proxy that can be read");
            assert_eq!(way.is_forwarded(&Uri::from_static(server)), expected, "{server} {proxy}");
        }
    }
}
