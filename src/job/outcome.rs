//! The outcome of work, read from its result.

use std::error::Error;
use std::fmt;

use crate::event;

/// The result of a piece of work. The compiler infers `Kind`, the form of its error.
///
/// It is implemented for:
///
/// - `()`.
/// - `Result` with any `std::error::Error`.
/// - `Result` with an error that refers to one: `anyhow::Error`, `eyre::Report`,
///   `Box<dyn Error + Send + Sync>`.
///
/// Wrap a `Result` whose error is a text in [`TextError`], and work that cannot fail in
/// [`AnyOutcome`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how the work went",
    note = "`()` and any `Result` whose error is a `std::error::Error`, `anyhow::Error` or `Box<dyn Error + Send + Sync>` do",
    note = "wrap other results in `tower_sentry::job::TextError`, and what cannot fail in `tower_sentry::job::AnyOutcome`"
)]
pub trait Outcome<Kind> {
    /// Whether the work failed.
    fn has_failed(&self) -> bool;

    /// The error, and the name of its type if it is known.
    fn error(&self) -> Option<(&(dyn Error + 'static), Option<&'static str>)> {
        None
    }

    /// The error's text, if the error is only a text.
    fn text(&self) -> Option<String> {
        None
    }
}

/// Errors whose type is known.
#[derive(Debug)]
#[non_exhaustive]
pub struct TypedError;

/// Boxed errors.
#[derive(Debug)]
#[non_exhaustive]
pub struct DynError;

/// Results without an `Error` value: `()`, [`AnyOutcome`] and [`TextError`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Plain;

/// The result of work that cannot fail, of any type: `async { AnyOutcome(count().await) }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "users make it")]
pub struct AnyOutcome<T>(pub T);

/// A result whose error is a text or any other `Display` type.
///
/// For a `Result<u32, String>`, write `async { TextError(count().await) }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "users make it")]
pub struct TextError<T, E>(pub Result<T, E>);

impl<T, E: Error + 'static> Outcome<TypedError> for Result<T, E> {
    fn has_failed(&self) -> bool {
        self.is_err()
    }

    fn error(&self) -> Option<(&(dyn Error + 'static), Option<&'static str>)> {
        self.as_ref().err().map(|error| (error as &(dyn Error + 'static), Some(std::any::type_name::<E>())))
    }
}

impl<T, E: AsRef<dyn Error + Send + Sync + 'static>> Outcome<DynError> for Result<T, E> {
    fn has_failed(&self) -> bool {
        self.is_err()
    }

    fn error(&self) -> Option<(&(dyn Error + 'static), Option<&'static str>)> {
        self.as_ref().err().map(|error| (error.as_ref() as &(dyn Error + 'static), None))
    }
}

impl Outcome<Plain> for () {
    fn has_failed(&self) -> bool {
        false
    }
}

impl<T> Outcome<Plain> for AnyOutcome<T> {
    fn has_failed(&self) -> bool {
        false
    }
}

impl<T, E: fmt::Display> Outcome<Plain> for TextError<T, E> {
    fn has_failed(&self) -> bool {
        self.0.is_err()
    }

    fn text(&self) -> Option<String> {
        self.0.as_ref().err().map(|error| event::shown(&format_args!("{error}")))
    }
}
