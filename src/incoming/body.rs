//! The response body: the scope is current for each frame, and the transaction ends with the body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf as _;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::active::ActiveRequest;
use crate::scope::EarlyDrop;

pin_project! {
    /// A response body that is timed to its end.
    ///
    /// # Cancellation
    ///
    /// If the body is dropped before its end, the transaction ends as `cancelled`, with the
    /// attribute `tower_sentry.cancelled` set to `in_body`. In two cases it counts as complete
    /// instead:
    ///
    /// - All bytes of a known length were delivered.
    /// - The body was never polled, and its length is known or the response has none (HEAD, 1xx,
    ///   204, 304).
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: EarlyDrop<B>,
        active: ActiveRequest,
    }

    impl<B> PinnedDrop for ResponseBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.active.leave(|| this.inner.end());
        }
    }
}

impl<B: Body> ResponseBody<B> {
    pub(super) fn new(inner: B, active: ActiveRequest) -> Self {
        Self { inner: EarlyDrop::new(inner), active }
    }
}

impl<B> ResponseBody<B> {
    /// Returns the inner body if nothing is timed.
    #[cfg(feature = "axum")]
    pub(super) fn into_untimed(mut self) -> Result<B, Self> {
        let body = if matches!(self.active, ActiveRequest::Off) { self.inner.take() } else { None };
        body.ok_or(self)
    }
}

/// An empty body, for outer layers that answer the request themselves (tower-http's timeout and CORS layers).
impl<B: Default> Default for ResponseBody<B> {
    fn default() -> Self {
        Self { inner: EarlyDrop::new(B::default()), active: ActiveRequest::Off }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        if matches!(this.active, ActiveRequest::Off) {
            return this.inner.poll_frame(cx);
        }
        let frame = ready!(this.active.enter(|| this.inner.as_mut().poll_frame(cx)));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.remaining() as u64);
                // Trailers are the last frame; some servers do not poll again after it.
                this.active.frame(bytes, frame.trailers_ref(), frame.is_trailers() || this.inner.is_end_stream());
            }
            Some(Err(_)) => this.active.body_error(),
            None => this.active.complete(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
