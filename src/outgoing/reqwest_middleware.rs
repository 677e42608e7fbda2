//! Outgoing requests of reqwest-middleware.

use ::reqwest::{Request, Response};
use ::reqwest_middleware::{Middleware, Next, Result};
use http::Extensions;

use super::span::Call;

/// Records each request as a span, like [`send_traced`](super::SendTraced::send_traced).
///
/// If you add it after a middleware that retries, each attempt is a span.
///
/// # Examples
///
/// ```
/// use reqwest_middleware::ClientBuilder;
/// use tower_sentry::outgoing::TraceMiddleware;
///
/// # fn client(plain: reqwest::Client) {
/// let client = ClientBuilder::new(plain).with(TraceMiddleware::new()).build();
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceMiddleware(());

impl TraceMiddleware {
    /// Creates a middleware that records into the current request or job.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait::async_trait]
impl Middleware for TraceMiddleware {
    async fn handle(&self, mut request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        let Ok(uri) = request.url().as_str().parse::<http::Uri>() else { return next.run(request, extensions).await };
        let mut call = Call::begin(&request.method().clone(), &uri, request.headers_mut(), None);
        let mut sending = std::pin::pin!(next.run(request, extensions));
        let result = std::future::poll_fn(|cx| call.enter(|| sending.as_mut().poll(cx))).await;
        call.end(result.as_ref().ok().map(Response::status));
        result
    }
}
