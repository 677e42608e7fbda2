//! An error that travels to the layer in the extensions of a response.

use std::borrow::Cow;
use std::error::Error;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fmt, mem};

use crate::client::{Client, Settings};
use crate::diagnostics;
use crate::event::{self, Backtrace, CallStack, CapturableError, CapturedEvent, CodeLocation, DebugOutput, ErrorChain, IdUse};
use crate::protocol::EventId;
use crate::redaction::Redactor;
use crate::scope::{AnnouncedId, call_stack, current, read_error};

/// Whether a layer of the process writes errors to the local log. If not, errors are not read while
/// monitoring is off.
static LOGS: AtomicBool = AtomicBool::new(false);

/// Makes `CaptureError` read errors from now on, even while monitoring is off.
pub(super) fn log_from_now_on() {
    LOGS.store(true, Ordering::Relaxed);
}

/// Gives the layer the error behind a failed response, with its sources and a stack trace.
///
/// The layer reports it once, if the response's status counts as failed (5xx by default).
///
/// It travels in the extensions of the response. With axum it is a response part
/// (`IntoResponseParts`), and on its own it is an empty response with status 500.
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
    inner: Arc<CapturedError>,
    /// Whether an inner layer has written it to the local log.
    is_logged: bool,
}

struct CapturedError {
    /// Each later report of a clone (of a cached response, say) gets a new id.
    id: Arc<AnnouncedId>,
    chain: ErrorChain,
    stack: CallStack,
    detail: Option<Cow<'static, str>>,
    place: &'static Location<'static>,
    /// The error itself, if it holds a stack trace.
    backtrace: Option<Arc<dyn Backtrace>>,
}

impl CaptureError {
    /// Copies the error's chain and the calling stack; the error itself is not kept.
    ///
    /// `error` is a `std::error::Error`, `anyhow::Error`, `eyre::Report`, `Box<dyn Error + Send + Sync>` or
    /// a text, see [`CapturableError`]. The place of the event is that of the call. With the features
    /// `anyhow` and `eyre`, an error of these crates has its own stack trace as well.
    #[track_caller]
    pub fn new<E, Kind>(error: E) -> Self
    where
        E: CapturableError<Kind>,
    {
        let given = error.given();
        Self::read(|debug| read_error(&Client::current(), &given, debug), || given.detail()).with_trace(|| error.into_trace().0)
    }

    /// Like [`new`](Self::new), for an error whose type is not known, such as a boxed one.
    #[track_caller]
    pub fn from_boxed(error: Box<dyn Error + Send + Sync>) -> Self {
        Self::new(error)
    }

    /// Reports a failure whose type `E` does not implement `std::error::Error`.
    ///
    /// The event has the type's name, the message, and the place of the call.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::CaptureError;
    ///
    /// struct Refusal { code: u16 }
    ///
    /// fn report(refusal: &Refusal) -> CaptureError {
    ///     CaptureError::from_message::<Refusal>(format_args!("the bank refused the card: {}", refusal.code))
    /// }
    /// # report(&Refusal { code: 51 });
    /// ```
    #[track_caller]
    pub fn from_message<E: ?Sized>(message: impl fmt::Display) -> Self {
        let text = || event::limited(format_args!("{message}")).unwrap_or_default();
        Self::read(|_| event::described(std::any::type_name::<E>(), &text()), || None)
    }

    /// `detail` is the variant or the literal of the error, see [`GivenError::detail`](crate::event::GivenError::detail).
    #[track_caller]
    fn read(chain: impl FnOnce(&DebugOutput) -> ErrorChain, detail: impl FnOnce() -> Option<Cow<'static, str>>) -> Self {
        // While monitoring is off, nothing is read, unless a layer logs errors.
        let stack = call_stack(Some(Location::caller().into()));
        let is_heard = stack.is_some();
        let debug = || current::with(|entered| entered.scope.debug_output()).unwrap_or_default().of_capture();
        let chain = if is_heard || LOGS.load(Ordering::Relaxed) { chain(&debug()) } else { ErrorChain::default() };
        let stack = stack.unwrap_or_default();
        // If the same failure was captured already, this error takes that event's id: only one
        // event is sent.
        let announced = || current::with(|entered| entered.scope.announce(&chain, &stack, entered.active()));
        let id = if is_heard { announced().unwrap_or_else(AnnouncedId::outside) } else { AnnouncedId::nil() };
        let detail = if is_heard { detail() } else { None };
        let place = Location::caller();
        Self { inner: Arc::new(CapturedError { id, chain, stack, detail, place, backtrace: None }), is_logged: false }
    }

    /// Adds the stack trace inside the error, if the error is read.
    fn with_trace(mut self, trace: impl FnOnce() -> Option<Arc<dyn Backtrace>>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner).filter(|inner| !inner.stack.is_empty()) {
            inner.backtrace = trace();
        }
        self
    }

    /// Writes the error to the local log, unless a layer inside has done so. Its text is redacted.
    pub(super) fn log(&mut self, settings: Option<&Settings>) {
        let CapturedError { chain, place, .. } = &*self.inner;
        let Some(kind) = chain.exceptions.first().and_then(|outermost| outermost.kind.as_deref()) else { return };
        if mem::replace(&mut self.is_logged, true) {
            return;
        }
        let texts: Vec<_> = chain.exceptions.iter().filter_map(|exception| exception.value.as_deref()).collect();
        let redactor = settings.map_or_else(
            || Redactor::new(Arc::default(), false),
            |Settings { privacy, .. }| Redactor::new(Arc::clone(&privacy.redaction), privacy.send_default_pii),
        );
        let text = texts.join(": ");
        diagnostics::log_error(&redactor.text(&text), kind, &CodeLocation::from(*place));
    }

    /// The id of the event that this error becomes, for example for a `problem+json` body.
    ///
    /// The event is sent only if the response counts as failed. If you call this method and no event gets
    /// the id, `Client::stats` counts an error as dropped (`EventProcessor`). The id is nil while
    /// monitoring is off.
    pub fn event_id(&self) -> EventId {
        self.inner.id.hand_out()
    }

    pub(super) fn into_captured(self) -> CapturedEvent {
        let CapturedError { id, chain, stack, detail, backtrace, .. } = &*self.inner;
        let (event_id, is_handed_out) = id.take().unwrap_or_else(|| (EventId::new(), false));
        let id_use = if is_handed_out { IdUse::HandedOut } else { IdUse::Internal };
        let (error_id, detail) = (Some(id.event_id()), detail.clone());
        let response = CapturedEvent::response(chain.clone(), stack.clone(), backtrace.clone());
        CapturedEvent { event_id, detail, id_use, error_id, ..response }
    }
}

/// Converts an `anyhow` error together with its stack trace, so that a handler can use `?`.
///
/// The handler returns `Result<_, CaptureError>`. The place of the event is that of the `?`. The trace is
/// the one `anyhow` took when the error was made, if `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` is set.
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
    #[track_caller]
    fn from(error: anyhow::Error) -> Self {
        Self::new(error)
    }
}

/// Converts an `eyre` report together with its stack trace, or at least its location.
///
/// The trace is the one that `eyre`'s default handler took when the report was made, if
/// `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` is set. The location is the place where the report was
/// made. Handlers of other crates, such as `color-eyre`, expose neither.
#[cfg(feature = "eyre")]
impl From<eyre::Report> for CaptureError {
    #[track_caller]
    fn from(report: eyre::Report) -> Self {
        Self::new(report)
    }
}

/// Converts a boxed error, so that a handler can use `?`. The place of the event is that of the `?`.
impl From<Box<dyn Error + Send + Sync>> for CaptureError {
    #[track_caller]
    fn from(error: Box<dyn Error + Send + Sync>) -> Self {
        Self::new(error)
    }
}

impl fmt::Debug for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types: Vec<_> = self.inner.chain.exceptions.iter().filter_map(|exception| exception.kind.as_deref()).collect();
        f.debug_struct("CaptureError").field("types", &types).finish_non_exhaustive()
    }
}
