//! The end of a transaction: sent, or kept after the fact, or given back.

use std::sync::{Arc, PoisonError};

use super::state::{Phase, Shared, State};
use crate::client::Client;
use crate::export::Item;
use crate::protocol::{Category, DiscardReason, SpanStatus};
use crate::record::Record;

impl Shared {
    /// Ends the transaction and hands it over if it is to be sent. The second call does nothing.
    ///
    /// `has_failed` is what the response says; errors that were captured and panics count by themselves.
    pub(crate) fn finish(self: Arc<Self>, status: SpanStatus, has_failed: bool) {
        self.release();
        let mut state = self.lock();
        if state.phase == Phase::Finished {
            return;
        }
        state.phase = Phase::Finished;
        let was_recording = state.transaction.is_recording;
        state.transaction.end(status);
        self.stop_recording();
        let is_sent = was_recording && (state.decision.sampled || self.is_kept(&mut state, has_failed));
        drop(state);
        let (client, record) = self.into_record();
        if record.dropped_spans > 0 {
            client.discard(DiscardReason::BufferOverflow, Category::Span, record.dropped_spans.into());
        }
        if is_sent {
            client.submit(Item::Transaction(record));
        } else {
            client.discard(DiscardReason::SampleRate, Category::Transaction, 1);
            client.discard(DiscardReason::SampleRate, Category::Span, record.spans.len() as u64 + 1);
            client.give_back(record);
        }
    }

    /// Marks that code of the request panicked.
    pub(crate) fn mark_failed(&self) {
        self.lock().has_failed = true;
    }

    fn is_kept(&self, state: &mut State, has_failed: bool) -> bool {
        let keeps = self.client.settings().is_some_and(|settings| settings.keep_failed) && !state.decision.is_final;
        let record = &mut state.transaction.record;
        let is_kept = keeps && (has_failed || state.has_failed) && self.client.may_keep(record.end);
        if is_kept {
            record.kept = Some("failed");
        }
        is_kept
    }

    /// The record; if somebody still has a handle, what later events of the same request need stays behind.
    fn into_record(self: Arc<Self>) -> (Client, Box<Record>) {
        match Arc::try_unwrap(self) {
            Ok(shared) => (shared.client, shared.state.into_inner().unwrap_or_else(PoisonError::into_inner).transaction.record),
            Err(shared) => {
                let mut left = shared.client.take_record();
                let mut state = shared.lock();
                state.transaction.record.copy_scope_to(&mut left);
                let record = std::mem::replace(&mut state.transaction.record, left);
                drop(state);
                (shared.client.clone(), record)
            }
        }
    }
}
