//! What the user decides about each event and transaction.

use std::sync::Arc;

use super::budgets::OnBudget;
use super::ignore::IgnoredErrors;
use crate::protocol::{Event, Transaction};

/// A hook that may change an event, or drop it by returning `None`.
pub(crate) type BeforeSend = Arc<dyn Fn(Event) -> Option<Event> + Send + Sync>;
/// A hook that may change a transaction, or drop it by returning `None`.
pub(crate) type BeforeSendTransaction = Arc<dyn Fn(Transaction) -> Option<Transaction> + Send + Sync>;

/// The user's hooks, and rules for errors that are not reported.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) ignored: IgnoredErrors,
    pub(crate) before_send: Option<BeforeSend>,
    pub(crate) before_send_transaction: Option<BeforeSendTransaction>,
    pub(crate) on_budget: Option<OnBudget>,
}
