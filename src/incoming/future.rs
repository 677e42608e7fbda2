//! The response future: the scope is current in each poll.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use http::header::CONTENT_LENGTH;
use pin_project_lite::pin_project;

use super::active::ActiveRequest;
use super::body::ResponseBody;
use super::body_form::BodyForm;
use super::capture_error::CaptureError;
use crate::scope::EarlyDrop;

pin_project! {
    /// The future of a recorded response.
    ///
    /// # Cancellation
    ///
    /// If the future is dropped before the response, the transaction ends as `cancelled`, with the
    /// attribute `tower_sentry.cancelled` set to `before_headers`.
    pub struct ResponseFuture<Fut, F> {
        #[pin]
        inner: EarlyDrop<Fut>,
        active: ActiveRequest,
        form: PhantomData<fn() -> F>,
    }

    impl<Fut, F> PinnedDrop for ResponseFuture<Fut, F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.active.leave(|| this.inner.end());
        }
    }
}

impl<Fut, F> ResponseFuture<Fut, F> {
    pub(super) fn new(inner: Fut, active: ActiveRequest) -> Self {
        Self { inner: EarlyDrop::new(inner), active, form: PhantomData }
    }
}

impl<Fut, F, B, E> Future for ResponseFuture<Fut, F>
where
    Fut: Future<Output = Result<Response<B>, E>>,
    E: fmt::Display,
    F: BodyForm<B>,
    B: http_body::Body,
{
    type Output = Result<Response<F::Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // Returns early when off: nothing below needs to be checked.
        if let ActiveRequest::Off = this.active {
            let response = ready!(this.inner.poll(cx))?;
            return Poll::Ready(Ok(response.map(|body| F::wrap(ResponseBody::new(body, ActiveRequest::Off)))));
        }
        match ready!(this.active.poll(|| this.inner.poll(cx))) {
            Ok(mut response) => {
                match this.active {
                    // Without a transaction the error stays on the response: an outer layer may
                    // read it.
                    ActiveRequest::Off | ActiveRequest::Ignored(_) => {}
                    ActiveRequest::Logged(rules) => {
                        let status = response.status().as_u16();
                        let has_failed = rules.failed_status_codes.as_ref().map_or(status >= 500, |failed| failed.contains(status));
                        if let Some(error) = response.extensions_mut().get_mut::<CaptureError>().filter(|_| has_failed) {
                            error.log(None);
                        }
                    }
                    ActiveRequest::Recorded(exchange) => exchange.with(|exchange| {
                        let error = response.extensions_mut().remove::<CaptureError>();
                        if let Some(error) = exchange.head(response.status(), response.headers_mut(), error) {
                            response.extensions_mut().insert(error);
                        }
                        exchange.body(length(&response), response.body().is_end_stream());
                    }),
                }
                let active = std::mem::take(this.active).into_body();
                Poll::Ready(Ok(response.map(|body| F::wrap(ResponseBody::new(body, active)))))
            }
            Err(error) => {
                this.active.error(&error);
                Poll::Ready(Err(error))
            }
        }
    }
}

/// The length of the body that the client expects, if it is known.
///
/// The `Content-Length` header comes first: a stream of known length (a file, a proxied response) has the
/// length only there. If the body turns out to have another length, the server closes the connection.
fn length<B: http_body::Body>(response: &Response<B>) -> Option<u64> {
    let promised = || response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    promised().or_else(|| response.body().size_hint().exact())
}

impl<Fut, F> fmt::Debug for ResponseFuture<Fut, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("active", &self.active).finish_non_exhaustive()
    }
}
