//! Live recording of transactions and spans.
//!
//! Nothing here decides, formats or sends.

pub(crate) mod clock;
mod transaction;

pub(crate) use transaction::Transaction;
