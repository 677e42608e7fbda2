//! Envelopes over HTTP: one POST each, gzip, own timeouts, no redirects.

use std::io::Write as _;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, StatusCode, header};
use flate2::Compression;
use flate2::write::GzEncoder;
use url::{Host, Url};

use crate::error::Error;
use crate::protocol::Dsn;
use crate::redaction::{Redacted, SealedEnvelope};

/// Below this, compression costs more than it saves.
const COMPRESS_FROM: usize = 1024;
/// A server's answer is a few bytes; what is longer is cut off together with its connection.
const RESPONSE_LIMIT: usize = 64 * 1024;
/// Sentry's servers close idle connections after five seconds.
const IDLE: Duration = Duration::from_secs(4);

const AGENT: &str = concat!("tower.sentry/", env!("CARGO_PKG_VERSION"));

/// One destination.
#[derive(Clone, Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    url: Url,
    headers: HeaderMap,
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// There was an answer.
    Answered { status: StatusCode, headers: HeaderMap },
    /// There was none: refused, reset, timed out, no such host, TLS.
    Unreachable(String),
    /// It failed on this side.
    Failed(String),
}

impl Http {
    /// A project's server.
    pub(super) fn to_project(dsn: &Dsn, connect_timeout: Duration, request_timeout: Duration) -> Result<Self, Error> {
        let auth =
            format!("Sentry sentry_version=7, sentry_client=tower-sentry/{}, sentry_key={}", env!("CARGO_PKG_VERSION"), dsn.public_key());
        let mut auth =
            HeaderValue::try_from(auth).map_err(|_| Error::dsn("the DSN's public key holds characters that no header can carry"))?;
        auth.set_sensitive(true);
        let mut http = Self::to_url(dsn.envelope_url().clone(), connect_timeout, request_timeout)?;
        http.headers.insert("x-sentry-auth", auth);
        Ok(http)
    }

    /// A development server that asks for no key.
    pub(super) fn to_url(url: Url, connect_timeout: Duration, request_timeout: Duration) -> Result<Self, Error> {
        let mut builder = reqwest::Client::builder()
            .user_agent(AGENT)
            .connect_timeout(connect_timeout)
            .timeout(request_timeout)
            .pool_idle_timeout(IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never());
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        let client = with_tls(builder)?.build().map_err(|error| Error::exporter(format!("the HTTP client could not be built: {error}")))?;
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/x-sentry-envelope"))]);
        Ok(Self { client, url, headers })
    }

    /// Sends one envelope. The timeouts bound the whole of it.
    pub(super) async fn send(&self, body: Vec<u8>, compressed: bool) -> Outcome {
        let mut headers = self.headers.clone();
        if compressed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let request = self.client.post(self.url.clone()).headers(headers).body(body);
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_builder() => return Outcome::Failed(error.without_url().to_string()),
            Err(error) => return Outcome::Unreachable(reason(&error.without_url())),
        };
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut left = RESPONSE_LIMIT;
        // Reading to the end is what lets the connection be used again.
        while let Ok(Some(chunk)) = response.chunk().await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
        Outcome::Answered { status, headers }
    }
}

/// The bytes of an attempt at `now`, and whether they are compressed.
pub(super) fn encode(envelope: &mut Redacted<SealedEnvelope>, now: std::time::SystemTime) -> (Vec<u8>, bool) {
    let bytes = envelope.bytes_at(now);
    if bytes.len() < COMPRESS_FROM {
        return (bytes.to_vec(), false);
    }
    // Level 1 takes about half of level 6's time for a tenth more bytes.
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::fast());
    match encoder.write_all(bytes).and_then(|()| encoder.finish()) {
        Ok(compressed) => (compressed, true),
        // Writing to memory does not fail; if it did, plain bytes are as good.
        Err(_) => (bytes.to_vec(), false),
    }
}

/// The innermost cause: reqwest's own text says only that sending failed.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    if error.is_timeout() { "timed out".to_owned() } else { cause.to_string() }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(feature = "rustls")]
fn with_tls(builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, Error> {
    use std::sync::Arc;

    // The provider is given here and not installed for the process: that choice is the application's.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(rustls_platform_verifier::BuilderVerifierExt::with_platform_verifier)
        .map_err(|error| Error::exporter(format!("TLS could not be set up: {error}")))?
        .with_no_client_auth();
    Ok(builder.tls_backend_preconfigured(config))
}

#[cfg(not(feature = "rustls"))]
#[expect(clippy::unnecessary_wraps, reason = "the twin with TLS can fail")]
fn with_tls(builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, Error> {
    Ok(builder)
}
