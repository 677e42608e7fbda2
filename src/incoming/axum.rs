//! The `impl`s that depend on axum.

use std::convert::Infallible;

use ::axum::body::Body;
use ::axum::extract::{FromRequestParts, Request};
use ::axum::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};
use ::axum::routing::IntoMakeService;
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;

use super::body::ResponseBody;
use super::body_form::{BodyForm, Boxed};
use super::capture_error::CaptureError;
use super::service::SentryService;
use crate::scope::Scope;

impl<B> BodyForm<B> for Boxed
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<::axum::BoxError>,
{
    type Body = Body;

    fn wrap(body: ResponseBody<B>) -> Body {
        // If nothing is recorded, the inner body is passed on unwrapped: boxing ours costs 1,000
        // instructions.
        match body.into_untimed() {
            Ok(untimed) => Body::new(untimed),
            Err(timed) => Body::new(timed),
        }
    }
}

impl<S, F> SentryService<S, F> {
    /// Makes the service usable with `axum::serve`, for a layer around a whole `Router`.
    ///
    /// It boxes the response bodies as [`boxed_body`](crate::SentryLayer::boxed_body) does, because
    /// `axum::serve` accepts no others.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use axum::{Router, routing::get};
    /// use tower::Layer;
    /// use tower_sentry::{Client, SentryLayer};
    ///
    /// # async fn serve(sentry: Client, listener: tokio::net::TcpListener) -> std::io::Result<()> {
    /// let app: Router = Router::new().route("/", get(|| async { "hello" }));
    /// let whole = SentryLayer::new(sentry).layer(app);
    /// axum::serve(listener, whole.into_make_service()).await
    /// # }
    /// ```
    ///
    /// `axum::serve` does not accept the service itself. rustc says (E0277):
    ///
    /// ```text
    /// the trait bound `SentryService<Router, Generic>: Service<IncomingStream<'a, ...>>` is not satisfied
    /// ```
    ///
    /// ```compile_fail,E0277
    /// # use axum::{Router, routing::get};
    /// # use tower::Layer;
    /// # use tower_sentry::{Client, SentryLayer};
    /// # async fn serve(sentry: Client, listener: tokio::net::TcpListener) -> std::io::Result<()> {
    /// # let app: Router = Router::new().route("/", get(|| async { "hello" }));
    /// # let whole = SentryLayer::new(sentry).layer(app);
    /// axum::serve(listener, whole).await
    /// # }
    /// ```
    // An inherent method, because the compiler cannot infer the request type for
    // `axum::ServiceExt` (E0284).
    pub fn into_make_service(self) -> IntoMakeService<SentryService<S, Boxed>>
    where
        SentryService<S, Boxed>: tower::Service<Request>,
    {
        ::axum::ServiceExt::<Request>::into_make_service(self.with_form::<Boxed>())
    }
}

/// Extracts the scope of the current request.
impl<S: Sync> FromRequestParts<S> for Scope {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::current())
    }
}

impl IntoResponseParts for CaptureError {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        response.extensions_mut().insert(self);
        Ok(response)
    }
}

impl IntoResponse for CaptureError {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self, ()).into_response()
    }
}
