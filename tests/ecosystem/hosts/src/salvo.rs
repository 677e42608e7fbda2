//! A [`SentryLayer`] as a hoop of salvo.
//!
//! Salvo's own `compat()` runs the handlers beside the layer's future, and not inside it. No scope would be current in them.

use std::convert::Infallible;
use std::error::Error as _;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::BodyExt as _;
use salvo::http::{ResBody, StatusError};
use salvo::{Depot, FlowCtrl, Handler, Request, Response, async_trait};
use tower::{Layer, Service, service_fn};
use tower_sentry::incoming::RouteTemplate;
use tower_sentry::{CaptureError, SentryLayer};

/// Records the requests of a router or of a whole service.
pub struct Sentry(pub SentryLayer);

#[async_trait]
impl Handler for Sentry {
    async fn handle(&self, request: &mut Request, depot: &mut Depot, response: &mut Response, ctrl: &mut FlowCtrl) {
        let head = head(request);
        let has_body = AtomicBool::new(false);
        let has_body = &has_body;
        let answer = {
            let mut flow = Some((request, depot, &mut *response, ctrl));
            let next = service_fn(move |_: http::Request<()>| {
                let flow = flow.take();
                async move {
                    let Some((request, depot, response, ctrl)) = flow else { return Ok(http::Response::new(ResBody::None)) };
                    ctrl.call_next(request, depot, response).await;
                    has_body.store(!response.body.is_none() && !response.body.is_error(), Ordering::Relaxed);
                    Ok::<_, Infallible>(answer(response))
                }
            });
            let Ok(answer) = self.0.layer(next).call(head).await;
            answer
        };
        let (parts, body) = answer.into_parts();
        response.headers = parts.headers;
        response.extensions = parts.extensions;
        // The catcher of the service writes the page of an error later, also where there is no body.
        if has_body.load(Ordering::Relaxed) {
            response.body = ResBody::Boxed(Box::pin(body.map_err(Into::into)));
        }
    }
}

fn head(request: &Request) -> http::Request<()> {
    let mut head = http::Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    if !request.matched_path().is_empty() {
        head.extensions_mut().insert(RouteTemplate::new(format!("/{}", request.matched_path())));
    }
    head
}

/// The response as the layer sees it. The page of an error is not written yet, so it stays where it is.
fn answer(response: &mut Response) -> http::Response<ResBody> {
    let mut answer = http::Response::new(ResBody::None);
    *answer.status_mut() = response.status_code.unwrap_or_default();
    *answer.headers_mut() = std::mem::take(&mut response.headers);
    *answer.extensions_mut() = std::mem::take(&mut response.extensions);
    match &response.body {
        ResBody::Error(error) if error.code.is_server_error() => {
            let text = error.source().map_or_else(|| error.brief.clone(), ToString::to_string);
            answer.extensions_mut().insert(CaptureError::from_message::<StatusError>(text));
        }
        ResBody::Error(_) => {}
        _ => *answer.body_mut() = response.take_body(),
    }
    answer
}
