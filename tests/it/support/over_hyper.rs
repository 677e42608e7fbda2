//! A transport of one's own, over hyper: what a service has that uses this crate without reqwest.

use http_body_util::{BodyExt as _, Collected, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower_sentry::transport::{BoxFuture, EnvelopeRequest, Transport, TransportError, TransportResponse};

pub struct OverHyper {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl OverHyper {
    pub fn new() -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http() }
    }
}

impl Transport for OverHyper {
    fn send(&self, request: EnvelopeRequest) -> BoxFuture<'_, Result<TransportResponse, TransportError>> {
        Box::pin(async move {
            let request = request.into_http().unwrap().map(Full::new);
            let response = self.client.request(request).await.map_err(|error| {
                if error.is_connect() { TransportError::unreachable(error) } else { TransportError::interrupted(error) }
            })?;
            let (head, body) = response.into_parts();
            // The answer counts even if its body breaks off.
            let body = Limited::new(body, 64 * 1024).collect().await.map(Collected::to_bytes).unwrap_or_default();
            Ok(TransportResponse::new(head.status, head.headers, body))
        })
    }
}
