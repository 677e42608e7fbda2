//! Connections: straight to the server, or by the proxy the environment names.

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

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Opens connections to one server.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    tls: Tls,
    way: Way,
    /// For all of it: the proxy's and the TLS handshakes too.
    timeout: Duration,
}

/// How a server is reached.
#[derive(Clone)]
enum Way {
    Straight,
    /// A proxy that is asked for the whole URL; for servers without TLS.
    Forward(Intercept),
    /// A proxy that is told `CONNECT`, then sees bytes only; for servers with TLS.
    Tunnel(Intercept),
    Socks {
        proxy: Intercept,
        /// `socks5` looks names up here, `socks5h` leaves that to the proxy: as curl has it.
        local_dns: bool,
    },
}

impl Connector {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` as curl does, on macOS and Windows the system's settings after them. Loopback
    /// addresses are reached straight. A proxy of another kind is an error.
    pub(super) fn new(server: &Uri, timeout: Duration) -> Result<Self, Error> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Shared by the addresses of a name: one that is a black hole must not use it up.
        tcp.set_connect_timeout(Some(timeout));
        let proxy = if is_loopback(server) { None } else { Matcher::from_system().intercept(server) };
        let way = match proxy {
            Some(proxy) => Way::by(proxy, server)?,
            None => Way::Straight,
        };
        Ok(Self { tcp, tls: Tls::new()?, way, timeout })
    }

    /// What a proxy that forwards wants to read in each request.
    pub(super) fn proxy_authorization(&self) -> Option<&HeaderValue> {
        match &self.way {
            Way::Forward(proxy) => proxy.basic_auth(),
            Way::Straight | Way::Tunnel(_) | Way::Socks { .. } => None,
        }
    }

    async fn connect(self, server: Uri) -> Result<Stream, BoxError> {
        let Self { tcp, tls, way, .. } = self;
        let forwarded = matches!(way, Way::Forward(_));
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
                let mut socks = SocksV5::new(proxy.uri().clone(), tcp).local_dns(local_dns);
                if let Some((user, password)) = proxy.raw_auth() {
                    socks = socks.with_auth(user.to_owned(), password.to_owned());
                }
                open(tls.over(socks), server).await?
            }
        };
        Ok(Stream { io, forwarded })
    }
}

impl Way {
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

/// Whether a server is on this machine, where no proxy is needed and none would find it.
fn is_loopback(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    address.map_or_else(|_| host == "localhost" || host.ends_with(".localhost"), |address| address.is_loopback())
}

trait Io: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> Io for T {}

/// A connection, whatever it goes by.
pub(super) struct Stream {
    io: Box<dyn Io>,
    forwarded: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        // What makes the client ask for whole URLs.
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
