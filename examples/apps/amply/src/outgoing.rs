//! Requests to other services: each is a span, and only listed hosts get the headers of the trace.

use std::fmt;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{self, Method, Request, StatusCode};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as SendError};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tower::{Layer as _, ServiceExt as _};
use tower_sentry::outgoing::{OutgoingLayer, OutgoingService};

/// The most bytes of an answer.
const LONGEST: usize = 64 * 1024;

/// An HTTP client whose requests are recorded. Clones share its connections.
#[derive(Clone)]
pub struct Http {
    client: OutgoingService<Client<HttpConnector, Body>>,
    timeout: Duration,
}

impl Http {
    /// An answer must have arrived as a whole within `timeout`.
    pub fn new(timeout: Duration) -> Self {
        Self { client: OutgoingLayer::new().layer(Client::builder(TokioExecutor::new()).build_http()), timeout }
    }

    pub async fn get(&self, url: &str) -> Result<Value, CallError> {
        self.send(Request::get(url).body(Body::empty())?).await
    }

    pub async fn send_json(&self, method: Method, url: &str, body: &Value) -> Result<Value, CallError> {
        let request = Request::builder().method(method).uri(url).header(CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string()))?).await
    }

    async fn send(&self, request: Request<Body>) -> Result<Value, CallError> {
        let exchange = async {
            let response = self.client.clone().oneshot(request).await?;
            let status = response.status();
            Ok::<_, CallError>((status, to_bytes(Body::new(response.into_body()), LONGEST).await?))
        };
        let (status, body) = tokio::time::timeout(self.timeout, exchange).await.map_err(|_| CallError::Timeout)??;
        if status.is_success() { Ok(serde_json::from_slice(&body)?) } else { Err(CallError::Status(status)) }
    }
}

/// Why another service has no answer for us.
#[derive(Debug)]
pub enum CallError {
    Address(http::Error),
    Connection(SendError),
    Body(axum::Error),
    Format(serde_json::Error),
    Status(StatusCode),
    Timeout,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(_) => f.write_str("the address is not valid"),
            Self::Connection(_) => f.write_str("the other service cannot be reached"),
            Self::Body(_) => f.write_str("the answer ended too early, or is too long"),
            Self::Format(_) => f.write_str("the answer is not JSON"),
            Self::Status(status) => write!(f, "the other service answered {status}"),
            Self::Timeout => f.write_str("the other service did not answer in time"),
        }
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address(error) => Some(error),
            Self::Connection(error) => Some(error),
            Self::Body(error) => Some(error),
            Self::Format(error) => Some(error),
            Self::Status(_) | Self::Timeout => None,
        }
    }
}

impl From<http::Error> for CallError {
    fn from(error: http::Error) -> Self {
        Self::Address(error)
    }
}

impl From<SendError> for CallError {
    fn from(error: SendError) -> Self {
        Self::Connection(error)
    }
}

impl From<axum::Error> for CallError {
    fn from(error: axum::Error) -> Self {
        Self::Body(error)
    }
}

impl From<serde_json::Error> for CallError {
    fn from(error: serde_json::Error) -> Self {
        Self::Format(error)
    }
}
