//! All that names axum.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use ::axum::body::Body;
use ::axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request};
use ::axum::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};
use ::axum::routing::IntoMakeService;
use bytes::Bytes;
use http::request::Parts;
use http::{Extensions, StatusCode};

use super::body::ResponseBody;
use super::capture_error::CaptureError;
use super::layer::{BodyForm, Boxed};
use super::service::SentryService;
use crate::scope::Scope;

/// The address at the other end of the connection, where `into_make_service_with_connect_info` has put it.
pub(super) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_canonical())
}

/// The template of the route that the router chose.
pub(super) fn matched_path(extensions: &Extensions) -> Option<&str> {
    extensions.get::<MatchedPath>().map(MatchedPath::as_str)
}

impl<B> BodyForm<B> for Boxed
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<::axum::BoxError>,
{
    type Body = Body;

    fn wrap(body: ResponseBody<B>) -> Body {
        // Where nothing is recorded the body goes on as it came: axum would box ours for 1,000 instructions.
        match body.into_untimed() {
            Ok(untimed) => Body::new(untimed),
            Err(timed) => Body::new(timed),
        }
    }
}

impl<S> SentryService<S, Boxed> {
    /// For `axum::serve`, when the layer stands around a whole `Router`.
    ///
    /// An inherent method, because `axum::ServiceExt` cannot tell the type of the request here (error E0284).
    pub fn into_make_service(self) -> IntoMakeService<Self>
    where
        Self: tower::Service<Request>,
    {
        ::axum::ServiceExt::<Request>::into_make_service(self)
    }
}

/// The scope of the request that is being served.
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
