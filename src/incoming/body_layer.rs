//! Keeps the beginning of bodies for the events of requests that fail.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Buf as _;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::record::BodySample;
use crate::scope::current;

/// Adds the first bytes of request and response bodies to the events of a request.
///
/// Bodies often hold personal or secret data, so recording them is opt-in: without a limit, this layer does
/// nothing. Only error events and messages have the bodies, transactions never do. The handler and the
/// client get the same bytes at the same time as without this layer.
///
/// Use it inside a [`SentryLayer`](crate::SentryLayer).
///
/// # What is sent
///
/// | media type | as |
/// |---|---|
/// | `application/json`, `*+json`, NDJSON, YAML, `text/*`, XML, GraphQL | as it is |
/// | `application/x-www-form-urlencoded` | JSON, by name |
/// | `multipart/form-data` | JSON, by name; of a file its name, media type and size |
/// | any other | its size and media type |
///
/// Bodies with the `content-encoding` `gzip` are read, up to the same limit; those with another encoding
/// are not. All values are [redacted](crate::redaction) by name and by shape. A body that was cut ends with `…`.
/// The request's body is `request.data` of the event, and holds what the handler had read by then. The
/// response's headers, size and body are the context `response`. The body is included only if its length
/// is known before it is sent: the body of a stream is not.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, routing::post};
/// use tower_sentry::{Config, SentryLayer, incoming::BodyLayer};
///
/// let config = Config::builder().build()?;
/// let app: Router = Router::new()
///     .route("/orders", post(async |order: String| order))
///     .layer(BodyLayer::new().max_request_body_size(4096))
///     .layer(SentryLayer::new(config));
/// # }
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "a layer does nothing until a service is wrapped in it"]
pub struct BodyLayer {
    request: usize,
    response: usize,
}

/// At most this many bytes of one body are kept, because servers refuse events of more than 1 MiB.
const MOST: usize = 256 * 1024;

impl BodyLayer {
    /// Creates a layer that keeps nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps this many bytes of each request's body, at most 262,144. Defaults to 0.
    pub fn max_request_body_size(mut self, bytes: usize) -> Self {
        self.request = bytes.min(MOST);
        self
    }

    /// Keeps this many bytes of each response's body, at most 262,144, and its headers. Defaults to 0.
    pub fn max_response_body_size(mut self, bytes: usize) -> Self {
        self.response = bytes.min(MOST);
        self
    }
}

impl<S> Layer<S> for BodyLayer {
    type Service = BodyService<S>;

    fn layer(&self, inner: S) -> BodyService<S> {
        BodyService { limits: *self, inner }
    }
}

/// A service whose bodies are kept for events. Made by [`BodyLayer`].
#[derive(Clone, Debug)]
pub struct BodyService<S> {
    limits: BodyLayer,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for BodyService<S>
where
    S: Service<Request<SampledBody<B>>, Response = Response<R>>,
    B: Body,
    R: Body + Unpin,
{
    type Response = Response<SampledBody<R>>;
    type Error = S::Error;
    type Future = BodyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let BodyLayer { request: limit, response } = self.limits;
        let scope = if limit > 0 { current::scope() } else { None };
        let sample = scope.and_then(|scope| scope.keep_request_body(|| BodySample::new(request.headers(), limit)));
        let inner = self.inner.call(request.map(|body| SampledBody::new(body, sample)));
        BodyFuture { inner, limit: response }
    }
}

pin_project! {
    /// The future of a [`BodyService`].
    #[derive(Debug)]
    pub struct BodyFuture<F> {
        #[pin]
        inner: F,
        limit: usize,
    }
}

impl<F, R, E> Future for BodyFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body + Unpin,
{
    type Output = Result<Response<SampledBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let limit = *this.limit;
        let scope = if limit > 0 { current::scope() } else { None };
        let prepare = || response.body().size_hint().exact().map(|_| BodySample::new(response.headers(), limit));
        let sample = scope.and_then(|scope| scope.keep_response(response.headers(), prepare));
        Poll::Ready(Ok(response.map(|body| {
            let mut body = SampledBody::new(body, sample);
            body.look_ahead(cx);
            body
        })))
    }
}

pin_project! {
    /// A body whose beginning is kept for events.
    pub struct SampledBody<B>
    where
        B: Body,
    {
        #[pin]
        inner: B,
        sample: Option<Arc<BodySample>>,
        // A frame, or the end, that was read before the server polled for it.
        early: Option<Option<Result<Frame<B::Data>, B::Error>>>,
    }
}

impl<B: Body> SampledBody<B> {
    fn new(inner: B, sample: Option<Arc<BodySample>>) -> Self {
        Self { inner, sample, early: None }
    }

    /// Reads the first frame of a body that is kept. The event is sent with the response head, and a body
    /// of known length is nearly always ready by then.
    fn look_ahead(&mut self, cx: &mut Context<'_>)
    where
        B: Unpin,
    {
        if let Some(sample) = &self.sample
            && !self.inner.is_end_stream()
            && let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx)
        {
            note(sample, frame.as_ref(), self.inner.is_end_stream());
            self.early = Some(frame);
        }
    }
}

/// Keeps the bytes of a frame.
fn note<D: bytes::Buf, E>(sample: &BodySample, frame: Option<&Result<Frame<D>, E>>, is_last: bool) {
    if let Some(data) = frame.and_then(|frame| frame.as_ref().ok()?.data_ref()) {
        sample.add(data.chunk(), data.remaining());
    }
    if frame.is_none() || is_last {
        sample.end();
    }
}

impl<B: Body> Body for SampledBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        if let Some(early) = this.early.take() {
            return Poll::Ready(early);
        }
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        if let Some(sample) = this.sample {
            note(sample, frame.as_ref(), this.inner.is_end_stream());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.early.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        let early =
            self.early.as_ref().and_then(|early| early.as_ref()?.as_ref().ok()?.data_ref()).map_or(0, |data| data.remaining() as u64);
        if early > 0 {
            // The upper bound first: it must not fall below the lower one.
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper + early);
            }
            hint.set_lower(hint.lower() + early);
        }
        hint
    }
}

/// An empty body, for other layers that answer the request themselves.
impl<B: Body + Default> Default for SampledBody<B> {
    fn default() -> Self {
        Self::new(B::default(), None)
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for SampledBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SampledBody").field("inner", &self.inner).finish_non_exhaustive()
    }
}
