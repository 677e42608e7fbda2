//! The hooks of the user.

use std::sync::Arc;

use crate::protocol::{Event, Transaction};

/// A hook that may change an event, or drop it by returning `None`.
pub(crate) type BeforeSend = Arc<dyn Fn(Event) -> Option<Event> + Send + Sync>;
/// A hook that may change a transaction, or drop it by returning `None`.
pub(crate) type BeforeSendTransaction = Arc<dyn Fn(Transaction) -> Option<Transaction> + Send + Sync>;
