//! The state that all handles of a scope share.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};

use super::announced::Announced;
use super::unsent::Unsent;
use crate::client::{Client, Settings};
use crate::event::KnownFailures;
use crate::fork::Lock;
#[cfg(profiles)]
use crate::profiling::{SessionRoot, TransactionProfile};
use crate::protocol::{EventId, TraceId, TraceLifecycle};
use crate::record::{LiveTransaction, Moment, Record};
use crate::sampling::Decision;

/// A scope. While its state is locked, no user code may run: no `Debug`, no `Display`, no hook.
pub(crate) struct LiveScope {
    pub(crate) client: Client,
    /// The client whose layer ignores the request and its errors. `client` is off then.
    pub(super) ignored_by: Client,
    /// Only errors are reported: there is no transaction and no session, and logs are not sent.
    pub(crate) is_ignored: bool,
    /// A route of this crate answered the request, such as the browser's tunnel. Such requests are not
    /// recorded.
    left_out: AtomicBool,
    /// When the transaction began.
    pub(crate) start: Moment,
    /// A copy of the transaction's flag. Spans that are not recorded read it without the lock.
    recording: AtomicBool,
    /// Whether breadcrumbs are kept.
    pub(crate) takes_breadcrumbs: bool,
    /// Whether a hook sees them first.
    pub(crate) edits_breadcrumbs: bool,
    #[cfg(profiles)]
    pub(super) profile: Option<Arc<TransactionProfile>>,
    /// Keeps the profile of the session running until the transaction ends.
    #[cfg(profiles)]
    pub(super) session: Option<SessionRoot>,
    pub(super) state: Lock<ScopeState>,
}

pub(crate) struct ScopeState {
    pub(crate) transaction: LiveTransaction,
    pub(super) decision: Decision,
    pub(super) phase: Phase,
    /// Errors that wait, the oldest first. They may have been sent.
    pub(super) parked: Vec<EventId>,
    /// Why axum rejected the request, with the status it answered.
    pub(super) rejection: Option<(u16, String)>,
    /// Nanoseconds that requests inside this one have blocked the thread in the current poll.
    pub(super) blocked_inside: u64,
    /// Whether the user wants the transaction to be sent.
    pub(super) is_chosen: bool,
    /// Whether an event of level error was captured, or code panicked.
    pub(super) has_failed: bool,
    /// Whether code panicked, even if the panic was caught.
    pub(super) has_crashed: bool,
    /// The text of the latest panic that was captured.
    pub(super) panic: Option<String>,
    /// Event ids that were handed out before the capture.
    pub(super) announced: Vec<Announced>,
    /// The latest failures that were reported.
    pub(super) known: KnownFailures,
    /// The first error that was captured.
    pub(super) first_error: Option<EventId>,
    /// The latest event that was captured.
    pub(super) last_event: Option<EventId>,
    pub(super) unsent: Unsent,
}

/// The state of a scope, for a layer that finds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScopeKind {
    /// It belongs to no request or job.
    Detached,
    /// Its request has ended.
    Finished,
    /// Its request is not recorded.
    Ignored,
    /// Its request is being served.
    Live,
}

/// The progress of a scope's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Errors wait until the response head is ready.
    BeforeHead,
    /// Errors wait for a moment: later reports of the same failure may follow.
    Open,
    /// The transaction was handed over. Later events still belong to the request.
    Finished,
}

/// How much of a request is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Ids, route and URL, so that an error can be found.
    ///
    /// For requests that are not sampled, if `keep_failed` is off, or the delivery is behind.
    Bare,
    /// All data of errors, with headers and breadcrumbs.
    ///
    /// For a sample rate of zero, if `keep_failed` is on.
    Errors,
    /// Spans as well.
    Spans,
}

impl Extent {
    pub(crate) fn of(decision: Decision, settings: &Settings) -> Self {
        match (decision.sampled, settings.sampling.keep_failed) {
            (false, false) => Self::Bare,
            (false, true) if decision.is_pressed() => Self::Bare,
            (false, true) if decision.is_final => Self::Errors,
            (true, _) | (false, true) => Self::Spans,
        }
    }
}

/// Begins the profile of a transaction. Only sampled transactions have one: it is not known whether the others are sent.
#[cfg(profiles)]
fn profile_of(decision: Decision, extent: Extent, settings: &Settings) -> Option<Arc<TransactionProfile>> {
    let rate = settings.profiling.profiles_sample_rate.filter(|rate| decision.sampled && extent == Extent::Spans && *rate > 0.0);
    rate.and_then(TransactionProfile::begin)
}

impl ScopeState {
    fn idle(record: Box<Record>) -> Self {
        Self {
            transaction: LiveTransaction::idle(record),
            decision: Decision::NEVER,
            phase: Phase::Open,
            known: KnownFailures::default(),
            parked: Vec::new(),
            rejection: None,
            blocked_inside: 0,
            is_chosen: false,
            has_failed: false,
            has_crashed: false,
            panic: None,
            announced: Vec::new(),
            first_error: None,
            last_event: None,
            unsent: Unsent::default(),
        }
    }
}

impl Default for ScopeState {
    fn default() -> Self {
        Self::idle(Box::default())
    }
}

impl LiveScope {
    /// Opens a scope whose transaction is started by `begin`.
    ///
    /// `begin` also returns the sampling decision and how much is recorded.
    ///
    /// Idle scopes are reused together with their record: this saves 300 instructions and an
    /// allocation.
    ///
    /// With `has_head`, errors wait for the response head.
    pub(crate) fn open(
        client: &Client,
        settings: &Settings,
        has_head: bool,
        begin: impl FnOnce(&mut LiveTransaction) -> (Decision, Extent),
    ) -> Arc<Self> {
        let mut scope = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
        let mut scope = scope.take().unwrap_or_else(|| Arc::new(Self::idle(client.take_record())));
        // An idle scope has no other handle.
        if let Some(this) = Arc::get_mut(&mut scope) {
            this.client = client.clone();
            this.is_ignored = false;
            *this.left_out.get_mut() = false;
            let state = this.state.get_mut();
            let (decision, extent) = begin(&mut state.transaction);
            let transaction = &mut state.transaction;
            this.start = transaction.record.start;
            transaction.is_recording = extent == Extent::Spans;
            transaction.streams =
                settings.delivery.trace_lifecycle == TraceLifecycle::Stream && decision.sampled && transaction.is_recording;
            transaction.spans_limit = settings.limits.max_spans;
            transaction.breadcrumbs_limit = if extent == Extent::Bare { 0 } else { settings.limits.max_breadcrumbs };
            *this.recording.get_mut() = transaction.is_recording;
            this.takes_breadcrumbs = transaction.breadcrumbs_limit > 0;
            this.edits_breadcrumbs = settings.hooks.before_breadcrumb.is_some();
            #[cfg(profiles)]
            {
                this.profile = profile_of(decision, extent, settings);
                this.session = (decision.sampled && extent == Extent::Spans)
                    .then(|| SessionRoot::begin(client.number(), settings.profiling))
                    .flatten();
                transaction.record.profiler_id = this.session.as_ref().map(SessionRoot::profiler_id);
            }
            state.decision = decision;
            state.phase = if has_head { Phase::BeforeHead } else { Phase::Open };
            state.rejection = None;
            state.blocked_inside = 0;
            state.known.clear();
            state.is_chosen = false;
            state.has_failed = false;
            state.has_crashed = false;
            state.panic = None;
            state.first_error = None;
            state.last_event = None;
            state.unsent.clear();
        }
        scope
    }

    /// Opens a scope for a request that is ignored, except for its errors.
    pub(crate) fn open_ignored(client: &Client, settings: &Settings, describe: impl FnOnce(&mut Record)) -> Arc<Self> {
        let mut scope = Self::open(client, settings, true, |transaction| {
            transaction.begin("http.server", "auto.http.tower");
            describe(&mut transaction.record);
            (Decision::NEVER, Extent::Bare)
        });
        if let Some(this) = Arc::get_mut(&mut scope) {
            this.is_ignored = true;
        }
        scope
    }

    /// A scope that discards everything, for routes whose errors are ignored too.
    pub(crate) fn ignored(by: &Client) -> Self {
        Self { ignored_by: by.clone(), ..Self::idle(Box::default()) }
    }

    /// A scope outside any transaction.
    pub(super) fn detached(client: Client) -> Self {
        let mut scope = Self::idle(Box::default());
        let state = scope.state.get_mut();
        let limit = client.settings().map_or(0, |settings| settings.limits.max_breadcrumbs);
        state.transaction.breadcrumbs_limit = limit;
        state.transaction.begin("", "");
        let edits_breadcrumbs = client.settings().is_some_and(|settings| settings.hooks.before_breadcrumb.is_some());
        Self { client, takes_breadcrumbs: limit > 0, edits_breadcrumbs, ..scope }
    }

    fn idle(record: Box<Record>) -> Self {
        Self {
            client: Client::off(),
            ignored_by: Client::off(),
            is_ignored: false,
            left_out: AtomicBool::new(false),
            start: Moment::default(),
            recording: AtomicBool::new(false),
            takes_breadcrumbs: false,
            edits_breadcrumbs: false,
            #[cfg(profiles)]
            profile: None,
            #[cfg(profiles)]
            session: None,
            state: Lock::of_first(ScopeState::idle(record)),
        }
    }

    /// Keeps an idle scope for the next request of this thread. Its record was taken or cleared.
    pub(super) fn put_aside(scope: Arc<Self>) {
        /// At most this many idle scopes are kept per thread; further ones are freed.
        const IDLE_LIMIT: usize = 16;
        // Fails while the thread shuts down; the scope is then freed.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < IDLE_LIMIT {
                spare.push(scope);
            }
        });
    }

    /// Whether a panic of its work was captured, or passed through it. If `text` is given, the latest
    /// panic must have that text.
    pub(crate) fn has_crashed_with(&self, text: Option<&str>) -> bool {
        let state = self.lock();
        let is_latest = state.panic.as_deref().zip(text).is_none_or(|(panic, text)| panic == text);
        state.has_crashed && is_latest
    }

    pub(crate) fn kind(&self) -> ScopeKind {
        if self.is_ignored || !self.client.is_enabled() {
            return ScopeKind::Ignored;
        }
        let state = self.lock();
        match state.phase {
            // A detached scope has no `op`.
            _ if state.transaction.record.op.is_empty() => ScopeKind::Detached,
            Phase::Finished => ScopeKind::Finished,
            Phase::BeforeHead | Phase::Open => ScopeKind::Live,
        }
    }

    /// Keeps the text with which axum rejected the request.
    pub(crate) fn note_rejection(&self, status: u16, text: String) {
        self.lock().rejection = Some((status, text));
    }

    /// Takes the text of a rejection that was answered with this status.
    pub(crate) fn take_rejection(&self, status: u16) -> Option<String> {
        self.lock().rejection.take().filter(|(answered, _)| *answered == status).map(|(_, text)| text)
    }

    /// Whether its transaction is a span of `tracing`, and not a request or a job.
    pub(crate) fn is_of_span(&self) -> bool {
        self.lock().transaction.record.of_span.is_some()
    }

    /// Notes that the work has failed, although nothing was captured.
    pub(crate) fn note_failure(&self) {
        self.lock().has_failed = true;
    }

    /// The id of the trace.
    pub(crate) fn trace_id(&self) -> TraceId {
        self.lock().transaction.record.trace.trace_id
    }

    /// Whether spans are recorded.
    ///
    /// It stays true after a transaction was sent while handles remain, so that later spans are
    /// counted.
    #[inline]
    pub(crate) fn is_recording(&self) -> bool {
        self.recording.load(Ordering::Relaxed)
    }

    /// Leaves the work out from now on: it has no transaction and no session, and its status is not reported.
    #[cfg(feature = "browser")]
    pub(super) fn leave_out(&self) {
        self.left_out.store(true, Ordering::Relaxed);
    }

    /// Whether the work was left out.
    pub(super) fn is_left_out(&self) -> bool {
        self.left_out.load(Ordering::Relaxed)
    }

    pub(super) fn stop_recording(&self) {
        self.recording.store(false, Ordering::Relaxed);
    }

    /// Locks the state.
    ///
    /// A poisoned lock is ignored: only our own code can panic there, and it leaves no row
    /// half-written. A forked child that finds it locked gets an empty state.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, ScopeState> {
        self.state.lock()
    }
}

thread_local! {
    static SPARE: RefCell<Vec<Arc<LiveScope>>> = const { RefCell::new(Vec::new()) };
}
