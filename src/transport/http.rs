//! Sends envelopes over HTTP: one POST each, gzip, its own timeouts, no redirects.

use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};

use super::LONGEST_WAIT;
use super::connect::Connector;
use crate::error::Error;
use crate::protocol::Dsn;

/// A server's answer has only a few bytes. A longer one is cut off together with its connection.
const RESPONSE_LIMIT: usize = 64 * 1024;
/// Sentry's servers close idle connections after five seconds, so close ours before that.
const IDLE: Duration = Duration::from_secs(4);

const TIMED_OUT: &str = "timed out";
const AGENT: &str = concat!("tower.sentry/", env!("CARGO_PKG_VERSION"));

/// One destination.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: Client<Connector, Full<Bytes>>,
    url: Uri,
    headers: HeaderMap,
    request_timeout: Duration,
    /// Requests go through a proxy that reads them.
    by_proxy: bool,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The server answered.
    Answered { status: StatusCode, headers: HeaderMap },
    /// No connection or no answer in time: refused, timed out, unknown host, TLS error.
    Unreachable(String),
    /// The connection was made, but no answer of the server came: it hung up, or a proxy reported
    /// an error.
    Unanswered(String),
}

impl Http {
    /// Creates the destination for a project's server.
    pub(crate) fn to_project(dsn: &Dsn, connect_timeout: Duration, request_timeout: Duration) -> Result<Self, Error> {
        let auth =
            format!("Sentry sentry_version=7, sentry_client=tower-sentry/{}, sentry_key={}", env!("CARGO_PKG_VERSION"), dsn.public_key());
        let mut auth =
            HeaderValue::try_from(auth).map_err(|_| Error::dsn("the DSN's public key holds characters that no header can carry"))?;
        auth.set_sensitive(true);
        let mut http = Self::to_url(dsn.envelope_url().clone(), connect_timeout, request_timeout)?;
        http.headers.insert("x-sentry-auth", auth);
        Ok(http)
    }

    /// Creates the destination for a development server, which needs no key.
    pub(crate) fn to_url(url: Uri, connect_timeout: Duration, request_timeout: Duration) -> Result<Self, Error> {
        let connector = Connector::new(&url, connect_timeout)?;
        let mut headers = HeaderMap::from_iter([
            (header::CONTENT_TYPE, HeaderValue::from_static("application/x-sentry-envelope")),
            (header::USER_AGENT, HeaderValue::from_static(AGENT)),
        ]);
        if let Some(authorization) = connector.proxy_authorization() {
            headers.insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
        let by_proxy = connector.forwards();
        let client =
            Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build::<_, Full<Bytes>>(connector);
        Ok(Self { client, url, headers, request_timeout, by_proxy })
    }

    /// Sends one envelope. The request timeout limits the whole exchange.
    pub(crate) async fn send(&self, body: Vec<u8>, compressed: bool) -> Outcome {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        request.uri_mut().clone_from(&self.url);
        request.headers_mut().clone_from(&self.headers);
        if compressed {
            request.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        // `Duration::MAX` means no limit, but `Instant::now() + Duration::MAX` would panic.
        let deadline = Instant::now() + self.request_timeout.min(LONGEST_WAIT);
        let (head, mut body) = match timeout_at(deadline, self.client.request(request)).await {
            Ok(Ok(response)) => response.into_parts(),
            Ok(Err(error)) if error.is_connect() => return Outcome::Unreachable(reason(&error)),
            Ok(Err(error)) => return Outcome::Unanswered(reason(&error)),
            Err(_) => return Outcome::Unreachable(TIMED_OUT.to_owned()),
        };
        // A proxy answers with these codes if it did not get an answer from the server.
        if self.by_proxy && matches!(head.status.as_u16(), 407 | 502 | 504) {
            return Outcome::Unanswered(format!("the proxy answered {}", head.status));
        }
        let mut left = RESPONSE_LIMIT;
        // A connection can be reused only after its response was read to the end.
        while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => break,
            }
        }
        Outcome::Answered { status: head.status, headers: head.headers }
    }
}

/// Returns the innermost cause.
///
/// The client's own text says only that connecting or sending failed.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    match cause.downcast_ref::<std::io::Error>() {
        Some(error) if error.kind() == std::io::ErrorKind::TimedOut => TIMED_OUT.to_owned(),
        _ => cause.to_string(),
    }
}
