//! How work went: what its result says.

use std::error::Error;

/// What a piece of work returns. `Kind` tells the forms of errors apart and is found by the compiler.
///
/// Implemented for `()`, and for `Result` with any `std::error::Error`, and with those that only lead to one: `anyhow::Error`, `eyre::Report`,
/// `Box<dyn Error + Send + Sync>`. Anything else goes as [`AnyResult`].
pub trait Outcome<Kind> {
    /// Whether the work failed.
    fn has_failed(&self) -> bool;

    /// Its error, and the name of that error's type where it is known.
    fn error(&self) -> Option<(&(dyn Error + 'static), Option<&'static str>)>;
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

/// A result that cannot fail, whatever its type: `async { AnyResult(count().await) }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "users make it")]
pub struct AnyResult<T>(pub T);

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

    fn error(&self) -> Option<(&(dyn Error + 'static), Option<&'static str>)> {
        None
    }
}

impl<T> Outcome<Plain> for AnyResult<T> {
    fn has_failed(&self) -> bool {
        false
    }

    fn error(&self) -> Option<(&(dyn Error + 'static), Option<&'static str>)> {
        None
    }
}
