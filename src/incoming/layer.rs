//! The layer and its settings.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tower::Layer;

use super::body::ResponseBody;
use super::route::RouteOptions;
use super::rules::{Echo, RequestHead, Rules};
use super::service::SentryService;
use crate::client::Client;

/// Records every request as a transaction: put it on a router, a route, or any tower service of HTTP requests.
///
/// What is set on a layer counts for the requests whose transaction is its own: of two layers that is the outer one's. Any position is
/// right, but for names: outside a whole `Router` its templates are out of sight, and only the layer's own
/// [`route`](Self::route) rows can give them. Layers outside of it are not timed; to have their time told apart wrap them in a
/// [`SpanLayer`](crate::SpanLayer) inside. Spans of `#[instrument]` functions need the [`TracingLayer`](crate::TracingLayer) as well.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, routing::get};
/// use tower_sentry::incoming::RouteOptions;
/// use tower_sentry::{Config, SentryLayer};
///
/// let config = Config::from_env()?;
/// let app: Router = Router::new().route("/users/{id}", get(|| async { "Jane" })).layer(
///     SentryLayer::new(config)
///         .ignore(["/healthz", "/metrics"])
///         .route("/checkout/{id}", RouteOptions::new().sample_rate(1.0))
///         .route("GET /legacy/{*rest}", RouteOptions::new().sample_rate(0.001)),
/// );
/// # }
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[must_use = "a layer does nothing until a service is wrapped in it"]
pub struct SentryLayer<F = Generic> {
    client: Client,
    rules: Arc<Rules>,
    form: PhantomData<fn() -> F>,
}

impl SentryLayer {
    /// A layer that hands what it records to the exporter of a [`Client`], a [`Guard`](crate::Guard) or a [`Config`](crate::Config).
    ///
    /// Clones of one `Config` share one exporter, which starts here if it was not running. Where the exporter cannot start, nothing is
    /// recorded and one warning says so.
    pub fn new(client: impl Into<Client>) -> Self {
        Self { client: client.into(), rules: Arc::default(), form: PhantomData }
    }

    /// The same layer with `axum::body::Body` in its responses: for the outside of a whole `Router` that is handed to `axum::serve`, and for
    /// `option_layer`, where only that type fits. Costs one allocation per response.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use tower::Layer;
    /// use tower::util::option_layer;
    /// use tower_sentry::{Config, SentryLayer};
    ///
    /// let config = Config::builder().build()?;
    /// let app: Router = Router::new().route("/", get(|| async { "hello" }));
    /// let whole = SentryLayer::new(&config).boxed_body().layer(app.clone()).into_make_service();
    /// let maybe = app.layer(option_layer(Some(SentryLayer::new(&config).boxed_body())));
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    #[cfg(feature = "axum")]
    pub fn boxed_body(self) -> SentryLayer<Boxed> {
        SentryLayer { client: self.client, rules: self.rules, form: PhantomData }
    }
}

impl<F> SentryLayer<F> {
    /// Options for a route: a template such as `/users/{id}` or `/assets/{*rest}`, with a method before it (`GET /users/{id}`) or without.
    ///
    /// A row with the method goes before one without. Where the router's own template is known the row must equal it; else the
    /// raw path is matched, which also gives the transaction its name. A template that cannot be read is left out with a warning.
    pub fn route(mut self, route: impl AsRef<str>, options: RouteOptions) -> Self {
        Arc::make_mut(&mut self.rules).routes.add(route.as_ref(), options);
        self
    }

    /// Names requests whose route is not known: the layer stands outside of the router, or there is none. What the function returns is
    /// the whole name; `None` leaves the request to be `GET <unmatched>`. It runs in each such request and should be quick. Where a
    /// `RouteNameLayer` further in finds a route, that is the name after all.
    ///
    /// At most 1,000 different names an hour are used, the others become `<overflow>`: a name is a row on the server for ever, so ids do
    /// not belong in one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tower_sentry::{Config, SentryLayer};
    /// # let config = Config::builder().build()?;
    /// let layer = SentryLayer::new(config).name(|request| {
    ///     let action = request.headers().get("x-amz-target")?.to_str().ok()?;
    ///     Some(format!("{} {action}", request.method()))
    /// });
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn name(mut self, name: impl Fn(&RequestHead<'_>) -> Option<String> + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.rules).name = Some(Arc::new(name));
        self
    }

    /// Names requests by their handler instead of their route: by the outermost span of each, which is the handler where that is an `#[instrument]`
    /// function (`shop::orders::show`). Spans of `SpanLayer` and of tower-http's `TraceLayer` do not count; an instrumented extractor or
    /// middleware does, and names the request if it comes first. Needs the [`TracingLayer`](crate::TracingLayer); a request without a span keeps the name of its route.
    pub fn name_by_handler(mut self) -> Self {
        Arc::make_mut(&mut self.rules).names_by_handler = true;
        self
    }

    /// Which response codes count as a failure of this service, for requests of this layer. Defaults to the
    /// [client's](crate::client::ConfigBuilder::failed_status_codes).
    pub fn failed_status_codes(mut self, codes: RangeInclusive<u16>) -> Self {
        Arc::make_mut(&mut self.rules).failed_status_codes = Some(codes);
        self
    }

    /// For how long a body is waited for. A stream that goes on for longer (server-sent events, a large download) ends its transaction with
    /// the first frame after this time, marked with the attribute `tower_sentry.cut`; errors further on in it still know their request.
    /// Defaults to 15 minutes.
    pub fn max_duration(mut self, limit: Duration) -> Self {
        Arc::make_mut(&mut self.rules).max_duration = Some(limit);
        self
    }

    /// Tells the caller the id of the trace in a response header of this name, such as `x-trace-id`. One that the application has set stays.
    pub fn trace_header(mut self, name: impl AsRef<str>) -> Self {
        Arc::make_mut(&mut self.rules).echo.trace = Echo::header(name.as_ref());
        self
    }

    /// Tells the caller the id of the request's first error in a response header of this name, such as `x-error-id`, so that it can be asked for.
    pub fn event_header(mut self, name: impl AsRef<str>) -> Self {
        Arc::make_mut(&mut self.rules).echo.event = Echo::header(name.as_ref());
        self
    }

    /// Tells browsers the trace in a `Server-Timing` header, from which Sentry's SDK for JavaScript continues it.
    pub fn server_timing(mut self) -> Self {
        Arc::make_mut(&mut self.rules).echo.server_timing = true;
        self
    }

    /// Lets the lines of other layers' logs say which trace they belong to: each request is a `tracing` span `request` with the field `trace_id`, which
    /// `tracing_subscriber::fmt` prints before each line, as text or JSON. It is no span of the transaction, and costs what one costs.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tower_sentry::{Config, SentryLayer};
    /// # let config = Config::builder().build()?;
    /// // INFO request{trace_id=771a43a4192642f0b136d5159a501700}: shop::orders: charging order=7
    /// let layer = SentryLayer::new(config).log_span();
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn log_span(mut self) -> Self {
        Arc::make_mut(&mut self.rules).log_span = true;
        self
    }

    /// Routes that are not recorded at all: no transaction, no errors, not counted. The same as [`RouteOptions::ignore`] for each.
    pub fn ignore<I>(mut self, routes: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        for route in routes {
            self = self.route(route, RouteOptions::new().ignore());
        }
        self
    }
}

impl<S, F> Layer<S> for SentryLayer<F> {
    type Service = SentryService<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        SentryService::new(inner, self.client.clone(), Arc::clone(&self.rules))
    }
}

impl<F> Clone for SentryLayer<F> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), rules: Arc::clone(&self.rules), form: PhantomData }
    }
}

impl<F> fmt::Debug for SentryLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentryLayer").field("client", &self.client).field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// The form of a response that fits nearly everywhere: the body stays what it is, inside [`ResponseBody`]. Nothing is boxed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Generic;

/// The form of a response with `axum::body::Body`. See `SentryLayer::boxed_body`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Boxed;

/// What a response body becomes. Sealed: [`Generic`] and [`Boxed`] are all there is.
pub trait BodyForm<B>: sealed::Sealed {
    /// The body of the responses.
    type Body;

    /// Wraps a body that is timed to its end.
    fn wrap(body: ResponseBody<B>) -> Self::Body;
}

impl<B: http_body::Body> BodyForm<B> for Generic {
    type Body = ResponseBody<B>;

    fn wrap(body: ResponseBody<B>) -> Self::Body {
        body
    }
}

#[expect(unnameable_types, reason = "that is what seals the trait above")]
mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Generic {}
    impl Sealed for super::Boxed {}
}
