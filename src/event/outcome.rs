//! The outcome of work, read from its result.

pub(crate) use self::sealed::Judge;
use super::capturable::{CapturableError, GivenError, Listed};

/// A result that says whether the work failed: `()` or a `Result`.
///
/// The error of the `Result` is any [`CapturableError`]: a `std::error::Error`, `anyhow::Error`,
/// `eyre::Report`, `Box<dyn Error>`, or a text.
///
/// Convert other errors with `map_err`. For other types of results, such as numbers and options, call
/// [`run_infallible`](crate::job::TransactionBuilder::run_infallible).
///
/// The trait is sealed. The compiler infers `Kind`, the form of the error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say whether the work failed",
    note = "`()` does, and any `Result` whose error is a `std::error::Error`, `anyhow::Error`, `Box<dyn Error>` or a text",
    note = "a `JobLayer` needs `.boxed_errors()` for a service whose errors are `anyhow::Error` or `Box<dyn Error + Send + Sync>`",
    note = "convert other errors with `map_err`; for work that cannot fail, call `run_infallible` instead of `run`"
)]
pub trait Outcome<Kind>: Judge<Kind> {}

impl Outcome<Listed> for () {}
#[diagnostic::do_not_recommend]
impl<T, E: CapturableError<Kind>, Kind> Outcome<Kind> for Result<T, E> {}

impl Judge<Listed> for () {
    fn error(&self) -> Option<GivenError<'_>> {
        None
    }
}

impl<T, E: CapturableError<Kind>, Kind> Judge<Kind> for Result<T, E> {
    fn error(&self) -> Option<GivenError<'_>> {
        self.as_ref().err().map(E::given)
    }
}

#[expect(unnameable_types, reason = "that is what seals the trait above")]
mod sealed {
    use super::GivenError;

    /// What the crate reads from a result.
    pub trait Judge<Kind> {
        /// The error of the result, if it failed.
        fn error(&self) -> Option<GivenError<'_>>;
    }
}
