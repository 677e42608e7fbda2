//! Names a request from inside the router, where its template is known.

use std::task::{Context, Poll};

use ::axum::extract::MatchedPath;
use http::Request;
use tower::{Layer, Service};

use crate::scope::current;

/// Names requests by their route template, for a `SentryLayer` around a whole `Router`.
///
/// The outer [`SentryLayer`](crate::SentryLayer) cannot see the templates. Add this one to the
/// router with `route_layer`. It costs one thread-local access per request.
///
/// Sample rates and other options per route cannot use this name, since they apply when the request
/// arrives. Set them with [`SentryLayer::route`](crate::SentryLayer::route).
///
/// # Examples
///
/// ```
/// use axum::{Router, routing::get};
/// use tower::Layer;
/// use tower_sentry::incoming::RouteNameLayer;
/// use tower_sentry::{Config, SentryLayer};
///
/// let config = Config::builder().build()?;
/// let app: Router = Router::new().route("/users/{id}", get(|| async { "Jane" })).route_layer(RouteNameLayer);
/// let service = SentryLayer::new(config).boxed_body().layer(app).into_make_service();
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing to say")]
pub struct RouteNameLayer;

impl<S> Layer<S> for RouteNameLayer {
    type Service = RouteNameService<S>;

    fn layer(&self, inner: S) -> RouteNameService<S> {
        RouteNameService { inner }
    }
}

/// A service that names its requests. Made by [`RouteNameLayer`].
#[derive(Clone, Debug)]
pub struct RouteNameService<S> {
    inner: S,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for RouteNameService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        if let Some(template) = request.extensions().get::<MatchedPath>() {
            let template = template.as_str();
            current::with(|entered| {
                let mut state = entered.scope.lock();
                let record = &mut state.transaction.record;
                if record.has_inner_requests() {
                    drop(state);
                    return entered.scope.name_inner_request(entered.active(), request.method().as_str(), template);
                }
                // If the route is set, the layer has seen it already.
                if record.has_request && record.route.is_none() {
                    record.name_by_route(template);
                }
            });
        }
        self.inner.call(request)
    }
}
