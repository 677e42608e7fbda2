//! Connections to the server: direct, or through the proxy from the environment.

use std::fmt;
use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{HeaderValue, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tower::Service;

use super::tls::Tls;
use crate::error::Error;
use crate::protocol::address;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Opens connections to one server.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    tls: Tls,
    way: Way,
    /// Limits the whole of connecting: TCP, the proxy's handshake and TLS.
    timeout: Duration,
}

/// How a server is reached.
#[derive(Clone)]
enum Way {
    Straight,
    /// A proxy that gets the absolute URL in each request; for servers without TLS.
    Forward(Intercept),
    /// A proxy that gets a `CONNECT` request, then only forwards bytes; for servers with TLS.
    Tunnel(Intercept),
    Socks {
        proxy: Intercept,
        /// Names are resolved here for `socks5`, and by the proxy for `socks5h`, as in curl.
        local_dns: bool,
    },
}

impl Connector {
    /// Creates a connector, with a proxy if the environment or the system configures one.
    ///
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`. On macOS and Windows the
    /// system's settings are the fallback. Loopback addresses are always reached directly.
    ///
    /// # Errors
    ///
    /// Returns an error if the proxy's URL is invalid, if its scheme is not supported, or if TLS
    /// cannot be set up.
    pub(super) fn new(server: &Uri, timeout: Duration) -> Result<Self, Error> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // The connector divides this timeout among the addresses of a host name. Without it, one
        // address that never answers would use up the whole `timeout`.
        tcp.set_connect_timeout(Some(timeout));
        let way = match proxy_for(server)? {
            Some(proxy) => Way::by(proxy, server)?,
            None => Way::Straight,
        };
        let uses_tls = server.scheme_str() == Some("https") || way.proxy().is_some_and(|proxy| proxy.uri().scheme_str() == Some("https"));
        Ok(Self { tcp, tls: Tls::new(uses_tls)?, way, timeout })
    }

    /// The credentials that a forwarding proxy expects in each request.
    pub(super) fn proxy_authorization(&self) -> Option<&HeaderValue> {
        match &self.way {
            Way::Forward(proxy) => proxy.basic_auth(),
            Way::Straight | Way::Tunnel(_) | Way::Socks { .. } => None,
        }
    }

    /// Whether requests go through a proxy that reads them and may answer instead of the server.
    pub(super) fn forwards(&self) -> bool {
        matches!(self.way, Way::Forward(_))
    }

    async fn connect(self, server: Uri) -> Result<Stream, BoxError> {
        let forwarded = self.forwards();
        let Self { tcp, tls, way, .. } = self;
        let io = match way {
            Way::Straight => open(tls.over(tcp), server).await?,
            Way::Forward(proxy) => open(tls.over(tcp), proxy.uri().clone()).await?,
            Way::Tunnel(proxy) => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), tls.over(tcp));
                if let Some(authorization) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(authorization.clone());
                }
                open(tls.over(tunnel), server).await?
            }
            Way::Socks { proxy, local_dns } => {
                // Either `targets` or the proxy resolves the name. With `local_dns(true)` the
                // library would resolve it and block the exporter's thread.
                let (host, port) = (proxy.uri().host().unwrap_or_default(), proxy.uri().port_u16().unwrap_or(1080));
                let mut socks = SocksV5::new(socks_uri(&format!("{host}:{port}"))?, tcp).local_dns(false);
                if let Some((user, password)) = proxy.raw_auth() {
                    socks = socks.with_auth(user.to_owned(), password.to_owned());
                }
                let mut refused = None;
                for to in targets(&server, local_dns).await? {
                    match open(tls.over(To { inner: socks.clone(), to }), server.clone()).await {
                        Ok(io) => return Ok(Stream { io, forwarded }),
                        Err(error) => refused = Some(error),
                    }
                }
                return Err(refused.unwrap_or_else(|| "its name has no address".into()));
            }
        };
        Ok(Stream { io, forwarded })
    }
}

impl Way {
    fn proxy(&self) -> Option<&Intercept> {
        match self {
            Self::Straight => None,
            Self::Forward(proxy) | Self::Tunnel(proxy) | Self::Socks { proxy, .. } => Some(proxy),
        }
    }

    fn by(proxy: Intercept, server: &Uri) -> Result<Self, Error> {
        Ok(match (proxy.uri().scheme_str(), server.scheme_str()) {
            (Some("socks5"), _) => Self::Socks { proxy, local_dns: true },
            (Some("socks5h"), _) => Self::Socks { proxy, local_dns: false },
            (Some("http"), Some("https")) => Self::Tunnel(proxy),
            (Some("http"), _) => Self::Forward(proxy),
            #[cfg(feature = "rustls")]
            (Some("https"), Some("https")) => Self::Tunnel(proxy),
            #[cfg(feature = "rustls")]
            (Some("https"), _) => Self::Forward(proxy),
            (scheme, _) => {
                let scheme = scheme.unwrap_or_default();
                return Err(Error::exporter(format!(
                    "the environment names a proxy with the scheme '{scheme}'; known are {KNOWN_PROXIES}"
                )));
            }
        })
    }
}

const KNOWN_PROXIES: &str = if cfg!(feature = "rustls") {
    "http, https, socks5 and socks5h"
} else {
    "http, socks5 and socks5h (https needs the feature `rustls`)"
};

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let (connecting, limit) = (self.clone().connect(server), self.timeout);
        Box::pin(async move {
            let timed_out = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
            tokio::time::timeout(limit, connecting).await.map_err(timed_out)?
        })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self.way {
            Way::Straight => "straight",
            Way::Forward(_) => "by a proxy that forwards",
            Way::Tunnel(_) => "by a proxy's tunnel",
            Way::Socks { .. } => "by a SOCKS proxy",
        };
        f.debug_struct("Connector").field("way", &way).finish_non_exhaustive()
    }
}

async fn open<S>(mut connector: S, to: Uri) -> Result<Box<dyn Io>, BoxError>
where
    S: Service<Uri, Response: Io + 'static, Error: Into<BoxError>>,
{
    poll_fn(|cx| connector.poll_ready(cx)).await.map_err(Into::into)?;
    Ok(Box::new(connector.call(to).await.map_err(Into::into)?))
}

/// Returns the targets to request from a SOCKS proxy.
///
/// These are addresses if names are resolved here, else the host name. Each has a port, because the
/// library replaces a missing one with that of `https`.
async fn targets(server: &Uri, local_dns: bool) -> Result<Vec<Uri>, BoxError> {
    let port = server.port_u16().unwrap_or_else(|| address::implied_port(server));
    let host = server.host().unwrap_or_default();
    if !local_dns {
        return Ok(vec![socks_uri(&format!("{host}:{port}"))?]);
    }
    let addresses = tokio::net::lookup_host((address::bare_host(server), port)).await?;
    addresses.map(|address| socks_uri(&address.to_string())).collect()
}

fn socks_uri(authority: &str) -> Result<Uri, BoxError> {
    Ok(Uri::builder().scheme("socks").authority(authority).path_and_query("/").build()?)
}

/// Connects to `to` instead of the URI it is called with.
///
/// The TLS layer above still gets that URI, because it verifies the server's name.
#[derive(Clone)]
struct To<S> {
    inner: S,
    to: Uri,
}

impl<S: Service<Uri>> Service<Uri> for To<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, _: Uri) -> S::Future {
        self.inner.call(self.to.clone())
    }
}

/// Returns the proxy that the environment configures for a server.
fn proxy_for(server: &Uri) -> Result<Option<Intercept>, Error> {
    let variable = |name: &str| {
        let value = std::env::var(name.to_ascii_uppercase()).or_else(|_| std::env::var(name)).ok()?;
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    if is_loopback(server) || variable("no_proxy").is_some_and(|hosts| hosts == "*") {
        return Ok(None);
    }
    let matcher = Matcher::from_system();
    if let Some(proxy) = matcher.intercept(server) {
        return Ok(Some(proxy));
    }
    // The matcher also returns `None` for a proxy URL it cannot read. Without this check, envelopes
    // would silently bypass the configured proxy.
    for name in [if server.scheme_str() == Some("https") { "https_proxy" } else { "http_proxy" }, "all_proxy"] {
        if let Some(value) = variable(name)
            && Matcher::builder().all(value).build().intercept(server).is_none()
        {
            return Err(Error::exporter(format!("the proxy that {} names cannot be read", name.to_ascii_uppercase())));
        }
    }
    Ok(None)
}

/// Whether a server is on this machine. It needs no proxy, and a proxy could not reach it.
fn is_loopback(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default();
    let address = address::bare_host(server).parse::<std::net::IpAddr>();
    address.map_or_else(|_| host == "localhost" || host.ends_with(".localhost"), |address| address.is_loopback())
}

trait Io: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> Io for T {}

/// A connection, direct or through a proxy.
pub(super) struct Stream {
    io: Box<dyn Io>,
    forwarded: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        // With `proxy(true)` the client sends absolute URLs, which a forwarding proxy needs.
        Connected::new().proxy(self.forwarded)
    }
}

impl Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_here_for_socks5_and_by_the_proxy_for_socks5h() {
        let server = Uri::from_static("https://sentry.test/1");
        for (url, expected) in [("socks5://proxy.test:1080", true), ("socks5h://proxy.test:1080", false)] {
            let proxy = Matcher::builder().all(url).build().intercept(&server).expect("a proxy for all");
            let way = Way::by(proxy, &server).expect("a proxy of a known kind");
            assert!(matches!(way, Way::Socks { local_dns, .. } if local_dns == expected), "{url}");
        }
    }

    #[tokio::test]
    async fn a_socks_proxy_is_told_the_port_that_the_scheme_implies() {
        for (server, expected) in [
            ("http://sentry.test/1", "socks://sentry.test:80/"),
            ("https://sentry.test/1", "socks://sentry.test:443/"),
            ("http://sentry.test:9000/1", "socks://sentry.test:9000/"),
            ("http://[2001:db8::1]/1", "socks://[2001:db8::1]:80/"),
        ] {
            let found = targets(&Uri::from_static(server), false).await.expect("a target");
            assert_eq!(found, [expected]);
        }
        let by_address = targets(&Uri::from_static("http://localhost/1"), true).await.expect("the name has an address");
        assert!(by_address.iter().all(|to| ["socks://127.0.0.1:80/", "socks://[::1]:80/"].contains(&&*to.to_string())), "{by_address:?}");
    }
}
