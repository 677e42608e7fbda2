//! An error that rides on a response to the layer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::client::default_client;
use crate::exception;
#[cfg(any(feature = "anyhow", feature = "eyre"))]
use crate::protocol::Stacktrace;
use crate::protocol::{EventId, Exception};
use crate::record::Backtrace;
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
    /// The error itself, where it holds a stack trace.
    backtrace: Option<Arc<dyn Backtrace>>,
}

impl CaptureError {
    /// Reads the error's chain and the calling stack; the error itself is not kept.
    pub fn new<E: Error + Send + Sync + 'static>(error: E) -> Self {
        Self::read(&error, Some(std::any::type_name::<E>()), None)
    }

    /// The same for an error whose type is not known any more, such as the one in a box. For `anyhow` and `eyre` there are features of those names, which bring `From`.
    #[expect(clippy::needless_pass_by_value, reason = "as in `new`")]
    pub fn from_boxed(error: Box<dyn Error + Send + Sync>) -> Self {
        Self::read(&*error, None, None)
    }

    fn read(error: &(dyn Error + 'static), type_name: Option<&str>, backtrace: Option<Arc<dyn Backtrace>>) -> Self {
        // Where nobody listens, nothing is read.
        let is_heard = current::with(|entered| entered.scope.client.is_enabled()).unwrap_or_else(|| default_client().is_enabled());
        let (chain, addresses) =
            if is_heard { (exception::chain(error, type_name), exception::addresses()) } else { (Vec::new(), Vec::new()) };
        // The same failure may have been captured already: then that event is the one that is sent.
        let announced = || current::with(|entered| entered.scope.announce(&chain)).unwrap_or_else(EventId::new);
        let event_id = if is_heard { announced() } else { EventId::nil() };
        Self { inner: Arc::new(Inner { event_id, chain, addresses, backtrace, is_reported: AtomicBool::new(false) }) }
    }

    /// The id of the event that this error becomes, for the body of the response (`problem+json`, say). Nil while monitoring is off.
    ///
    /// The event is sent if the response counts as failed.
    pub fn event_id(&self) -> EventId {
        self.inner.event_id
    }

    pub(super) fn into_capture(self) -> Capture {
        let Inner { event_id, chain, addresses, backtrace, is_reported } = &*self.inner;
        let event_id = if is_reported.swap(true, Ordering::Relaxed) { EventId::new() } else { *event_id };
        Capture::response(event_id, chain.clone(), addresses.clone(), backtrace.clone())
    }
}

/// As many bytes of a trace's text are read.
#[cfg(any(feature = "anyhow", feature = "eyre"))]
const TRACE_LIMIT: usize = 512 * 1024;

/// With the stack trace that `anyhow` took when the error was made, where `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` asked for one: it
/// shows where the error comes from, and not where it became a response. So a handler may return `Result<_, CaptureError>` and use `?`.
///
/// # Examples
///
/// ```
/// use tower_sentry::CaptureError;
///
/// async fn show() -> Result<String, CaptureError> {
///     let text = std::fs::read_to_string("/no/such/file").map_err(anyhow::Error::from)?;
///     Ok(text)
/// }
/// ```
#[cfg(feature = "anyhow")]
impl From<anyhow::Error> for CaptureError {
    fn from(error: anyhow::Error) -> Self {
        #[derive(Debug)]
        struct Anyhow(anyhow::Error);
        impl Backtrace for Anyhow {
            fn read(&self) -> Option<Stacktrace> {
                let backtrace = self.0.backtrace();
                let is_captured = backtrace.status() == std::backtrace::BacktraceStatus::Captured;
                let text = is_captured.then(|| exception::limited(format_args!("{backtrace}"), TRACE_LIMIT)).flatten();
                exception::text::trace(&text?)
            }

            fn is_trustworthy(&self) -> bool {
                true
            }
        }
        let held = Arc::new(Anyhow(error));
        let error: &(dyn Error + 'static) = held.0.as_ref();
        Self::read(error, None, Some(Arc::clone(&held) as Arc<dyn Backtrace>))
    }
}

/// With the stack trace that `eyre`'s own handler took when the report was made (`RUST_BACKTRACE` or `RUST_LIB_BACKTRACE`), or at least with
/// the place where that was. Handlers of other crates, such as `color-eyre`'s, show neither.
#[cfg(feature = "eyre")]
impl From<eyre::Report> for CaptureError {
    fn from(report: eyre::Report) -> Self {
        #[derive(Debug)]
        struct Eyre(eyre::Report);
        impl Backtrace for Eyre {
            fn read(&self) -> Option<Stacktrace> {
                // The handler keeps both to itself, but for what it prints.
                exception::text::report(&exception::limited(format_args!("{:?}", self.0), TRACE_LIMIT)?)
            }

            fn is_trustworthy(&self) -> bool {
                false
            }
        }
        let held = Arc::new(Eyre(report));
        let error: &(dyn Error + 'static) = held.0.as_ref();
        Self::read(error, None, Some(Arc::clone(&held) as Arc<dyn Backtrace>))
    }
}

impl fmt::Debug for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types: Vec<_> = self.inner.chain.iter().filter_map(|exception| exception.kind.as_deref()).collect();
        f.debug_struct("CaptureError").field("types", &types).finish_non_exhaustive()
    }
}
