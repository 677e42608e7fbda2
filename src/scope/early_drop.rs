//! Work that is dropped while its scope is current.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// A future or a body that its owner drops inside the scope.
    ///
    /// Code that cleans up, such as the `Drop` of a value in a cancelled handler, may log or capture.
    /// The owner's fields are dropped after its own `Drop`, when the scope is no longer current.
    #[derive(Debug)]
    pub(crate) struct EarlyDrop<T> {
        // None after the drop.
        #[pin]
        work: Option<T>,
    }
}

impl<T> EarlyDrop<T> {
    pub(crate) fn new(work: T) -> Self {
        Self { work: Some(work) }
    }

    /// Drops the work now.
    pub(crate) fn end(self: Pin<&mut Self>) {
        self.project().work.set(None);
    }

    #[cfg(feature = "axum")]
    pub(crate) fn take(&mut self) -> Option<T> {
        self.work.take()
    }
}

impl<T: Future> Future for EarlyDrop<T> {
    type Output = T::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        // Nothing polls a future after its drop.
        match self.project().work.as_pin_mut() {
            Some(work) => work.poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<T: Body> Body for EarlyDrop<T> {
    type Data = T::Data;
    type Error = T::Error;

    #[inline]
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<T::Data>, T::Error>>> {
        match self.project().work.as_pin_mut() {
            Some(work) => work.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        match &self.work {
            Some(work) => work.is_end_stream(),
            None => true,
        }
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match &self.work {
            Some(work) => work.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}
