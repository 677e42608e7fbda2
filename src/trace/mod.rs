//! Live recording: transactions and spans while they run. Nothing in here decides, formats or sends.

pub(crate) mod clock;
mod transaction;

pub(crate) use transaction::Transaction;
