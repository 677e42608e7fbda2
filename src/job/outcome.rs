//! How work went: what its result says.

use std::error::Error;
use std::fmt;

use crate::exception;

/// What a piece of work returns. `Kind` tells the forms of errors apart and is found by the compiler.
///
/// Implemented for `()`, and for `Result` with any `std::error::Error`, and with those that only lead to one: `anyhow::Error`, `eyre::Report`,
/// `Box<dyn Error + Send + Sync>`. Results whose errors are texts go as [`TextError`], and what cannot fail as [`AnyOutcome`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how the work went",
    note = "`()` and any `Result` whose error is a `std::error::Error`, `anyhow::Error` or `Box<dyn Error + Send + Sync>` do",
    note = "wrap other results in `tower_sentry::job::TextError`, and what cannot fail in `tower_sentry::job::AnyOutcome`"
)]
pub trait Outcome<Kind> {
    /// Whether the work failed.
    fn has_failed(&self) -> bool;

    /// Its error, and the name of that error's type where it is known.
    fn error(&self) -> Option<(&(dyn Error + 'static), Option<&'static str>)> {
        None
    }

    /// What went wrong, where there is no error but a text.
    fn text(&self) -> Option<String> {
        None
    }
}

/// Errors whose type is known.
#[derive(Debug)]
#[non_exhaustive]
pub struct TypedError;

/// Errors in a box.
#[derive(Debug)]
#[non_exhaustive]
pub struct DynError;

/// No errors.
#[derive(Debug)]
#[non_exhaustive]
pub struct Plain;

/// What work returns that cannot fail, whatever its type: `async { AnyOutcome(count().await) }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "users make it")]
pub struct AnyOutcome<T>(pub T);

/// A result whose error is a text, or anything that can be shown: `async { TextError(count().await) }` for a `Result<u32, String>`.
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
        self.0.as_ref().err().map(|error| exception::shown(&format_args!("{error}")))
    }
}
