//! An error that travels to the layer in the extensions of a response.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::event::{self, Backtrace, CallStack, CapturedEvent, ErrorChain, IdUse};
use crate::protocol::EventId;
#[cfg(any(feature = "anyhow", feature = "eyre"))]
use crate::protocol::Frame;
use crate::scope::{AnnouncedId, call_stack, current};

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
}

struct CapturedError {
    /// Each later report of a clone (of a cached response, say) gets a new id.
    id: Arc<AnnouncedId>,
    chain: ErrorChain,
    stack: CallStack,
    detail: Option<Cow<'static, str>>,
    /// The error itself, if it holds a stack trace.
    backtrace: Option<Arc<dyn Backtrace>>,
}

impl CaptureError {
    /// Copies the error's chain and the calling stack; the error itself is not kept.
    #[track_caller]
    pub fn new<E: Error + Send + Sync + 'static>(error: E) -> Self {
        let type_name = std::any::type_name::<E>();
        Self::read(&error, Some(type_name), None, || event::variant(&error, type_name).map(Cow::Owned))
    }

    /// Like [`new`](Self::new), for an error whose type is not known, such as a boxed one.
    ///
    /// For `anyhow` and `eyre`, enable the features of those names: they add `From`.
    #[expect(clippy::needless_pass_by_value, reason = "as in `new`")]
    #[track_caller]
    pub fn from_boxed(error: Box<dyn Error + Send + Sync>) -> Self {
        Self::read(&*error, None, None, || None)
    }

    /// `detail` is what the type leaves open.
    #[track_caller]
    fn read(
        error: &(dyn Error + 'static),
        type_name: Option<&str>,
        backtrace: Option<Arc<dyn Backtrace>>,
        detail: impl FnOnce() -> Option<Cow<'static, str>>,
    ) -> Self {
        // While monitoring is off, nothing is read.
        let stack = call_stack(Some(Location::caller().into()));
        let is_heard = stack.is_some();
        let debug = || current::with(|entered| entered.scope.debug_output()).unwrap_or_default();
        let chain = if is_heard { event::chain(error, type_name, &debug().of_capture()) } else { ErrorChain::default() };
        let stack = stack.unwrap_or_default();
        // If the same failure was captured already, this error takes that event's id: only one
        // event is sent.
        let announced = || current::with(|entered| entered.scope.announce(&chain, &stack, entered.active()));
        let id = if is_heard { announced().unwrap_or_else(AnnouncedId::outside) } else { AnnouncedId::nil() };
        let detail = if is_heard { detail() } else { None };
        Self { inner: Arc::new(CapturedError { id, chain, stack, detail, backtrace }) }
    }

    /// The id of the event that this error becomes, for example for a `problem+json` body.
    ///
    /// The event is sent only if the response counts as failed. If the id was asked for and no event
    /// has it, `Client::stats` counts an error as dropped (`EventProcessor`). The id is nil while
    /// monitoring is off.
    pub fn event_id(&self) -> EventId {
        self.inner.id.hand_out()
    }

    pub(super) fn into_captured(self) -> CapturedEvent {
        let CapturedError { id, chain, stack, detail, backtrace } = &*self.inner;
        let (event_id, is_handed_out) = id.take().unwrap_or_else(|| (EventId::new(), false));
        let id_use = if is_handed_out { IdUse::HandedOut } else { IdUse::Internal };
        let (error_id, detail) = (Some(id.event_id()), detail.clone());
        let response = CapturedEvent::response(chain.clone(), stack.clone(), backtrace.clone());
        CapturedEvent { event_id, detail, id_use, error_id, ..response }
    }
}

/// At most this many bytes of a stack trace's text are read.
#[cfg(any(feature = "anyhow", feature = "eyre"))]
const TRACE_LIMIT: usize = 512 * 1024;

/// Converts an `anyhow` error together with its stack trace, so that a handler can use `?`.
///
/// The handler returns `Result<_, CaptureError>`. The trace is the one `anyhow` took when the error
/// was made, if `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` is set. It shows where the error was made,
/// not where it became a response.
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
        #[derive(Debug)]
        struct Anyhow(anyhow::Error);
        impl Backtrace for Anyhow {
            fn read(&self) -> Vec<Frame> {
                let backtrace = self.0.backtrace();
                let is_captured = backtrace.status() == std::backtrace::BacktraceStatus::Captured;
                // The alternate form has the addresses.
                let render = || event::rendering::render(|| event::limited_to(format_args!("{backtrace:#}"), TRACE_LIMIT));
                let text = is_captured.then(render).flatten();
                event::text::trace(&text.unwrap_or_default())
            }

            fn is_trustworthy(&self) -> bool {
                true
            }
        }
        let held = Arc::new(Anyhow(error));
        let error: &(dyn Error + 'static) = held.0.as_ref();
        // A literal is a text of the program: `anyhow!("no stock")`, `.context("no stock")`.
        let literal = || held.0.downcast_ref::<&'static str>().copied().map(Cow::Borrowed);
        Self::read(error, None, Some(Arc::clone(&held) as Arc<dyn Backtrace>), literal)
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
        #[derive(Debug)]
        struct Eyre(eyre::Report);
        impl Backtrace for Eyre {
            fn read(&self) -> Vec<Frame> {
                // `eyre`'s handler exposes the trace and the location only in its `Debug` output.
                let report = event::rendering::render(|| event::limited_to(format_args!("{:?}", self.0), TRACE_LIMIT));
                event::text::report(&report.unwrap_or_default())
            }

            fn is_trustworthy(&self) -> bool {
                false
            }
        }
        let held = Arc::new(Eyre(report));
        let error: &(dyn Error + 'static) = held.0.as_ref();
        let literal = || held.0.downcast_ref::<&'static str>().copied().map(Cow::Borrowed);
        Self::read(error, None, Some(Arc::clone(&held) as Arc<dyn Backtrace>), literal)
    }
}

impl fmt::Debug for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types: Vec<_> = self.inner.chain.exceptions.iter().filter_map(|exception| exception.kind.as_deref()).collect();
        f.debug_struct("CaptureError").field("types", &types).finish_non_exhaustive()
    }
}
