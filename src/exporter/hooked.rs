//! Runs the hooks.

use std::cell::Cell;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protocol::DiscardReason;
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
