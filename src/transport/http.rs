//! Sends envelopes over HTTP: one POST each, gzip, its own timeouts, no redirects.

use std::time::Duration;

use ::http::{HeaderValue, Uri, header};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};

use super::connect::Connector;
use super::response::RESPONSE_LIMIT;
use super::{BoxFuture, EnvelopeRequest, LONGEST_WAIT, Transport, TransportError, TransportResponse};
use crate::error::Error;

/// Sentry's servers close idle connections after five seconds, so close ours before that.
const IDLE: Duration = Duration::from_secs(4);

/// The transport to one server.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: Client<Connector, Full<Bytes>>,
    request_timeout: Duration,
    /// The credentials for a proxy that reads the requests.
    proxy_authorization: Option<HeaderValue>,
    /// Requests go through a proxy that reads them.
    by_proxy: bool,
}

impl Http {
    /// Creates the transport to the server of this URL.
    pub(crate) fn new(url: &Uri, connect_timeout: Duration, request_timeout: Duration) -> Result<Self, Error> {
        let connector = Connector::new(url, connect_timeout)?;
        let proxy_authorization = connector.proxy_authorization().cloned();
        let by_proxy = connector.forwards();
        let client =
            Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build::<_, Full<Bytes>>(connector);
        Ok(Self { client, request_timeout, proxy_authorization, by_proxy })
    }

    async fn exchange(&self, request: EnvelopeRequest) -> Result<TransportResponse, TransportError> {
        let Some(mut request) = request.into_http() else { return Err(TransportError::unreachable("there is no address")) };
        if let Some(authorization) = &self.proxy_authorization {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
        // `Duration::MAX` means no limit, but `Instant::now() + Duration::MAX` would panic.
        let deadline = Instant::now() + self.request_timeout.min(LONGEST_WAIT);
        let (head, mut body) = match timeout_at(deadline, self.client.request(request.map(Full::new))).await {
            Ok(Ok(response)) => response.into_parts(),
            Ok(Err(error)) if error.is_connect() => return Err(TransportError::unreachable(error)),
            Ok(Err(error)) => return Err(TransportError::interrupted(error)),
            Err(_) => return Err(TransportError::timed_out()),
        };
        // A proxy answers with these codes if it did not get an answer from the server.
        if self.by_proxy && matches!(head.status.as_u16(), 407 | 502 | 504) {
            return Err(TransportError::interrupted(format!("the proxy answered {}", head.status)));
        }
        let mut read = BytesMut::new();
        // A connection can be reused only after its response was read to the end. A response that
        // is too long is cut off together with its connection.
        while read.len() < RESPONSE_LIMIT
            && let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await
        {
            read.extend_from_slice(frame.data_ref().map_or(&[], Bytes::as_ref));
        }
        Ok(TransportResponse::new(head.status, head.headers, read))
    }
}

impl Transport for Http {
    fn send(&self, request: EnvelopeRequest) -> BoxFuture<'_, Result<TransportResponse, TransportError>> {
        Box::pin(self.exchange(request))
    }
}
