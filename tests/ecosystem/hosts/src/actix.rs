//! A [`SentryLayer`] as a middleware of actix-web.

use std::cell::RefCell;
use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::{Version, header};
use actix_web::{Error, HttpRequest, HttpResponse, error};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use tower::{Layer, Service as _, service_fn};
use tower_sentry::incoming::{ResponseBody, RouteTemplate};
use tower_sentry::{CaptureError, SentryLayer};

/// Records the requests of an `App`, a scope or a resource.
#[derive(Clone)]
pub struct Sentry(pub SentryLayer);

impl<S, B> Transform<S, ServiceRequest> for Sentry
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<RecordedBody>;
    type Error = Error;
    type Transform = SentryMiddleware<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(SentryMiddleware { inner, layer: self.0.clone() }))
    }
}

/// A service whose requests are recorded. Made by [`Sentry`].
pub struct SentryMiddleware<S> {
    inner: S,
    layer: SentryLayer,
}

/// What actix-web gets back beside the body: the heads, or the error of the inner service.
type Answer = Result<(HttpRequest, HttpResponse<()>, BodySize), Error>;

impl<S, B> Service<ServiceRequest> for SentryMiddleware<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<RecordedBody>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let kept: Rc<RefCell<Option<Answer>>> = Rc::default();
        let answer = Rc::clone(&kept);
        let next = service_fn(|request: http::Request<ServiceRequest>| {
            let (inner, kept) = (self.inner.call(request.into_body()), Rc::clone(&kept));
            async move {
                let (recorded, answer) = split(inner.await);
                kept.replace(Some(answer));
                Ok::<_, Infallible>(recorded)
            }
        });
        // The inner service is called here, while the layer's scope is current.
        let recorded = self.layer.layer(next).call(with_head(request));
        Box::pin(async move {
            let Ok(recorded) = recorded.await;
            let (request, response, size) = answer.take().unwrap_or_else(|| Err(error::ErrorInternalServerError("no response")))?;
            let (parts, body) = recorded.into_parts();
            let mut response = response.set_body(RecordedBody { body, size });
            // Headers that the layer has added, such as `x-trace-id`. One that the application has set stays alone; `Server-Timing` is
            // a list of both.
            let own = response.headers().clone();
            for (name, value) in &parts.headers {
                let (name, value) = (header::HeaderName::from_bytes(name.as_ref()), header::HeaderValue::from_bytes(value.as_bytes()));
                if let (Ok(name), Ok(value)) = (name, value)
                    && (name == "server-timing" || !own.contains_key(&name))
                {
                    response.headers_mut().append(name, value);
                }
            }
            Ok(ServiceResponse::new(request, response))
        })
    }
}

/// The framework's request as the body of a request with the same head, for the layer. actix-web has types of http 0.2.
fn with_head(request: ServiceRequest) -> http::Request<ServiceRequest> {
    let mut head = http::Request::new(());
    *head.method_mut() = request.method().as_str().parse().unwrap_or_default();
    *head.uri_mut() = request.uri().to_string().parse().unwrap_or_default();
    *head.version_mut() = if request.version() == Version::HTTP_2 { http::Version::HTTP_2 } else { http::Version::HTTP_11 };
    for (name, value) in request.headers() {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_ref()), HeaderValue::from_bytes(value.as_bytes())) {
            head.headers_mut().append(name, value);
        }
    }
    if let Some(template) = request.match_pattern() {
        head.extensions_mut().insert(RouteTemplate::new(template));
    }
    head.map(|()| request)
}

/// The response for the layer, and what the framework needs of it.
fn split<B: MessageBody + 'static>(result: Result<ServiceResponse<B>, Error>) -> (http::Response<ActixBody>, Answer) {
    let (status, failure, body, answer) = match result {
        Ok(response) => {
            let (request, response) = response.into_parts();
            let failure = response.error().map(ToString::to_string);
            let (response, body) = response.into_parts();
            let size = body.size();
            let body = body.boxed();
            (response.status(), failure, body, Ok((request, response, size)))
        }
        Err(error) => (error.as_response_error().status_code(), Some(error.to_string()), BoxBody::new(()), Err(error)),
    };
    let mut recorded = http::Response::new(ActixBody(body));
    *recorded.status_mut() = http::StatusCode::from_u16(status.as_u16()).unwrap_or_default();
    if let Some(text) = failure.filter(|_| status.is_server_error()) {
        recorded.extensions_mut().insert(CaptureError::from_message::<Error>(text));
    }
    (recorded, answer)
}

/// A body of actix-web, as the layer reads it.
struct ActixBody(BoxBody);

impl Body for ActixBody {
    type Data = Bytes;
    type Error = Box<dyn StdError>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.as_pin_mut().poll_next(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.size() {
            BodySize::None => SizeHint::with_exact(0),
            BodySize::Sized(size) => SizeHint::with_exact(size),
            BodySize::Stream => SizeHint::default(),
        }
    }
}

/// The body of a recorded response: its transaction ends with it.
pub struct RecordedBody {
    body: ResponseBody<ActixBody>,
    size: BodySize,
}

impl MessageBody for RecordedBody {
    type Error = Box<dyn StdError>;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        // Bodies of actix-web have no trailers.
        frame.map(|frame| frame.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default())))
    }
}
