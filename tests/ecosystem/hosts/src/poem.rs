//! A [`SentryLayer`] as a middleware of poem.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use poem::{Endpoint, IntoResponse, Middleware, PathPattern, Request, Response, ResponseParts};
use tower::{Layer, Service, service_fn};
use tower_sentry::incoming::RouteTemplate;
use tower_sentry::{CaptureError, Scope, SentryLayer};

/// Records the requests of an endpoint or of a whole `Route`.
///
/// Errors become responses here, so put this middleware outside of those that handle errors.
pub struct Sentry(pub SentryLayer);

impl<E: Endpoint> Middleware<E> for Sentry {
    type Output = SentryEndpoint<E>;

    fn transform(&self, inner: E) -> SentryEndpoint<E> {
        SentryEndpoint { inner, layer: self.0.clone() }
    }
}

/// An endpoint whose requests are recorded. Made by [`Sentry`].
pub struct SentryEndpoint<E> {
    inner: E,
    layer: SentryLayer,
}

impl<E: Endpoint> Endpoint for SentryEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let mut service = self.layer.layer(service_fn(|request| respond(&self.inner, request)));
        let Ok(response) = service.call(with_head(request)).await;
        let (parts, body) = response.into_parts();
        let http::response::Parts { status, version, headers, extensions, .. } = parts;
        // `Response::from` would forget how long the body is.
        Ok(Response::from_parts(ResponseParts { status, version, headers, extensions }, body.boxed().into()))
    }
}

/// The framework's request as the body of a request with the same head, for the layer.
fn with_head(request: Request) -> http::Request<Request> {
    let mut head = http::Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.original_uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    if let Some(PathPattern(template)) = request.data() {
        head.extensions_mut().insert(RouteTemplate::new(template.clone()));
    }
    head.map(|()| request)
}

async fn respond<E: Endpoint>(inner: &E, request: http::Request<Request>) -> Result<http::Response<BoxBody<Bytes, io::Error>>, Infallible> {
    let is_routed = request.extensions().get::<RouteTemplate>().is_some();
    let method = request.method().clone();
    let response = match inner.call(request.into_body()).await {
        Ok(response) => response.into_response(),
        Err(error) => {
            let report = error.status().is_server_error().then(|| CaptureError::from_message::<poem::Error>(&error));
            let template = error.data::<PathPattern>().cloned();
            let mut response = error.into_response();
            // What the error knows is not in its response.
            if let Some(template) = template {
                response.set_data(template);
            }
            if let Some(report) = report {
                response.set_data(report);
            }
            response
        }
    };
    // Around a `Route`, its template is known only now.
    if let (false, Some(PathPattern(template))) = (is_routed, response.data()) {
        Scope::current().set_transaction_name(format!("{method} {template}"));
    }
    Ok(response.into())
}
