//! Captures the error of a result, and returns the result.

use std::panic::Location;

use super::call_stack::call_stack;
use super::handle::Scope;
use crate::event::{Judge as _, Outcome};

/// Captures errors on their way: `load().await.capture()?`.
///
/// It is implemented for each `Result` whose error is a [`CapturableError`](crate::scope::CapturableError).
///
/// # Examples
///
/// ```
/// use tower_sentry::ResultExt as _;
///
/// fn port(text: &str) -> u16 {
///     text.parse::<u16>().capture().unwrap_or(8080)
/// }
/// # assert_eq!(port("x"), 8080);
/// ```
pub trait ResultExt: sealed::Sealed + Sized {
    /// Captures the error of an `Err`, as [`capture_error`](crate::capture_error) does, and returns the
    /// result unchanged.
    ///
    /// If the same error is returned or logged later in the request, it is still one event.
    #[track_caller]
    #[must_use = "the error is captured, and not handled"]
    fn capture<Kind>(self) -> Self
    where
        Self: Outcome<Kind>;
}

impl<T, E> ResultExt for Result<T, E> {
    #[track_caller]
    fn capture<Kind>(self) -> Self
    where
        Self: Outcome<Kind>,
    {
        if let Some(error) = self.error() {
            Scope::current().capture_given(&error, call_stack(Some(Location::caller().into())));
        }
        self
    }
}

impl<T, E> sealed::Sealed for Result<T, E> {}

mod sealed {
    #[expect(unnameable_types, reason = "that is what seals the trait above")]
    pub trait Sealed {}
}
