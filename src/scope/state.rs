//! What all handles of a scope share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::capture::Parked;
use crate::client::Client;
use crate::record::Record;
use crate::sampling::Decision;
use crate::trace::Transaction;

/// A scope. No code of the user runs while its state is locked: not a `Debug`, not a `Display`, not a hook.
pub(crate) struct Shared {
    pub(crate) client: Client,
    /// The same as the transaction's own flag, to be read without the lock by every span that is not recorded.
    recording: AtomicBool,
    pub(super) state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) transaction: Transaction,
    pub(super) decision: Decision,
    pub(super) phase: Phase,
    /// Errors that wait for the response's head.
    pub(super) parked: Vec<Parked>,
    /// An error was captured, or code panicked.
    pub(super) has_failed: bool,
}

/// What a scope belongs to, for a layer that finds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    Detached,
    /// A request that is over.
    Finished,
    /// A request that is not recorded.
    Ignored,
    /// A request that is being served.
    Live,
}

/// How far the work of a scope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Errors are parked until the head of the response is there.
    BeforeHead,
    /// Errors go out at once.
    Open,
    /// The transaction is on its way; what comes now still knows the request.
    Finished,
}

impl Shared {
    /// A scope for a transaction.
    pub(crate) fn new(client: Client, mut transaction: Transaction, decision: Decision) -> Self {
        let keeps = client.settings().is_some_and(|settings| settings.keep_failed) && !decision.is_final;
        transaction.is_recording = decision.sampled || keeps;
        let recording = AtomicBool::new(transaction.is_recording);
        let state = State { transaction, decision, phase: Phase::BeforeHead, parked: Vec::new(), has_failed: false };
        Self { client, recording, state: Mutex::new(state) }
    }

    /// A scope that forgets everything: for routes that are not recorded.
    pub(crate) fn ignored() -> Self {
        Self::detached(Client::off())
    }

    pub(crate) fn kind(&self) -> Kind {
        if !self.client.is_enabled() {
            return Kind::Ignored;
        }
        let state = self.lock();
        match state.phase {
            // A detached scope has no kind of work.
            _ if state.transaction.record.op.is_empty() => Kind::Detached,
            Phase::Finished => Kind::Finished,
            Phase::BeforeHead | Phase::Open => Kind::Live,
        }
    }

    /// A scope outside any transaction.
    pub(super) fn detached(client: Client) -> Self {
        let limit = client.settings().map_or(0, |settings| settings.max_breadcrumbs);
        let transaction = Transaction::start(Box::default(), "", "", 0, limit);
        let decision = Decision { sampled: false, rate: 0.0, is_final: true };
        let state = State { transaction, decision, phase: Phase::Open, parked: Vec::new(), has_failed: false };
        Self { client, recording: AtomicBool::new(false), state: Mutex::new(state) }
    }

    /// Whether spans are recorded.
    pub(crate) fn is_recording(&self) -> bool {
        self.recording.load(Ordering::Relaxed)
    }

    pub(super) fn stop_recording(&self) {
        self.recording.store(false, Ordering::Relaxed);
    }

    /// The state. A panic while it was locked can only have been ours, and the data is whole row by row: go on.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the record. `change` must not run code of the user.
    pub(crate) fn change_record(&self, change: impl FnOnce(&mut Record)) {
        change(&mut self.lock().transaction.record);
    }
}
