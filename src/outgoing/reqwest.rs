//! reqwest.

use ::reqwest::{Error, RequestBuilder, Response};

use super::span::Call;

/// Sends with a span, and with the trace for those who are named.
pub trait SendTraced {
    /// Sends the request like `send`, as a span (`http.client`) of the request or job it is made in, up to the head of its response. Targets of the
    /// client whose request it is (see [`trace_propagation_targets`](crate::ConfigBuilder::trace_propagation_targets)) get the trace in its headers.
    ///
    /// # Errors
    ///
    /// Those of `send`.
    ///
    /// # Cancellation
    ///
    /// Dropped before the response, the span is `cancelled`.
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
