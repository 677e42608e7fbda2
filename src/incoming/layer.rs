//! The layer and its settings.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use tower::Layer;

use super::body::ResponseBody;
use super::route::{RouteOptions, Routes};
use super::service::SentryService;
use crate::client::Client;

/// Records every request as a transaction: put it on a router, a route, or any tower service of HTTP requests.
///
/// Any position is right, but for names: outside a whole `Router` its templates are out of sight, and only the layer's own
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
    routes: Arc<Routes>,
    form: PhantomData<fn() -> F>,
}

impl SentryLayer {
    /// A layer that hands what it records to the exporter of a [`Client`], a [`Guard`](crate::Guard) or a [`Config`](crate::Config).
    ///
    /// Clones of one `Config` share one exporter, which starts here if it was not running. Where the exporter cannot start, nothing is
    /// recorded and one warning says so.
    pub fn new(client: impl Into<Client>) -> Self {
        Self { client: client.into(), routes: Arc::default(), form: PhantomData }
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
        SentryLayer { client: self.client, routes: self.routes, form: PhantomData }
    }
}

impl<F> SentryLayer<F> {
    /// Options for a route: a template such as `/users/{id}` or `/assets/{*rest}`, with a method before it (`GET /users/{id}`) or without.
    ///
    /// A row with the method goes before one without. Where the router's own template is known the row must equal it; else the
    /// raw path is matched, which also gives the transaction its name. A template that cannot be read is left out with a warning.
    pub fn route(mut self, route: impl AsRef<str>, options: RouteOptions) -> Self {
        Arc::make_mut(&mut self.routes).add(route.as_ref(), options);
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
        SentryService::new(inner, self.client.clone(), Arc::clone(&self.routes))
    }
}

impl<F> Clone for SentryLayer<F> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), routes: Arc::clone(&self.routes), form: PhantomData }
    }
}

impl<F> fmt::Debug for SentryLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentryLayer").field("client", &self.client).field("routes", &self.routes).finish_non_exhaustive()
    }
}

/// The form of a response that fits nearly everywhere: the body stays what it is, inside [`ResponseBody`]. Nothing is boxed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Generic;

/// The form of a response with `axum::body::Body`. See [`SentryLayer::boxed_body`].
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
