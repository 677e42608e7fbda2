//! A layer for any tower HTTP client.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::span::Call;
use crate::propagation::Target;
use crate::redaction::shown;

/// Records each request of an HTTP client as a span (`http.client`), and adds trace headers for
/// listed hosts.
///
/// The span belongs to the current request or job. It ends when the head of the response arrives.
///
/// # Examples
///
/// ```
/// use tower::{ServiceBuilder, service_fn};
/// use tower_sentry::outgoing::OutgoingLayer;
///
/// let client = ServiceBuilder::new()
///     .layer(OutgoingLayer::new().propagate_to(["stock.internal"]))
///     .service(service_fn(|_: http::Request<String>| async { Ok::<_, std::io::Error>(http::Response::new(String::new())) }));
/// # let _ = client;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a layer does nothing until a service is wrapped in it"]
pub struct OutgoingLayer {
    /// `None` means the targets of the client of the current request or job.
    targets: Option<Arc<[Target]>>,
}

impl OutgoingLayer {
    /// Creates a layer that records into the current request or job, whichever client it belongs
    /// to.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the hosts and URLs that receive trace headers.
    ///
    /// These replace the targets of the [client](crate::ConfigBuilder::trace_propagation_targets)
    /// and have the same syntax. An invalid target is skipped with a warning.
    pub fn propagate_to<I>(mut self, targets: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let read = |target: I::Item| {
            let parsed = target.as_ref().parse().ok();
            if parsed.is_none() {
                crate::diagnostics::warn(&format!("'{}' is not a valid target; it gets no trace headers", shown(target.as_ref())));
            }
            parsed
        };
        self.targets = Some(targets.into_iter().filter_map(read).collect());
        self
    }
}

impl<S> Layer<S> for OutgoingLayer {
    type Service = OutgoingService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        OutgoingService { inner, targets: self.targets.clone() }
    }
}

/// An HTTP client whose requests are recorded, made by [`OutgoingLayer`].
#[derive(Clone, Debug)]
pub struct OutgoingService<S> {
    inner: S,
    targets: Option<Arc<[Target]>>,
}

impl<S, RequestBody, Body> Service<Request<RequestBody>> for OutgoingService<S>
where
    S: Service<Request<RequestBody>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = OutgoingFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let mut call = Call::begin(&parts.method, &parts.uri, &mut parts.headers, self.targets.as_deref());
        let inner = call.enter(|| self.inner.call(Request::from_parts(parts, body)));
        OutgoingFuture { inner, call }
    }
}

pin_project! {
    /// The future of a recorded request.
    ///
    /// # Cancellation
    ///
    /// If it is dropped before the response, the status of its span is `cancelled`.
    pub struct OutgoingFuture<F> {
        #[pin]
        inner: F,
        call: Call,
    }
}

impl<F: Future<Output = Result<Response<Body>, E>>, Body, E> Future for OutgoingFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let result = ready!(this.call.enter(|| this.inner.poll(cx)));
        this.call.end(result.as_ref().ok().map(Response::status));
        Poll::Ready(result)
    }
}

impl<F> fmt::Debug for OutgoingFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingFuture").field("call", &self.call).finish_non_exhaustive()
    }
}
