//! The time of a middleware itself, before and after the inner call.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::protocol::SpanStatus;
use crate::scope::{Active, EarlyDrop, LiveScope, OwnSpan, current};

/// Records another layer as a span.
///
/// The time before and after the inner service is measured separately (`middleware.before_ms` and
/// `middleware.after_ms`). If the inner service is called several times, the time between the calls
/// counts as after. [`own_time`](Self::own_time) shows middlewares beside each other.
///
/// Use it inside a [`SentryLayer`](crate::SentryLayer). It does not need `tracing`.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, routing::get};
/// use tower_http::cors::CorsLayer;
/// use tower_sentry::{Config, SentryLayer, SpanLayer};
///
/// let config = Config::builder().build()?;
/// let app: Router = Router::new()
///     .route("/", get(|| async { "hello" }))
///     .layer(SpanLayer::new("middleware.cors", CorsLayer::permissive()))
///     .layer(SentryLayer::new(config));
/// # }
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until a service is wrapped in it"]
pub struct SpanLayer<L> {
    name: Cow<'static, str>,
    op: &'static str,
    outcome_tag: Option<&'static str>,
    shape: Shape,
    layer: L,
}

/// How the time of the inner service is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Inside the middleware's span, as its children.
    Nested,
    /// Beside the middleware's span, which has only its own time.
    Own,
    /// Beside the middleware's span, which has all of the time.
    Total,
}

impl<L> SpanLayer<L> {
    /// Records `layer` as a span of this name.
    pub fn new(name: impl Into<Cow<'static, str>>, layer: L) -> Self {
        Self { name: name.into(), op: "middleware", outcome_tag: None, shape: Shape::Nested, layer }
    }

    /// Sets the kind of work, such as `auth`. Defaults to `middleware`.
    pub fn op(mut self, op: &'static str) -> Self {
        self.op = op;
        self
    }

    /// Records only the middleware's own time, without that of the inner service.
    ///
    /// The spans of the inner service are beside this span and not inside it. If each middleware uses
    /// this, a transaction is a flat list that shows the cost of each. By default, spans are nested.
    ///
    /// The span is as long as the time before the inner call and the time after it together. It
    /// starts with the middleware, so a timeline shows the time after the inner call too early. The
    /// attributes `middleware.before_ms` and `middleware.after_ms` have both parts.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(all(feature = "axum", feature = "test"))]
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use axum::{Router, body::Body, extract::Request, routing::get};
    /// use tower::{ServiceExt as _, layer::util::Identity};
    /// use tower_http::cors::CorsLayer;
    /// use tower_sentry::{SentryLayer, SpanLayer};
    ///
    /// let (sentry, captured) = tower_sentry::test::client();
    /// let app: Router = Router::new()
    ///     .route("/", get(|| tower_sentry::span("view", "show", async { "hello" })))
    ///     .layer(SpanLayer::new("middleware.cors", CorsLayer::permissive()).own_time())
    ///     .layer(SpanLayer::new("middleware.total", Identity::new()).total_time())
    ///     .layer(SentryLayer::new(&sentry));
    /// drop(app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await);
    ///
    /// assert_eq!(
    ///     captured.tree(),
    ///     "GET / [http.server] ok\n  middleware.total [middleware] ok\n  middleware.cors [middleware] ok\n  show [view] ok\n"
    /// );
    /// # });
    /// ```
    pub fn own_time(mut self) -> Self {
        self.shape = Shape::Own;
        self
    }

    /// Records all of the time, beside the spans of the inner service and not around them.
    ///
    /// Use it once, to show the sum beside the rows of [`own_time`](Self::own_time). By default, spans are
    /// nested.
    pub fn total_time(mut self) -> Self {
        self.shape = Shape::Total;
        self
    }

    /// Sets a request tag of this name to the outcome of the middleware. Defaults to none.
    ///
    /// The tag is set only where spans are recorded, and contains no data of the request. Its value
    /// is one of:
    ///
    /// - `passed`: the middleware called the inner service.
    /// - `stopped`: it answered the request itself.
    /// - `failed`: it returned an error.
    ///
    /// # Examples
    ///
    /// Which requests did the auth middleware reject?
    ///
    /// ```
    /// # #[cfg(feature = "axum")] {
    /// use axum::{Router, extract::Request, http::{StatusCode, header}, middleware::{Next, from_fn}, response::Response, routing::get};
    /// use tower_sentry::{Config, SentryLayer, SpanLayer};
    ///
    /// async fn guard(request: Request, next: Next) -> Result<Response, StatusCode> {
    ///     if !request.headers().contains_key(header::AUTHORIZATION) {
    ///         return Err(StatusCode::UNAUTHORIZED);
    ///     }
    ///     Ok(next.run(request).await)
    /// }
    ///
    /// let app: Router = Router::new()
    ///     .route("/", get(|| async { "hello" }))
    ///     .layer(SpanLayer::new("auth", from_fn(guard)).op("auth").outcome_tag("auth"))
    ///     .layer(SentryLayer::new(Config::builder().build()?));
    /// # }
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn outcome_tag(mut self, name: &'static str) -> Self {
        self.outcome_tag = Some(name);
        self
    }
}

impl<S, L: Layer<Marked<S>>> Layer<S> for SpanLayer<L> {
    type Service = SpanService<L::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        let middleware = self.layer.layer(Marked { inner, shape: self.shape });
        SpanService { name: self.name.clone(), op: self.op, outcome_tag: self.outcome_tag, middleware }
    }
}

/// A middleware that is recorded as a span. Made by [`SpanLayer`].
#[derive(Clone, Debug)]
pub struct SpanService<M> {
    name: Cow<'static, str>,
    op: &'static str,
    outcome_tag: Option<&'static str>,
    middleware: M,
}

impl<R, M: Service<R>> Service<R> for SpanService<M> {
    type Response = M::Response;
    type Error = M::Error;
    type Future = SpanFuture<M::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), M::Error>> {
        self.middleware.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let mut span = OwnSpan::start(self.op, "auto.middleware.tower", &self.name);
        let inner = match &mut span {
            Some(span) => span.enter(|| self.middleware.call(request)),
            None => self.middleware.call(request),
        };
        SpanFuture { inner: EarlyDrop::new(inner), span, outcome_tag: self.outcome_tag }
    }
}

pin_project! {
    /// The future of a [`SpanService`].
    #[derive(Debug)]
    pub struct SpanFuture<F> {
        #[pin]
        inner: EarlyDrop<F>,
        span: Option<OwnSpan>,
        outcome_tag: Option<&'static str>,
    }

    impl<F> PinnedDrop for SpanFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(span) = this.span {
                span.leave(|| this.inner.end());
            }
        }
    }
}

impl<F: Future<Output = Result<T, E>>, T, E> Future for SpanFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(span) = this.span else { return this.inner.poll(cx) };
        let result = ready!(span.enter(|| this.inner.poll(cx)));
        if let Some(name) = this.outcome_tag {
            let outcome = match result {
                Err(_) => "failed",
                Ok(_) if span.reached_inner() => "passed",
                Ok(_) => "stopped",
            };
            if let Some(scope) = span.scope() {
                scope.set_tag(*name, outcome);
            }
        }
        span.end(if result.is_ok() { SpanStatus::Ok } else { SpanStatus::InternalError });
        Poll::Ready(result)
    }
}

/// The service inside a recorded middleware: records when it begins and ends.
#[derive(Clone, Debug)]
#[expect(unnameable_types, reason = "what is inside a `SpanLayer` is not part of the API")]
pub struct Marked<S> {
    inner: S,
    shape: Shape,
}

impl<R, S: Service<R>> Service<R> for Marked<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = MarkedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let span = current::own_span();
        let mut beside = Active::default();
        if let Some((scope, index)) = &span {
            let around = scope.lock().transaction.begin_inner(*index, self.shape == Shape::Own);
            if let Some(around) = around.filter(|_| self.shape != Shape::Nested) {
                beside = Active::span(Arc::clone(scope), around);
            }
        }
        let inner = beside.enter(|| self.inner.call(request));
        MarkedFuture { inner: EarlyDrop::new(inner), beside, span }
    }
}

pin_project! {
    /// The future of a [`Marked`] service.
    pub struct MarkedFuture<F> {
        #[pin]
        inner: EarlyDrop<F>,
        // Over from the start if the inner service's spans are inside the middleware's span.
        beside: Active,
        span: Option<(Arc<LiveScope>, u32)>,
    }

    impl<F> PinnedDrop for MarkedFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some((scope, index)) = this.span.take() {
                this.beside.leave(|| this.inner.end());
                scope.lock().transaction.end_inner(index);
            }
        }
    }
}

impl<F: Future> Future for MarkedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let output = ready!(this.beside.enter(|| this.inner.poll(cx)));
        drop(this.beside.take());
        if let Some((scope, index)) = this.span.take() {
            scope.lock().transaction.end_inner(index);
        }
        Poll::Ready(output)
    }
}

impl<F> fmt::Debug for MarkedFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MarkedFuture").finish_non_exhaustive()
    }
}
