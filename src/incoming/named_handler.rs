//! Handlers of axum that name their requests by their own path.

use std::any::type_name;

use ::axum::extract::Request;
use ::axum::handler::Handler;

use crate::scope::{Spanned, current, span};

/// Records a handler of axum as a span with the path of its function, such as `shop::orders::show`.
///
/// With [`SentryLayer::name_by_handler`](crate::SentryLayer::name_by_handler), the path is also the
/// name of the request. A handler that is an `#[instrument]` function has both already.
///
/// axum does not keep the type of a handler once it is in a router, so each handler is wrapped where
/// its route is added. The path is what [`type_name`] says: that of a closure ends with
/// `{{closure}}`. The span includes the handler's extractors. Its `op` is `function`.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "test")]
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use axum::{Router, body::Body, extract::{Path, Request}, routing::get};
/// use tower::ServiceExt;
/// use tower_sentry::SentryLayer;
/// use tower_sentry::incoming::named;
///
/// mod orders {
///     pub async fn show(axum::extract::Path(id): axum::extract::Path<u32>) -> String {
///         format!("order {id}")
///     }
/// }
///
/// let (sentry, captured) = tower_sentry::test::client();
/// let layer = SentryLayer::new(&sentry).name_by_handler();
/// let app: Router = Router::new().route("/orders/{id}", get(named(orders::show))).layer(layer);
/// drop(app.oneshot(Request::get("/orders/7").body(Body::empty()).unwrap()).await);
///
/// assert!(captured.transactions()[0].name.ends_with("::orders::show"));
/// # });
/// ```
pub fn named<H>(handler: H) -> NamedHandler<H> {
    NamedHandler { handler }
}

/// A handler whose requests have its name. Made by [`named`].
#[derive(Clone, Debug)]
pub struct NamedHandler<H> {
    handler: H,
}

impl<H: Handler<T, S>, T, S> Handler<T, S> for NamedHandler<H> {
    type Future = Spanned<H::Future>;

    fn call(self, request: Request, state: S) -> Self::Future {
        let name = type_name::<H>();
        if let Some(scope) = current::scope() {
            scope.lock().transaction.record.name_by_path(name);
        }
        span("function", name, self.handler.call(request, state))
    }
}
