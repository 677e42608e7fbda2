//! What a hook sees.

use std::fmt;
use std::time::SystemTime;

use crate::protocol::{EventId, Level};

/// An alert that an [`AlertRule`](super::AlertRule) has raised.
///
/// Its text is one sentence, for a message to a person. All texts have passed the redaction.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Alert {
    /// The rule, as text.
    pub rule: String,
    /// When it was found, in whole seconds.
    pub at: SystemTime,
    /// The environment of the client.
    pub environment: String,
    /// What was found: how many errors, or which share of requests. Empty for rules about single errors.
    pub found: String,
    /// The error: its type and text, or the message. `None` for rules about durations.
    pub title: Option<String>,
    /// The level of the error.
    pub level: Option<Level>,
    /// The id of the error's event. The event may be dropped later, by a hook or a limit.
    pub event_id: Option<EventId>,
    /// The route of the request or the name of the job in which the rule fired, as
    /// [`AlertRule::route`](super::AlertRule::route) takes it, even if a handler or the application
    /// renames the transaction. Empty outside requests and jobs.
    pub transaction: String,
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, environment, found, title, transaction, .. } = self;
        write!(f, "[{environment}] {rule}: {found}")?;
        if let Some(title) = title {
            let separator = if found.is_empty() { "" } else { "; the last one is " };
            write!(f, "{separator}{title}")?;
        }
        if !transaction.is_empty() {
            write!(f, ", in {transaction}")?;
        }
        Ok(())
    }
}
