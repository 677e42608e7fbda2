//! The user's hooks and rules.

use std::sync::Arc;

use super::alerts::OnAlert;
use super::budgets::OnBudget;
use super::ignore::IgnoredErrors;
use crate::alert::AlertRule;
use crate::event::Hint;
use crate::protocol::{Breadcrumb, Event, Log, Metric, Span, Transaction};
use crate::unwind::{Contained, Hook};

/// A hook that sees an error where it is captured.
pub(crate) type BeforeCapture = Arc<Contained<dyn Fn(&mut Hint<'_>) + Send + Sync>>;

/// The user's hooks, and rules for errors that are not reported.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) ignored: IgnoredErrors,
    /// Runs on the thread that captures.
    pub(crate) before_capture: Option<BeforeCapture>,
    /// Runs on the thread that records.
    pub(crate) before_breadcrumb: Option<Hook<Breadcrumb>>,
    pub(crate) event_processors: Vec<Hook<Event>>,
    pub(crate) before_send: Option<Hook<Event>>,
    pub(crate) before_send_span: Option<Hook<Span>>,
    pub(crate) before_send_transaction: Option<Hook<Transaction>>,
    pub(crate) before_send_log: Option<Hook<Log>>,
    pub(crate) before_send_metric: Option<Hook<Metric>>,
    pub(crate) on_budget: Option<OnBudget>,
    pub(crate) on_alert: Vec<(AlertRule, OnAlert)>,
}
