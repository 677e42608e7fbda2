//! Work that is no request: jobs of a queue, cron, start-up. Each is a transaction of its own, with a scope like a request's.
//!
//! [`Client::transaction`](crate::Client::transaction) wraps any future, [`JobLayer`] any tower service of jobs, and
//! [`Client::check_in`](crate::Client::check_in) tells the server when a cron job begins and how it ends.

mod check_in;
mod info;
mod layer;
mod outcome;
mod running;
mod transaction;

pub use check_in::{CheckInBuilder, CheckedIn};
pub use info::JobInfo;
pub use layer::{BoxedErrors, ErrorForm, JobFuture, JobLayer, JobService, TypedErrors};
pub use outcome::{AnyOutcome, DynError, Outcome, Plain, TextError, TypedError};
pub use transaction::{InTransaction, TransactionBuilder};
