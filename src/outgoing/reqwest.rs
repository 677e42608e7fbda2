//! Outgoing requests of reqwest.

use ::reqwest::{Error, RequestBuilder, Response};

use super::span::Call;

/// Sends a request with a span, and with trace headers for listed hosts.
///
/// Sealed: only reqwest's `RequestBuilder` implements it.
pub trait SendTraced: sealed::Sealed {
    /// Sends the request like `send`, and records it as a span (`http.client`).
    ///
    /// The span belongs to the current request or job. It ends when the head of the response
    /// arrives. Hosts that are listed in
    /// [`trace_propagation_targets`](crate::ConfigBuilder::trace_propagation_targets) receive trace
    /// headers.
    ///
    /// # Errors
    ///
    /// The same as for `send`.
    ///
    /// # Cancellation
    ///
    /// If the future is dropped before the response, the status of the span is `cancelled`.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::outgoing::SendTraced;
    ///
    /// # async fn ask(client: reqwest::Client) -> Result<(), reqwest::Error> {
    /// let item = client.get("https://stock.internal/items/7").send_traced().await?;
    /// # Ok(()) }
    /// ```
    fn send_traced(self) -> impl Future<Output = Result<Response, Error>> + Send;
}

#[expect(unnameable_types, reason = "that is what seals the trait above")]
mod sealed {
    pub trait Sealed {}
    impl Sealed for ::reqwest::RequestBuilder {}
}

impl SendTraced for RequestBuilder {
    async fn send_traced(self) -> Result<Response, Error> {
        let (client, request) = self.build_split();
        let mut request = request?;
        let Ok(uri) = request.url().as_str().parse::<http::Uri>() else { return client.execute(request).await };
        let mut call = Call::begin(&request.method().clone(), &uri, request.headers_mut(), None);
        let mut sending = std::pin::pin!(client.execute(request));
        let result = std::future::poll_fn(|cx| call.enter(|| sending.as_mut().poll(cx))).await;
        call.end(result.as_ref().ok().map(Response::status));
        result
    }
}
