//! An error that rides on a response to the layer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::client::default_client;
use crate::exception;
use crate::protocol::{EventId, Exception};
use crate::scope::{Capture, current};

/// Tells the layer why a response failed: the error's whole chain, with the place where this was made.
///
/// The layer reports it once, if the status is one that counts as failed (5xx unless set otherwise). It rides in the response's
/// extensions; with axum it is a response part, and a response of its own (500, empty).
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::http::StatusCode;
/// use axum::response::{IntoResponse, Response};
/// use tower_sentry::CaptureError;
///
/// # #[derive(Debug)] struct AppError;
/// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
/// # impl std::error::Error for AppError {}
/// impl IntoResponse for AppError {
///     fn into_response(self) -> Response {
///         (StatusCode::INTERNAL_SERVER_ERROR, CaptureError::new(self)).into_response()
///     }
/// }
/// # assert_eq!(AppError.into_response().status(), 500);
/// # }
/// ```
#[derive(Clone)]
pub struct CaptureError {
    inner: Arc<Inner>,
}

struct Inner {
    /// An error that is cloned (a cached answer, say) is an event of its own in each response but the first.
    is_reported: AtomicBool,
    event_id: EventId,
    chain: Vec<Exception>,
    addresses: Vec<usize>,
}

impl CaptureError {
    /// Reads the error's chain and the calling stack; the error itself is not kept.
    pub fn new<E: Error + Send + Sync + 'static>(error: E) -> Self {
        Self::read(&error, Some(std::any::type_name::<E>()))
    }

    /// The same for an error whose type is not known any more, as `anyhow::Error` gives it by `into()`.
    #[expect(clippy::needless_pass_by_value, reason = "as in `new`")]
    pub fn from_boxed(error: Box<dyn Error + Send + Sync>) -> Self {
        Self::read(&*error, None)
    }

    fn read(error: &(dyn Error + 'static), type_name: Option<&str>) -> Self {
        // Where nobody listens, nothing is read.
        let is_heard = current::with(|entered| entered.scope.client.is_enabled()).unwrap_or_else(|| default_client().is_enabled());
        let (chain, addresses) =
            if is_heard { (exception::chain(error, type_name), exception::addresses()) } else { (Vec::new(), Vec::new()) };
        // The same failure may have been captured already: then that event is the one that is sent.
        let announced = || current::with(|entered| entered.scope.announce(&chain)).unwrap_or_else(EventId::new);
        let event_id = if is_heard { announced() } else { EventId::nil() };
        Self { inner: Arc::new(Inner { event_id, chain, addresses, is_reported: AtomicBool::new(false) }) }
    }

    /// The id of the event that this error becomes, for the body of the response (`problem+json`, say). Nil while monitoring is off.
    ///
    /// The event is sent if the response counts as failed.
    pub fn event_id(&self) -> EventId {
        self.inner.event_id
    }

    pub(super) fn into_capture(self) -> Capture {
        let Inner { event_id, chain, addresses, is_reported } = &*self.inner;
        let event_id = if is_reported.swap(true, Ordering::Relaxed) { EventId::new() } else { *event_id };
        Capture::response(event_id, chain.clone(), addresses.clone())
    }
}

impl fmt::Debug for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types: Vec<_> = self.inner.chain.iter().filter_map(|exception| exception.kind.as_deref()).collect();
        f.debug_struct("CaptureError").field("types", &types).finish_non_exhaustive()
    }
}
