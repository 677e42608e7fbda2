//! A route template from a router other than axum's.

use std::sync::Arc;

/// The template of the route that matched a request, for routers other than axum's.
///
/// A router or a middleware puts it into the extensions of the request. A
/// [`SentryLayer`](crate::SentryLayer) that is called later uses it like axum's `MatchedPath`: it names the
/// transaction `GET /users/:id`. Rows of [`SentryLayer::route`](crate::SentryLayer::route) apply if they
/// have the same text.
///
/// Write the template as the router writes it, without values of the request. If the request also has a
/// `MatchedPath`, the `MatchedPath` counts.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "test")]
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt as _};
/// use tower_sentry::SentryLayer;
/// use tower_sentry::incoming::RouteTemplate;
///
/// let (sentry, captured) = tower_sentry::test::client();
/// let service = ServiceBuilder::new()
///     .map_request(|mut request: Request<String>| {
///         // A real router looks the template up.
///         request.extensions_mut().insert(RouteTemplate::new("/users/:id"));
///         request
///     })
///     .layer(SentryLayer::new(&sentry))
///     .service_fn(|_| async { Ok::<_, std::io::Error>(Response::new(String::from("Jane"))) });
///
/// service.oneshot(Request::get("/users/7").body(String::new()).unwrap()).await.unwrap();
///
/// assert_eq!(captured.tree(), "GET /users/:id [http.server] ok\n");
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTemplate(Arc<str>);

impl RouteTemplate {
    /// Creates a template, such as `/users/{id}`. A clone of an `Arc<str>` costs no allocation.
    pub fn new(template: impl Into<Arc<str>>) -> Self {
        Self(template.into())
    }

    /// Returns the text of the template.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
