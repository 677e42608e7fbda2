//! The end of a transaction: sent, or kept after the fact, or given back.

use std::sync::{Arc, PoisonError};

use super::capture::submit;
use super::state::{Phase, Shared, State};
use crate::export::{self, Item, SessionEnd, diagnostics};
use crate::protocol::{Category, DiscardReason, SpanStatus};
use crate::record::ResponseFacts;
use crate::trace::clock;

/// How the work of a scope ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) status: SpanStatus,
    pub(crate) response: ResponseFacts,
    /// What the response says; errors that were captured and panics count by themselves.
    pub(crate) has_failed: bool,
    /// A request counts for release health; a job is nobody's session.
    pub(crate) is_session: bool,
}

impl State {
    fn session(&self) -> SessionEnd {
        match (self.has_crashed, self.has_error) {
            (true, _) => SessionEnd::Crashed,
            (false, true) => SessionEnd::Errored,
            (false, false) => SessionEnd::Exited,
        }
    }
}

impl Shared {
    /// Ends the transaction and hands it over if it is to be sent. The second call does nothing.
    pub(crate) fn finish(mut self: Arc<Self>, ending: Ending) {
        let mut state = self.lock();
        if state.phase == Phase::Finished {
            return;
        }
        let parked = self.take_parked(&mut state);
        state.phase = Phase::Finished;
        let was_recording = state.transaction.is_recording;
        state.transaction.record.response = ending.response;
        state.transaction.end(ending.status);
        let is_sent = was_recording && (state.decision.sampled || self.is_kept(&mut state, ending.has_failed));
        if !is_sent {
            // Where it is sent, what begins later is looked at, and counted.
            self.stop_recording();
        }
        let session = state.session();
        let started_at = state.transaction.record.started_at;
        let (spans, dropped_spans) = (state.transaction.record.spans.len() as u64, state.transaction.record.dropped_spans);
        drop(state);

        let client = self.client.clone();
        if ending.is_session {
            client.end_session(started_at, session);
        }
        submit(&client, parked);
        if dropped_spans > 0 {
            client.discard(DiscardReason::BufferOverflow, Category::Span, dropped_spans.into());
        }
        if !is_sent {
            client.discard(DiscardReason::SampleRate, Category::Transaction, 1);
            client.discard(DiscardReason::SampleRate, Category::Span, spans + 1);
        }
        if let Some(this) = Arc::get_mut(&mut self) {
            this.client = crate::client::Client::off();
            let record = &mut this.state.get_mut().unwrap_or_else(PoisonError::into_inner).transaction.record;
            if is_sent {
                let full = std::mem::replace(record, client.take_record());
                client.submit(Item::Transaction(full));
            } else {
                record.clear();
            }
            return Self::put_aside(self);
        }
        // Somebody still has a handle: what later events of the same request need stays behind, and no more.
        let mut left = client.take_record();
        let mut state = self.lock();
        state.transaction.record.copy_scope_to(&mut left);
        let full = std::mem::replace(&mut state.transaction.record, left);
        drop(state);
        if is_sent {
            client.submit(Item::Transaction(full));
        } else {
            client.give_back(full);
        }
    }

    /// Says which request kept its thread busy for so many nanoseconds without a break. Once a minute.
    pub(crate) fn warn_of_blocking(&self, nanos: u64) {
        static TROUBLE: diagnostics::Quiet = diagnostics::Quiet::new();
        let name = export::name_of(&self.lock().transaction.record);
        TROUBLE.warn(&format!(
            "{name} blocked its thread for {} ms in one poll: whatever else runs there waits; spawn_blocking is for such work",
            nanos / 1_000_000
        ));
    }

    /// Counts a span that begins when its transaction is on its way. Others are refused for reasons that are counted elsewhere.
    #[cold]
    pub(crate) fn count_if_late(&self, name: &str) {
        if self.is_recording() && self.lock().phase == Phase::Finished {
            self.client.discard(DiscardReason::BufferOverflow, Category::Span, 1);
            diagnostics::explain(
                name,
                "it began after its request or job was over, and is counted; work of its own is a `Client::transaction`",
            );
        }
    }

    /// Marks that code of the request panicked.
    pub(crate) fn mark_crashed(&self) {
        let mut state = self.lock();
        state.has_failed = true;
        state.has_crashed = true;
    }

    fn is_kept(&self, state: &mut State, has_failed: bool) -> bool {
        let keeps = self.client.settings().is_some_and(|settings| settings.keep_failed) && !state.decision.is_final;
        let record = &mut state.transaction.record;
        let is_kept = keeps && (has_failed || state.has_failed) && self.client.may_keep(clock::nanos(record.end));
        if is_kept {
            record.kept = Some("failed");
        }
        is_kept
    }
}
