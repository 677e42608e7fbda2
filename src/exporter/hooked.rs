//! Runs the `before_send` hooks.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::entry::Entry;
use super::hooks::Hooks;
use crate::diagnostics;
use crate::protocol::{DiscardReason, Event, Span, SpanId, Transaction};
use crate::unwind::{Hook, NoResult};

/// What the hooks did with a payload.
pub(super) enum Hooked<T> {
    Kept(Box<T>),
    Dropped(DiscardReason),
    /// Holds the payload as it was before any hook ran.
    Panicked(Box<T>),
}

/// What one hook did with a value.
pub(super) enum Passed<T> {
    Kept(T),
    Dropped(DiscardReason),
    Panicked,
}

/// Runs hooks on a payload.
///
/// The protocol's value is built for the hooks only: without one, payloads are written directly.
pub(super) fn through<T: DeserializeOwned>(
    payload: &impl Serialize,
    prepare: impl FnOnce(&mut T),
    hooks: impl FnOnce(T) -> Passed<T>,
) -> Result<Hooked<T>, DiscardReason> {
    let read = serde_json::to_vec(payload).and_then(|json| Ok((serde_json::from_slice(&json)?, json)));
    let (mut value, json): (T, Vec<u8>) = read.map_err(|error| {
        diagnostics::warn(&format!("a payload could not be shown to its hook and is dropped: {error}"));
        DiscardReason::InternalSdkError
    })?;
    prepare(&mut value);
    Ok(match hooks(value) {
        Passed::Kept(changed) => Hooked::Kept(Box::new(changed)),
        Passed::Dropped(reason) => Hooked::Dropped(reason),
        Passed::Panicked => {
            let original = serde_json::from_slice(&json).map_err(|_| DiscardReason::InternalSdkError)?;
            Hooked::Panicked(Box::new(original))
        }
    })
}

/// Runs one hook. Once it is off, it drops everything: it may be meant to remove data.
fn pass<T>(hook: &Hook<T>, name: &str, reason: DiscardReason, value: T) -> Passed<T> {
    match hook.run(|hook| hook(value)) {
        Ok(Some(changed)) => Passed::Kept(changed),
        Ok(None) | Err(NoResult::Off) => Passed::Dropped(reason),
        Err(why) => {
            diagnostics::warn_of_hook(
                name,
                "what it was shown is sent without its contents",
                "what it would see is dropped and counted",
                why,
            );
            Passed::Panicked
        }
    }
}

impl Hooks {
    /// Runs the processors of a scope, then those of the client, then `before_send`.
    pub(super) fn pass_event(&self, mut event: Event, of_scope: &[Hook<Event>]) -> Passed<Event> {
        for processor in of_scope.iter().chain(&self.event_processors) {
            match pass(processor, "an event processor", DiscardReason::EventProcessor, event) {
                Passed::Kept(changed) => event = changed,
                other => return other,
            }
        }
        match &self.before_send {
            Some(hook) => pass(hook, "a before_send hook", DiscardReason::BeforeSend, event),
            None => Passed::Kept(event),
        }
    }

    /// Runs `before_send_span` for each span, then `before_send_transaction`. `strip` removes the contents of
    /// a span whose hook panicked.
    pub(super) fn pass_transaction(&self, mut transaction: Transaction, strip: impl Fn(&mut Span)) -> Passed<Transaction> {
        if let Some(hook) = &self.before_send_span {
            pass_spans(hook, &mut transaction.spans, strip);
        }
        match &self.before_send_transaction {
            Some(hook) => pass(hook, "a before_send_transaction hook", DiscardReason::BeforeSend, transaction),
            None => Passed::Kept(transaction),
        }
    }
}

/// Runs the hook of logs or metrics.
pub(super) fn pass_entry<T: Entry>(hook: &Hook<T::Shown>, shown: T::Shown) -> Passed<T::Shown> {
    pass(hook, T::HOOK, DiscardReason::BeforeSend, shown)
}

/// Runs the hook for one span. Returns `false` if it is dropped; `strip` removes its contents if the hook panicked.
pub(super) fn pass_span(hook: &Hook<Span>, span: &mut Span, strip: impl FnOnce(&mut Span)) -> bool {
    match pass(hook, "a before_send_span hook", DiscardReason::BeforeSend, span.clone()) {
        Passed::Kept(changed) => *span = changed,
        Passed::Dropped(_) => return false,
        Passed::Panicked => strip(span),
    }
    true
}

/// Runs the hook for each span. The children of a span that it drops move to that span's parent.
fn pass_spans(hook: &Hook<Span>, spans: &mut Vec<Span>, strip: impl Fn(&mut Span)) {
    let mut dropped: BTreeMap<SpanId, Option<SpanId>> = BTreeMap::new();
    let mut kept = Vec::with_capacity(spans.len());
    for mut span in std::mem::take(spans) {
        match pass(hook, "a before_send_span hook", DiscardReason::BeforeSend, span.clone()) {
            Passed::Kept(changed) => kept.push(changed),
            Passed::Dropped(_) => drop(dropped.insert(span.span_id, span.parent_span_id)),
            Passed::Panicked => {
                strip(&mut span);
                kept.push(span);
            }
        }
    }
    for span in &mut kept {
        // A span is above its children, so this ends.
        while let Some(parent) = span.parent_span_id.and_then(|parent| dropped.get(&parent)) {
            span.parent_span_id = *parent;
        }
    }
    *spans = kept;
}
