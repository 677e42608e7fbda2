//! Runs the hooks, and what is sent if one of them panics.

use std::cell::Cell;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protocol::{DiscardReason, Event, LogEntry, Transaction, TransactionSource};
use crate::{diagnostics, unwind};

/// After this many panics a hook is off. It may be meant to remove data, so what it would see is
/// dropped.
const PANICS_LIMIT: u32 = 10;

/// How often a hook has panicked.
#[derive(Debug, Default)]
pub(super) struct Panics(Cell<u32>);

/// What a hook did with a payload.
pub(super) enum Hooked<T> {
    Kept(Box<T>),
    Dropped,
    /// Holds the payload as it was before the hook ran.
    Panicked(Box<T>),
}

/// Runs a hook on a payload.
///
/// The protocol's value is built for the hook only: without a hook, payloads are written directly.
pub(super) fn through<T: DeserializeOwned>(
    hook: &(dyn Fn(T) -> Option<T> + Send + Sync),
    payload: &impl Serialize,
    panics: &Panics,
    prepare: impl FnOnce(&mut T),
) -> Result<Hooked<T>, DiscardReason> {
    if panics.0.get() >= PANICS_LIMIT {
        return Ok(Hooked::Dropped);
    }
    let read = serde_json::to_vec(payload).and_then(|json| Ok((serde_json::from_slice(&json)?, json)));
    let (mut value, json): (T, Vec<u8>) = read.map_err(|error| {
        diagnostics::warn(&format!("a payload could not be shown to its hook and is dropped: {error}"));
        DiscardReason::InternalSdkError
    })?;
    prepare(&mut value);
    Ok(match unwind::catch(|| hook(value)) {
        Some(Some(changed)) => Hooked::Kept(Box::new(changed)),
        Some(None) => Hooked::Dropped,
        None => {
            panics.0.set(panics.0.get() + 1);
            diagnostics::warn("a before_send hook panicked; what it was shown is sent without its contents");
            if panics.0.get() == PANICS_LIMIT {
                diagnostics::warn("the hook has panicked ten times: it is off, and what it would see is dropped and counted");
            }
            let original = serde_json::from_slice(&json).map_err(|_| DiscardReason::InternalSdkError)?;
            Hooked::Panicked(Box::new(original))
        }
    })
}

/// Reduces an event to what is safe to send after a hook panicked: ids, times and types.
///
/// The hook may have been meant to remove the rest.
pub(super) fn bare_event(event: &mut Event) {
    // Servers require `message`: a log entry with `formatted` alone is invalid.
    event.logentry = Some(LogEntry { message: Some("the contents were withheld: before_send panicked".to_owned()), ..LogEntry::default() });
    if event.transaction.is_some() && event.transaction_info.is_none_or(|info| is_from_data(info.source)) {
        event.transaction = Some(WITHHELD.to_owned());
    }
    for exception in &mut event.exception.values {
        exception.value = None;
    }
    event.breadcrumbs.values.clear();
    event.request = None;
    event.user = None;
    event.tags.clear();
    event.extra.clear();
    event.fingerprint.clear();
    event.contexts.other.clear();
    if let Some(trace) = &mut event.contexts.trace {
        trace.data.clear();
    }
}

/// Reduces a transaction in the same way as `bare_event`.
pub(super) fn bare_transaction(transaction: &mut Transaction) {
    if is_from_data(transaction.transaction_info.source) {
        WITHHELD.clone_into(&mut transaction.name);
    }
    transaction.request = None;
    transaction.user = None;
    transaction.tags.clear();
    transaction.contexts.other.clear();
    if let Some(trace) = &mut transaction.contexts.trace {
        trace.data.clear();
    }
    for span in &mut transaction.spans {
        span.description = None;
        span.data.clear();
    }
}

/// Replaces a transaction's name, if it may hold data that the failed hook should have removed.
const WITHHELD: &str = "<withheld>";

/// Whether a name may contain data, because it was set while the request or job ran.
const fn is_from_data(source: TransactionSource) -> bool {
    !matches!(source, TransactionSource::Route | TransactionSource::View | TransactionSource::Component)
}
