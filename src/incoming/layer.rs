//! The layer and its settings.

mod echo;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tower::Layer;

#[cfg(feature = "axum")]
use super::body_form::Boxed;
use super::body_form::Generic;
use super::capture_error;
use super::measured::ActiveRequests;
use super::rules::{RequestHead, Rules};
use super::service::SentryService;
use crate::client::Client;
use crate::diagnostics;
use crate::propagation::{Carrier, incoming_from};
use crate::sampling::route_options::RouteOptions;
use crate::status_codes::StatusCodes;

/// Records every request as a transaction.
///
/// Put it on a router, a route, or any tower service of HTTP requests.
///
/// If two layers of one client are nested, the inner one records a span, and reports its failures under
/// its own name. See the guide's page on
/// [requests](crate::guide::requests#layers-inside-layers).
///
/// The layer works at any position, with two differences:
///
/// - Around a whole `Router` it cannot see the router's templates. Requests then get their names
///   from [`route`](Self::route), [`name`](Self::name) or a `RouteNameLayer` inside the router.
/// - The time spent in outer layers is not recorded. To time a layer separately, put it inside this
///   one and wrap it in a [`SpanLayer`](crate::SpanLayer).
///
/// Spans of `#[instrument]` functions also need the [`TracingLayer`](crate::TracingLayer).
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
    /// Creates a layer that records to the exporter of a client, a guard or a configuration.
    ///
    /// `client` is a [`Client`], a [`Guard`](crate::Guard) or a [`Config`](crate::Config).
    ///
    /// All clones of one `Config` share one exporter, which starts here if it is not running yet.
    /// If the exporter cannot start, nothing is recorded and one warning is logged.
    pub fn new(client: impl Into<Client>) -> Self {
        Self { client: client.into(), rules: Arc::default(), form: PhantomData }
    }

    /// Makes `axum::body::Body` the body type of the responses.
    ///
    /// Use it with `option_layer`, and around a whole `Router`: axum accepts only that type there.
    /// It costs one allocation per response.
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
    ///
    /// Without it, `option_layer` does not compile. rustc says (E0271):
    ///
    /// ```text
    /// type mismatch resolving `<Route as Service<Request<Body>>>::Response == Response<ResponseBody<Body>>`
    /// expected `Response<ResponseBody<Body>>`, found `Response<Body>`
    /// ```
    ///
    /// ```compile_fail,E0271
    /// # use axum::{Router, routing::get};
    /// # use tower::util::option_layer;
    /// # use tower_sentry::{Config, SentryLayer};
    /// # let config = Config::builder().build().unwrap();
    /// # let app: Router = Router::new().route("/", get(|| async { "hello" }));
    /// let maybe = app.layer(option_layer(Some(SentryLayer::new(&config))));
    /// ```
    ///
    /// With it, `axum::serve` still needs `into_make_service()`, or rustc says (E0277):
    ///
    /// ```text
    /// the trait bound `for<'a> SentryService<Router, Boxed>: Service<IncomingStream<'a, TcpListener>>` is not satisfied
    /// ```
    ///
    /// ```compile_fail,E0277
    /// # use axum::{Router, routing::get};
    /// # use tower::Layer;
    /// # use tower_sentry::{Client, SentryLayer};
    /// # async fn serve(sentry: Client, listener: tokio::net::TcpListener) -> std::io::Result<()> {
    /// # let app: Router = Router::new().route("/", get(|| async { "hello" }));
    /// axum::serve(listener, SentryLayer::new(&sentry).boxed_body().layer(app)).await
    /// # }
    /// ```
    #[cfg(feature = "axum")]
    pub fn boxed_body(self) -> SentryLayer<Boxed> {
        SentryLayer { client: self.client, rules: self.rules, form: PhantomData }
    }
}

impl<F> SentryLayer<F> {
    /// Sets options for a route: a template such as `/users/{id}` or `/assets/{*rest}`.
    ///
    /// A method may precede the template: `GET /users/{id}`. Options for a method win over options
    /// without one.
    ///
    /// If the router's own template is known, it must equal this one. Otherwise the raw path is
    /// matched, and this template also becomes the transaction's name. An invalid template is
    /// ignored with a warning. Defaults to no options.
    ///
    /// With a [`RouteTable`](crate::incoming::RouteTable), operators can change rates without a new build.
    pub fn route(mut self, route: impl AsRef<str>, options: RouteOptions) -> Self {
        Arc::make_mut(&mut self.rules).routes.add(route.as_ref(), options);
        self
    }

    /// Names requests whose route is not known.
    ///
    /// That is the case if the layer is outside the router, or if there is no router.
    ///
    /// The returned text is the whole name. For `None` the name is `GET <unmatched>`, with the
    /// request's method. The function runs in each such request, so it must be fast. A route that a
    /// `RouteNameLayer` finds later replaces the name.
    ///
    /// A client uses at most 1,000 different names an hour, including those of `set_name`.
    /// Further ones become `<overflow>`. The server keeps every name forever, so a name must not
    /// contain ids. If the function panics, it counts as `None`. Defaults to no function.
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

    /// Records nothing for the requests that `ignores` chooses: no transaction, no errors, no logs.
    ///
    /// Use it for callers who opt out of monitoring. The function runs in each request, so it must
    /// be fast. If it panics, the request is ignored. Inside a request that another layer of the
    /// same client records, it only keeps this layer from adding a span. Defaults to none.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tower_sentry::{Config, SentryLayer};
    /// # let config = Config::builder().build()?;
    /// let layer = SentryLayer::new(config).ignore_if(|request| request.headers().contains_key("sec-gpc"));
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn ignore_if(mut self, ignores: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.rules).ignores = Some(Arc::new(ignores));
        self
    }

    /// Names requests by their handler (`shop::orders::show`) instead of their route.
    ///
    /// The name is that of the request's outermost span, which is the handler's if the handler is
    /// an `#[instrument]` function. An instrumented extractor or middleware that runs earlier takes
    /// its place. Spans of `SpanLayer` and of tower-http's `TraceLayer` are skipped. A request
    /// without a span keeps the name of its route. Needs the [`TracingLayer`](crate::TracingLayer).
    ///
    /// A handler of axum that is wrapped in `incoming::named` (feature `axum`) needs neither. Defaults to
    /// the route.
    pub fn name_by_handler(mut self) -> Self {
        Arc::make_mut(&mut self.rules).names_by_handler = true;
        self
    }

    /// Sets which status codes count as a failure of this service, for requests of this layer.
    ///
    /// Numbers outside 100 to 999 are ignored with a warning. Defaults to the [client's](crate::client::ConfigBuilder::failed_status_codes).
    pub fn failed_status_codes(mut self, codes: impl Into<StatusCodes>) -> Self {
        let codes = codes.into();
        if let Some(fault) = codes.fault() {
            diagnostics::warn(&format!("the failed status codes of a layer: {fault}"));
        }
        Arc::make_mut(&mut self.rules).failed_status_codes = Some(Arc::new(codes));
        self
    }

    /// Limits how long a transaction waits for the end of the response body.
    ///
    /// Defaults to 15 minutes.
    ///
    /// The time counts from the start of the request. A longer stream (server-sent events, a large
    /// download) ends its transaction with the first frame after the limit; the body's very first
    /// frame never does. The transaction then has the attribute `tower_sentry.cut`. Later errors in
    /// the stream still belong to the request.
    pub fn max_duration(mut self, limit: Duration) -> Self {
        Arc::make_mut(&mut self.rules).max_duration = Some(limit);
        self
    }

    /// Continues the trace that a function knows, instead of the one in the headers of the request.
    ///
    /// The function returns a map with `sentry-trace` or `traceparent`, and `baggage`. If it has none of
    /// these, the headers of the request count. It runs as each request begins. If it panics, the headers
    /// count as well.
    ///
    /// Use it if an outer layer has begun a trace already. With `tracing-opentelemetry`, both then
    /// have one trace id, and the transaction is a child of the span of OpenTelemetry. Its sampling decision
    /// is followed like that of any caller, as [`trust_parent`](crate::ConfigBuilder::trust_parent) says:
    /// with `TrustParent::Never`, your own rate counts.
    ///
    /// # Examples
    ///
    /// ```ignore
    /// use opentelemetry::global::get_text_map_propagator;
    /// use tracing_opentelemetry::OpenTelemetrySpanExt as _;
    ///
    /// let layer = SentryLayer::new(&sentry).trace_from(|_| {
    ///     let mut headers = HashMap::new();
    ///     let context = tracing::Span::current().context();
    ///     get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut headers));
    ///     headers
    /// });
    /// ```
    pub fn trace_from<C: Carrier>(mut self, read: impl Fn(&RequestHead<'_>) -> C + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.rules).trace = Some(Arc::new(move |head| incoming_from(&read(head))));
        self
    }

    /// Adds the trace id to the log lines of other subscribers.
    ///
    /// Each request gets a `tracing` span `request` with the field `trace_id`.
    /// `tracing_subscriber::fmt` prints it before each line, as text or JSON. It is not a span of
    /// the transaction, and costs as much as any `tracing` span. Defaults to no span.
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

    /// Writes the error behind a failed response to the local log as well.
    ///
    /// That is the error of a [`CaptureError`](crate::CaptureError). The line is a `tracing` event of level
    /// ERROR with the target `tower_sentry`, the messages of the error and its causes, its type, and its
    /// place. It is redacted, and it is not a second event. It is written even while monitoring is off, for
    /// example without a DSN. Defaults to `false`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tower_sentry::{Config, SentryLayer};
    /// # let config = Config::builder().build()?;
    /// // ERROR tower_sentry: order 7 could not be placed: connection refused error_type="OrderError" place=src/orders.rs:28:5
    /// let layer = SentryLayer::new(config).log_errors(true);
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn log_errors(mut self, logs: bool) -> Self {
        if logs {
            capture_error::log_from_now_on();
        }
        Arc::make_mut(&mut self.rules).logs_errors = logs;
        self
    }

    /// Sends [metrics](crate::metrics) of each request, whether it is sampled or not. Defaults to `false`.
    ///
    /// | metric | kind | unit |
    /// |---|---|---|
    /// | `http.server.request.duration` | distribution | seconds, to the end of the response body |
    /// | `http.server.response.body.size` | distribution | bytes that were sent |
    /// | `http.server.active_requests` | gauge, when a request ends | requests |
    ///
    /// The names are those of OpenTelemetry. All have the attribute `http.request.method`. The first two also have `http.route`,
    /// `http.response.status_code` and `tower_sentry.status_class`, such as `2xx`. A request without a known route has no
    /// `http.route`, and one that was dropped before its response head has no status.
    ///
    /// `http.server.active_requests` counts the requests that this layer is serving, of all routes and methods, with the one
    /// that ends. Ignored requests are not counted. It has no `http.route`, because it is not a number of one route.
    ///
    /// Each request sends three entries: check what your plan charges for them. Beyond
    /// [`max_metrics_per_name`](crate::ConfigBuilder::max_metrics_per_name) (by default 1,667 requests a second), they
    /// are dropped and counted. Ignored and sensitive routes have no metrics. If two layers of one client are nested,
    /// only the outer one sends them.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tower_sentry::{Config, SentryLayer};
    /// # let config = Config::builder().build()?;
    /// let layer = SentryLayer::new(config).metrics(true);
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn metrics(mut self, send: bool) -> Self {
        Arc::make_mut(&mut self.rules).active_requests = send.then(ActiveRequests::default);
        self
    }

    /// Ignores routes: no transaction, no logs, and no count for release health.
    ///
    /// Panics and captured errors are still reported, unless [`ignore_errors`](Self::ignore_errors) is
    /// set. A failed status alone is not reported. It does the same as [`RouteOptions::ignore`] for each
    /// route.
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

    /// Does not report errors and panics of the ignored routes either.
    ///
    /// They are not counted as dropped. It does the same as [`RouteOptions::ignore_errors`] for each ignored
    /// route.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tower_sentry::{Config, SentryLayer};
    /// # let config = Config::builder().build()?;
    /// let layer = SentryLayer::new(config).ignore(["/healthz", "/metrics"]).ignore_errors();
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn ignore_errors(mut self) -> Self {
        Arc::make_mut(&mut self.rules).ignores_errors = true;
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
