//! The calls that led to a report, as far as they belong to its request or job.

use super::current;
use crate::client::{Client, default_client};
use crate::event::{CallStack, CodeLocation};

/// Returns the calls that led to a report, and its place. `None` while monitoring is off.
pub(crate) fn call_stack(location: Option<CodeLocation>) -> Option<CallStack> {
    let is_trimmed = |client: &Client| client.settings().map(|settings| settings.facts.frames.trim_backtraces);
    let is_trimmed = current::with(|entered| is_trimmed(&entered.scope.client)).unwrap_or_else(|| is_trimmed(&default_client()))?;
    Some(CallStack::walk(current::base(), is_trimmed, location))
}
