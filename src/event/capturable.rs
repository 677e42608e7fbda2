//! The forms of an error that can be captured.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

pub(crate) use self::sealed::GivenError;
use self::sealed::InnerTrace;
pub(super) use self::sealed::Listed;
use super::captured::Backtrace;
use super::chain::{chain, shown, text_alone};
use super::identity::{DebugOutput, ErrorChain};
use super::{traced, type_name};

/// An error that can be captured.
///
/// It is implemented for:
///
/// - Any `std::error::Error`.
/// - `anyhow::Error`, `eyre::Report` and `Box<dyn Error + Send + Sync>`.
/// - `Box<dyn Error>`, and `dyn Error` itself.
/// - A text: `String`, `&str` or `Cow<str>`.
///
/// For other types, call [`CaptureError::from_message`](crate::CaptureError::from_message), or convert
/// with `map_err`.
///
/// The trait is sealed. The compiler infers `Kind`, the form of the error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an error that can be captured",
    label = "not a `std::error::Error`, `anyhow::Error`, `eyre::Report`, `Box<dyn Error>` or text",
    note = "for other types of errors, call `CaptureError::from_message::<Type>(text)` or convert with `map_err`"
)]
pub trait CapturableError<Kind>: sealed::Given<Kind> {}

/// The errors implement `std::error::Error`.
#[derive(Debug)]
#[non_exhaustive]
pub struct TypedErrors;

/// The errors are boxed: `Box<dyn Error + Send + Sync>`, `anyhow::Error` or `eyre::Report`.
#[derive(Debug)]
#[non_exhaustive]
pub struct BoxedErrors;

#[diagnostic::do_not_recommend]
impl<E: Error + 'static> CapturableError<TypedErrors> for E {}
// These boxes are made from any error. The bound `From<fmt::Error>` excludes `Arc<dyn Error>`, which implements `Error`.
#[diagnostic::do_not_recommend]
impl<E: AsRef<dyn Error + Send + Sync + 'static> + From<std::fmt::Error> + 'static> CapturableError<BoxedErrors> for E {}
#[diagnostic::do_not_recommend]
impl<E: sealed::ListedError + ?Sized> CapturableError<Listed> for E {}

impl<E: Error + 'static> sealed::Given<TypedErrors> for E {
    fn given(&self) -> GivenError<'_> {
        GivenError::Typed(self, std::any::type_name::<E>())
    }
}

impl<E: AsRef<dyn Error + Send + Sync + 'static> + From<std::fmt::Error> + 'static> sealed::Given<BoxedErrors> for E {
    fn given(&self) -> GivenError<'_> {
        GivenError::Boxed(self.as_ref(), traced::literal(self as &dyn Any))
    }

    fn into_trace(self) -> InnerTrace {
        InnerTrace(traced::backtrace(&mut Some(self)))
    }
}

impl<E: sealed::ListedError + ?Sized> sealed::Given<Listed> for E {
    fn given(&self) -> GivenError<'_> {
        self.listed()
    }
}

impl sealed::ListedError for dyn Error {
    fn listed(&self) -> GivenError<'_> {
        GivenError::Boxed(self, None)
    }
}

impl sealed::ListedError for dyn Error + Send {
    fn listed(&self) -> GivenError<'_> {
        GivenError::Boxed(self, None)
    }
}

impl sealed::ListedError for dyn Error + Send + Sync {
    fn listed(&self) -> GivenError<'_> {
        GivenError::Boxed(self, None)
    }
}

impl sealed::ListedError for Box<dyn Error> {
    fn listed(&self) -> GivenError<'_> {
        GivenError::Boxed(self.as_ref(), None)
    }
}

impl sealed::ListedError for String {
    fn listed(&self) -> GivenError<'_> {
        GivenError::Text(self)
    }
}

impl sealed::ListedError for &str {
    fn listed(&self) -> GivenError<'_> {
        GivenError::Text(self)
    }
}

impl sealed::ListedError for Cow<'_, str> {
    fn listed(&self) -> GivenError<'_> {
        GivenError::Text(self)
    }
}

impl GivenError<'_> {
    /// The chain of the error; see [`chain`].
    pub(crate) fn chain(&self, debug: &DebugOutput) -> ErrorChain {
        match *self {
            Self::Typed(error, path) => chain(error, Some(path), debug),
            Self::Boxed(error, _) => chain(error, None, debug),
            // `shown` cuts the text at the length of a message.
            Self::Text(text) => text_alone(&shown(&format_args!("{text}"))),
        }
    }

    /// The error itself, if it is not a text.
    pub(crate) fn as_error(&self) -> Option<&(dyn Error + 'static)> {
        match *self {
            Self::Typed(error, _) | Self::Boxed(error, _) => Some(error),
            Self::Text(_) => None,
        }
    }

    /// What distinguishes errors of one type: the variant of an enum, or a literal of the program.
    pub(crate) fn detail(&self) -> Option<Cow<'static, str>> {
        match *self {
            Self::Typed(error, path) => type_name::variant(error, type_name::without_pointers(path)?).map(Cow::Owned),
            Self::Boxed(_, literal) => literal.map(Cow::Borrowed),
            Self::Text(_) => None,
        }
    }
}

#[expect(unnameable_types, reason = "that is what seals the trait above")]
mod sealed {
    use super::{Arc, Backtrace, Error};

    /// What the crate reads from an error.
    pub trait Given<Kind> {
        /// The error as it was given.
        fn given(&self) -> GivenError<'_>;

        /// The stack trace inside the error.
        fn into_trace(self) -> InnerTrace
        where
            Self: Sized,
        {
            InnerTrace(None)
        }
    }

    /// An error with a stack trace inside.
    #[derive(Debug)]
    pub struct InnerTrace(pub(crate) Option<Arc<dyn Backtrace>>);

    /// Types of errors that are listed one by one, because no trait covers them.
    pub trait ListedError {
        fn listed(&self) -> GivenError<'_>;
    }

    /// An error as the caller has it.
    #[derive(Debug)]
    #[non_exhaustive]
    pub enum GivenError<'a> {
        /// With the literal that an `anyhow` or `eyre` error was made from.
        Boxed(&'a (dyn Error + 'static), Option<&'static str>),
        Text(&'a str),
        /// With the path of its type.
        Typed(&'a (dyn Error + 'static), &'static str),
    }

    /// The result is `()`, or its error is a [`ListedError`].
    #[derive(Debug)]
    pub struct Listed;
}
