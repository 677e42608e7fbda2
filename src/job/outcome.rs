//! The outcome of work, read from its result.

use std::borrow::Cow;
use std::error::Error;

use self::sealed::ReturnedError;
use crate::event::{self, DebugOutput, ErrorChain};

/// A result that says whether the work failed: `()` or a `Result`.
///
/// The error of the `Result` may be:
///
/// - Any `std::error::Error`.
/// - `anyhow::Error`, `eyre::Report`, `Box<dyn Error + Send + Sync>` or `Box<dyn Error>`.
/// - A text: `String`, `&str` or `Cow<str>`.
///
/// Convert other errors with `map_err`. Other types of results, such as numbers and options, go
/// through [`run_infallible`](super::TransactionBuilder::run_infallible).
///
/// The trait is sealed. The compiler infers `Kind`, the form of the error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say whether the work failed",
    note = "`()` does, and any `Result` whose error is a `std::error::Error`, `anyhow::Error`, `Box<dyn Error>` or a text",
    note = "convert other errors with `map_err`; for work that cannot fail, call `run_infallible` instead of `run`"
)]
pub trait Outcome<Kind>: sealed::Judge<Kind> {}

/// The errors implement `std::error::Error`.
#[derive(Debug)]
#[non_exhaustive]
pub struct TypedErrors;

/// The errors are boxed: `Box<dyn Error + Send + Sync>`, `anyhow::Error` or `eyre::Report`.
#[derive(Debug)]
#[non_exhaustive]
pub struct BoxedErrors;

impl Outcome<sealed::Listed> for () {}
impl<T, E: Error + 'static> Outcome<TypedErrors> for Result<T, E> {}
impl<T, E: AsRef<dyn Error + Send + Sync + 'static>> Outcome<BoxedErrors> for Result<T, E> {}
impl<T, E: sealed::ListedError> Outcome<sealed::Listed> for Result<T, E> {}

impl sealed::Judge<sealed::Listed> for () {
    fn error(&self) -> Option<ReturnedError<'_>> {
        None
    }
}

impl<T, E: Error + 'static> sealed::Judge<TypedErrors> for Result<T, E> {
    fn error(&self) -> Option<ReturnedError<'_>> {
        self.as_ref().err().map(|error| ReturnedError::Typed(error, std::any::type_name::<E>()))
    }
}

impl<T, E: AsRef<dyn Error + Send + Sync + 'static>> sealed::Judge<BoxedErrors> for Result<T, E> {
    fn error(&self) -> Option<ReturnedError<'_>> {
        self.as_ref().err().map(|error| ReturnedError::Boxed(error.as_ref()))
    }
}

impl<T, E: sealed::ListedError> sealed::Judge<sealed::Listed> for Result<T, E> {
    fn error(&self) -> Option<ReturnedError<'_>> {
        self.as_ref().err().map(E::returned)
    }
}

impl sealed::ListedError for Box<dyn Error> {
    fn returned(&self) -> ReturnedError<'_> {
        ReturnedError::Boxed(self.as_ref())
    }
}

impl sealed::ListedError for String {
    fn returned(&self) -> ReturnedError<'_> {
        ReturnedError::Text(self)
    }
}

impl sealed::ListedError for &str {
    fn returned(&self) -> ReturnedError<'_> {
        ReturnedError::Text(self)
    }
}

impl sealed::ListedError for Cow<'_, str> {
    fn returned(&self) -> ReturnedError<'_> {
        ReturnedError::Text(self)
    }
}

impl ReturnedError<'_> {
    /// The chain of the error; see [`event::chain`].
    pub(super) fn chain(&self, debug: &DebugOutput) -> ErrorChain {
        match *self {
            Self::Typed(error, type_name) => event::chain(error, Some(type_name), debug),
            Self::Boxed(error) => event::chain(error, None, debug),
            // Cut at the length of a message.
            Self::Text(text) => event::text_alone(&event::shown(&format_args!("{text}"))),
        }
    }
}

#[expect(unnameable_types, reason = "that is what seals the trait above")]
pub(super) mod sealed {
    use super::Error;

    /// What the crate reads from a result.
    pub trait Judge<Kind> {
        /// The error of the result, if it failed.
        fn error(&self) -> Option<ReturnedError<'_>>;
    }

    /// Types of errors that are listed one by one, because no trait of theirs covers them.
    pub trait ListedError {
        fn returned(&self) -> ReturnedError<'_>;
    }

    /// An error that a job returned.
    #[derive(Debug)]
    #[non_exhaustive]
    pub enum ReturnedError<'a> {
        Boxed(&'a (dyn Error + 'static)),
        Text(&'a str),
        /// With the path of its type.
        Typed(&'a (dyn Error + 'static), &'static str),
    }

    /// The result is `()`, or its error is a [`ListedError`].
    #[derive(Debug)]
    pub struct Listed;
}
