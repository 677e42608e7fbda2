//! Work that is not a request: queue jobs, cron runs, start-up.
//!
//! Each piece of work is its own transaction, with a scope like that of a request.
//!
//! - [`Client::transaction`](crate::Client::transaction) wraps any future.
//! - [`JobLayer`] wraps any tower service of jobs.
//! - [`Client::check_in`](crate::Client::check_in) reports to the server when a cron job begins and
//!   ends.

mod active;
mod check_in;
mod info;
mod layer;
mod transaction;

pub use check_in::{CheckInBuilder, CheckedIn};
pub use info::JobInfo;
pub use layer::{JobFuture, JobLayer, JobService};
pub use transaction::{InTransaction, TransactionBuilder};

pub use crate::event::{BoxedErrors, Outcome, TypedErrors};
