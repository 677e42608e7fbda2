//! Sends envelopes over HTTP with reqwest: one POST each, its own timeouts, no redirects.

use std::sync::OnceLock;
use std::time::Duration;

use ::http::{HeaderMap, Uri};
use bytes::BytesMut;
use reqwest::{Client, ClientBuilder, Method, Proxy, Request, Url, redirect, retry};
use tokio::time::{Instant, timeout, timeout_at};

use super::proxy::{self, Way};
use super::response::RESPONSE_LIMIT;
use super::settings::HttpSettings;
use super::{BoxFuture, EnvelopeRequest, LONGEST_WAIT, Transport, TransportError, TransportResponse};
use crate::error::Error;
use crate::unwind;

/// Sentry's servers close idle connections after five seconds, so close ours before that.
const IDLE: Duration = Duration::from_secs(4);
/// An answer may begin this much later for each part of an envelope: a slow line must carry it first.
const PER_PART: Duration = Duration::from_secs(1);
const PART: usize = 64 * 1024;

/// The transport to one server.
#[derive(Debug)]
pub(crate) struct Http {
    server: Uri,
    /// The same, parsed once: parsing takes 7,000 instructions, and the address never changes.
    url: Url,
    way: Way,
    settings: HttpSettings,
    clients: OnceLock<Clients>,
    request_timeout: Duration,
    first_byte_timeout: Duration,
    /// Status codes that come from a proxy, and not from the server.
    of_proxy: &'static [u16],
}

#[derive(Debug)]
struct Clients {
    pooled: Client,
    /// Opens a connection for each request.
    unpooled: Client,
}

impl Http {
    /// Creates the transport to the server of this URL.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL or the proxy's URL is invalid.
    pub(crate) fn new(url: &Uri, settings: &HttpSettings) -> Result<Self, Error> {
        let address = Url::parse(&url.to_string()).map_err(|error| Error::exporter("the server's address is invalid").caused_by(error))?;
        let way = if settings.client.is_some() { Way::Direct } else { proxy::find(url, settings.proxy.as_deref())? };
        let of_proxy: &[u16] = if settings.client.is_none() && way.is_forwarded(url) {
            // A forwarding proxy answers with these codes if it did not get an answer from the server.
            &[407, 502, 504]
        } else if settings.client.is_some() {
            // Only a proxy answers with 407. Other codes could be the server's.
            &[407]
        } else {
            &[]
        };
        Ok(Self {
            server: url.clone(),
            url: address,
            way,
            settings: settings.clone(),
            clients: OnceLock::new(),
            request_timeout: settings.request_timeout.min(LONGEST_WAIT),
            first_byte_timeout: settings.first_byte_timeout.min(LONGEST_WAIT),
            of_proxy,
        })
    }

    /// Reads certificates and sets up the HTTP client. Sending does this too.
    ///
    /// # Errors
    ///
    /// Returns an error if that fails. It may succeed later: there may be no file descriptors.
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        self.clients().map(|_| ())
    }

    fn clients(&self) -> Result<&Clients, Error> {
        if let Some(clients) = self.clients.get() {
            return Ok(clients);
        }
        let clients = match &self.settings.client {
            // How it treats its connections is its own affair.
            Some(own) => Clients { pooled: own.clone(), unpooled: own.clone() },
            None => clients(&self.server, &self.way, &self.settings)?,
        };
        Ok(self.clients.get_or_init(|| clients))
    }

    /// Checks what [`new`](Self::new) needs, without reading certificates.
    pub(crate) fn check(url: &Uri, settings: &HttpSettings) -> Result<(), Error> {
        if settings.client.is_none() {
            proxy::find(url, settings.proxy.as_deref())?;
        }
        Ok(())
    }

    /// Checks that TLS can be set up, if the server or its proxy needs it.
    ///
    /// # Errors
    ///
    /// Returns an error if there are no root certificates. Without file descriptors they cannot be
    /// read; that ends, so it is not an error.
    #[cfg_attr(not(feature = "rustls"), expect(unused_variables, clippy::unnecessary_wraps, reason = "this build has no TLS"))]
    pub(crate) fn check_tls(url: &Uri, settings: &HttpSettings) -> Result<(), Error> {
        #[cfg(feature = "rustls")]
        if settings.client.is_none() {
            let checked = super::tls::config(needs_tls(url, &proxy::find(url, settings.proxy.as_deref())?), &settings.certificates);
            return checked.map(drop).or_else(|error| if has_file_descriptors() { Err(error) } else { Ok(()) });
        }
        Ok(())
    }

    /// The reason why this build cannot send to the URL.
    pub(crate) fn lacks(url: &Uri, settings: &HttpSettings) -> Option<&'static str> {
        let needs_tls = url.scheme_str() == Some("https") && settings.client.is_none();
        (needs_tls && cfg!(not(feature = "rustls"))).then_some("an https address needs the feature `rustls` of tower-sentry")
    }

    async fn exchange(&self, envelope: EnvelopeRequest) -> Result<TransportResponse, TransportError> {
        let is_new = envelope.needs_new_connection();
        let first_byte_timeout = self.first_byte_timeout + PER_PART * u32::try_from(envelope.body().len() / PART).unwrap_or(u32::MAX);
        let (headers, body) = envelope.into_parts();
        self.post(headers, body.into(), is_new, first_byte_timeout).await
    }

    /// Sends a body that is still arriving, over any connection. Its sender ends it; the caller limits the time.
    #[cfg(feature = "browser")]
    pub(crate) async fn stream(&self, headers: HeaderMap, body: reqwest::Body) -> Result<TransportResponse, TransportError> {
        self.post(headers, body, false, LONGEST_WAIT).await
    }

    async fn post(
        &self,
        headers: HeaderMap,
        body: reqwest::Body,
        is_new: bool,
        first_byte_timeout: Duration,
    ) -> Result<TransportResponse, TransportError> {
        let clients = self.clients().map_err(TransportError::unreachable)?;
        let client = if is_new { &clients.unpooled } else { &clients.pooled };
        let mut request = Request::new(Method::POST, self.url.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body);
        // The exporter limits the whole request. An answer must not be lost to its body, so reading
        // the body ends just before that.
        let deadline = Instant::now() + self.request_timeout;
        let answer = timeout(first_byte_timeout, client.execute(request)).await;
        let mut response = answer.map_err(|_| TransportError::timed_out())?.map_err(failed)?;
        let status = response.status();
        if self.of_proxy.contains(&status.as_u16()) {
            return Err(TransportError::interrupted(format!("the proxy answered {status}")));
        }
        let mut body = BytesMut::new();
        // A connection can be reused only after its response was read to the end. A response that
        // is too long is cut off together with its connection.
        while body.len() < RESPONSE_LIMIT
            && let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await
        {
            body.extend_from_slice(&chunk);
        }
        Ok(TransportResponse::new(status, std::mem::take(response.headers_mut()), body))
    }
}

impl Transport for Http {
    fn send(&self, request: EnvelopeRequest) -> BoxFuture<'_, Result<TransportResponse, TransportError>> {
        Box::pin(self.exchange(request))
    }

    fn accepts_gzip(&self) -> bool {
        self.settings.compression
    }
}

#[cfg_attr(not(feature = "rustls"), expect(unused_variables, reason = "only TLS depends on the server"))]
fn clients(url: &Uri, way: &Way, settings: &HttpSettings) -> Result<Clients, Error> {
    #[cfg(feature = "rustls")]
    let tls = super::tls::config(needs_tls(url, way), &settings.certificates)?;
    let build = |idle| {
        let builder = builder(way, settings)?.pool_max_idle_per_host(idle);
        #[cfg(feature = "rustls")]
        let builder = builder.tls_backend_preconfigured(tls.clone());
        // reqwest panics if another crate gave it rustls without a provider.
        match unwind::catch(|| builder.build()) {
            Some(built) => built.map_err(|error| Error::exporter("the HTTP client could not be set up").caused_by(error)),
            None => Err(Error::exporter("the HTTP client has no TLS provider; the feature `rustls` of tower-sentry brings one")),
        }
    };
    Ok(Clients { pooled: build(usize::MAX)?, unpooled: build(0)? })
}

#[cfg(feature = "rustls")]
fn needs_tls(url: &Uri, way: &Way) -> bool {
    url.scheme_str() == Some("https") || way.proxy().is_some_and(|proxy| proxy.scheme_str() == Some("https"))
}

/// Whether this process can open a file now.
#[cfg(feature = "rustls")]
fn has_file_descriptors() -> bool {
    /// `ENFILE` and `EMFILE`.
    const NONE_LEFT: [i32; 2] = [23, 24];
    let opened = std::env::current_exe().and_then(std::fs::File::open);
    opened.err().and_then(|error| error.raw_os_error()).is_none_or(|code| !NONE_LEFT.contains(&code))
}

fn builder(way: &Way, settings: &HttpSettings) -> Result<ClientBuilder, Error> {
    let builder = Client::builder()
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(IDLE)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        // Other crates of the application may switch these on in reqwest.
        .http1_only()
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate();
    Ok(match (way, settings.proxy.as_deref()) {
        (Way::Direct, _) => builder.no_proxy(),
        (Way::Proxy(_), Some(proxy)) => builder.proxy(Proxy::all(proxy.trim()).map_err(|_| proxy::unreadable("proxy"))?),
        // reqwest reads the environment as `proxy::find` does.
        (Way::Proxy(_), None) => builder,
    })
}

fn failed(error: reqwest::Error) -> TransportError {
    if error.is_timeout() && !error.is_connect() {
        return TransportError::timed_out();
    }
    let is_interrupted = error.is_request() && !error.is_connect();
    let error = error.without_url();
    if is_interrupted { TransportError::interrupted(error) } else { TransportError::unreachable(error) }
}
