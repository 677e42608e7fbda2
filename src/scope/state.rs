//! What all handles of a scope share.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::capture::{Failure, Parked};
use crate::client::{Client, Settings};
use crate::protocol::{EventId, SpanId, TraceId};
use crate::record::{Moment, Record};
use crate::sampling::Decision;
use crate::trace::Transaction;

/// A scope. No code of the user runs while its state is locked: not a `Debug`, not a `Display`, not a hook.
pub(crate) struct Shared {
    pub(crate) client: Client,
    /// When the transaction began.
    pub(crate) start: Moment,
    /// The same as the transaction's own flag, to be read without the lock by every span that is not recorded.
    recording: AtomicBool,
    /// Whether breadcrumbs are kept.
    pub(crate) takes_breadcrumbs: bool,
    pub(super) state: Mutex<State>,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and most of their combinations happen")]
pub(crate) struct State {
    pub(crate) transaction: Transaction,
    pub(super) decision: Decision,
    pub(super) phase: Phase,
    /// It is no request, and what it returns is captured at its end.
    pub(super) is_job: bool,
    /// Errors that wait for the response's head.
    pub(super) parked: Vec<Parked>,
    /// An error was captured, or code panicked.
    pub(super) has_failed: bool,
    /// An error was captured, with its chain: a message does not count for release health.
    pub(super) has_error: bool,
    /// Code panicked, whoever caught it.
    pub(super) has_crashed: bool,
    /// Ids that were told before their errors were captured: the messages of the chain, and the id.
    pub(super) announced: Vec<(Vec<Option<String>>, EventId)>,
    /// What a job has captured so far, the latest: what it returns may be one of these.
    pub(super) told: VecDeque<(Failure, EventId)>,
    /// The first error that was captured.
    pub(super) first_error: Option<EventId>,
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

/// How much of a request is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Ids, the route and the URL: what an error needs to be found again. `keep_failed(false)`, and the head said no.
    Bare,
    /// All that an error tells: headers and breadcrumbs too. A rate of zero.
    Errors,
    /// Spans as well.
    Spans,
}

impl Extent {
    pub(crate) fn of(decision: Decision, settings: &Settings) -> Self {
        match (decision.sampled, settings.keep_failed) {
            (false, false) => Self::Bare,
            (false, true) if decision.is_final => Self::Errors,
            (true, _) | (false, true) => Self::Spans,
        }
    }
}

impl Shared {
    /// A scope for a transaction of which at most `extent` is recorded, begun by `begin`.
    ///
    /// Scopes are used again together with their record: that saves 300 instructions and an allocation.
    ///
    /// Errors wait for the head of the response where there will be one.
    pub(crate) fn open(
        client: &Client,
        settings: &Settings,
        has_head: bool,
        begin: impl FnOnce(&mut Transaction) -> (Decision, Extent),
    ) -> Arc<Self> {
        let mut scope = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
        let mut scope = scope.take().unwrap_or_else(|| Arc::new(Self::idle(client.take_record())));
        // A spare scope has no other handle.
        if let Some(this) = Arc::get_mut(&mut scope) {
            this.client = client.clone();
            let state = this.state.get_mut().unwrap_or_else(PoisonError::into_inner);
            let (decision, extent) = begin(&mut state.transaction);
            let transaction = &mut state.transaction;
            this.start = transaction.record.start;
            transaction.is_recording = extent == Extent::Spans;
            transaction.spans_limit = settings.max_spans;
            transaction.breadcrumbs_limit = if extent == Extent::Bare { 0 } else { settings.max_breadcrumbs };
            *this.recording.get_mut() = transaction.is_recording;
            this.takes_breadcrumbs = transaction.breadcrumbs_limit > 0;
            state.decision = decision;
            state.phase = if has_head { Phase::BeforeHead } else { Phase::Open };
            state.is_job = !has_head;
            state.told.clear();
            state.has_failed = false;
            state.has_error = false;
            state.has_crashed = false;
            state.first_error = None;
            state.announced.clear();
        }
        scope
    }

    /// A scope that forgets everything: for routes that are not recorded.
    pub(crate) fn ignored() -> Self {
        Self::idle(Box::default())
    }

    /// A scope outside any transaction.
    pub(super) fn detached(client: Client) -> Self {
        let mut scope = Self::idle(Box::default());
        let state = scope.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let limit = client.settings().map_or(0, |settings| settings.max_breadcrumbs);
        state.transaction.breadcrumbs_limit = limit;
        state.transaction.begin("", "");
        Self { client, takes_breadcrumbs: limit > 0, ..scope }
    }

    fn idle(record: Box<Record>) -> Self {
        let state = State {
            transaction: Transaction::idle(record),
            decision: Decision { sampled: false, rate: 0.0, is_final: true },
            phase: Phase::Open,
            is_job: false,
            told: VecDeque::new(),
            parked: Vec::new(),
            has_failed: false,
            has_error: false,
            has_crashed: false,
            announced: Vec::new(),
            first_error: None,
        };
        Self {
            client: Client::off(),
            start: Moment::default(),
            recording: AtomicBool::new(false),
            takes_breadcrumbs: false,
            state: Mutex::new(state),
        }
    }

    /// Puts a scope aside for the next request of this thread. Its record has been taken or cleared.
    pub(super) fn put_aside(scope: Arc<Self>) {
        /// As many as lie idle on each thread; more are freed.
        const IDLE_LIMIT: usize = 16;
        // A thread that is being torn down keeps none.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < IDLE_LIMIT {
                spare.push(scope);
            }
        });
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

    /// What a caller may be told: the trace, its root here, the decision, and the first error of the request.
    pub(crate) fn ids(&self) -> (TraceId, SpanId, bool, Option<EventId>) {
        let state = self.lock();
        let trace = &state.transaction.record.trace;
        (trace.trace_id, trace.root, trace.sampled, state.first_error)
    }

    /// Whether spans are recorded, or were and the transaction is sent: then those that come are counted.
    #[inline]
    pub(crate) fn is_recording(&self) -> bool {
        self.recording.load(Ordering::Relaxed)
    }

    pub(super) fn stop_recording(&self) {
        self.recording.store(false, Ordering::Relaxed);
    }

    /// The state. A panic while it was locked can only have been ours, and the data is whole row by row: go on.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    static SPARE: RefCell<Vec<Arc<Shared>>> = const { RefCell::new(Vec::new()) };
}
