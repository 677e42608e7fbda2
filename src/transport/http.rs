//! Sends envelopes over HTTP with reqwest: one POST each, its own timeouts, no redirects.

use std::time::Duration;

use ::http::Uri;
use bytes::BytesMut;
use reqwest::{Client, Method, Proxy, Request, Url, redirect, retry};
use tokio::time::{Instant, timeout_at};

use super::proxy::{self, Way};
use super::response::RESPONSE_LIMIT;
use super::settings::HttpSettings;
use super::{BoxFuture, EnvelopeRequest, LONGEST_WAIT, Transport, TransportError, TransportResponse};
use crate::error::Error;
use crate::unwind;

/// Sentry's servers close idle connections after five seconds, so close ours before that.
const IDLE: Duration = Duration::from_secs(4);

/// The transport to one server.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: Client,
    /// Parsed once: parsing takes 7,000 instructions, and the address never changes.
    url: Url,
    request_timeout: Duration,
    /// Status codes that come from a proxy, and not from the server.
    of_proxy: &'static [u16],
}

impl Http {
    /// Creates the transport to the server of this URL.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL or the proxy's URL is invalid, or if TLS cannot be set up.
    pub(crate) fn new(url: &Uri, settings: &HttpSettings) -> Result<Self, Error> {
        let address = Url::parse(&url.to_string()).map_err(|error| Error::exporter("the server's address is invalid").caused_by(error))?;
        let request_timeout = settings.request_timeout.min(LONGEST_WAIT);
        if let Some(client) = &settings.client {
            // Only a proxy answers with 407. Other codes could be the server's.
            return Ok(Self { client: client.clone(), url: address, request_timeout, of_proxy: &[407] });
        }
        let way = proxy::find(url, settings.proxy.as_deref())?;
        // A forwarding proxy answers with these codes if it did not get an answer from the server.
        let of_proxy: &[u16] = if way.is_forwarded(url) { &[407, 502, 504] } else { &[] };
        Ok(Self { client: client(url, &way, settings)?, url: address, request_timeout, of_proxy })
    }

    /// Checks what [`new`](Self::new) needs, without reading certificates.
    pub(crate) fn check(url: &Uri, settings: &HttpSettings) -> Result<(), Error> {
        if settings.client.is_none() {
            proxy::find(url, settings.proxy.as_deref())?;
        }
        Ok(())
    }

    /// The reason why this build cannot send to the URL.
    pub(crate) fn lacks(url: &Uri, settings: &HttpSettings) -> Option<&'static str> {
        let needs_tls = url.scheme_str() == Some("https") && settings.client.is_none();
        (needs_tls && cfg!(not(feature = "rustls"))).then_some("an https address needs the feature `rustls` of tower-sentry")
    }

    async fn exchange(&self, envelope: EnvelopeRequest) -> Result<TransportResponse, TransportError> {
        let (headers, body) = envelope.into_parts();
        let mut request = Request::new(Method::POST, self.url.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        // The exporter limits the whole request. An answer must not be lost to its body, so reading
        // the body ends just before that.
        let deadline = Instant::now() + self.request_timeout;
        let mut response = self.client.execute(request).await.map_err(failed)?;
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
}

#[cfg_attr(not(feature = "rustls"), expect(unused_variables, reason = "only TLS depends on the server"))]
fn client(url: &Uri, way: &Way, settings: &HttpSettings) -> Result<Client, Error> {
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
    let builder = match (way, settings.proxy.as_deref()) {
        (Way::Direct, _) => builder.no_proxy(),
        (Way::Proxy(_), Some(proxy)) => builder.proxy(Proxy::all(proxy.trim()).map_err(|_| proxy::unreadable("proxy"))?),
        // reqwest reads the environment as `proxy::find` does.
        (Way::Proxy(_), None) => builder,
    };
    #[cfg(feature = "rustls")]
    let builder = {
        let uses_tls = url.scheme_str() == Some("https") || way.proxy().is_some_and(|proxy| proxy.scheme_str() == Some("https"));
        builder.tls_backend_preconfigured(super::tls::config(uses_tls, &settings.certificates)?)
    };
    // reqwest panics if another crate gave it rustls without a provider.
    match unwind::catch(|| builder.build()) {
        Some(built) => built.map_err(|error| Error::exporter("the HTTP client could not be set up").caused_by(error)),
        None => Err(Error::exporter("the HTTP client has no TLS provider; the feature `rustls` of tower-sentry brings one")),
    }
}

fn failed(error: reqwest::Error) -> TransportError {
    if error.is_timeout() {
        return TransportError::timed_out();
    }
    let is_interrupted = error.is_request() && !error.is_connect();
    let error = error.without_url();
    if is_interrupted { TransportError::interrupted(error) } else { TransportError::unreachable(error) }
}
