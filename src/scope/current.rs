//! The current scope of a thread: swapped in when a poll begins, and out when it ends.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};

use tracing_subscriber::Registry;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::state::{LiveScope, ScopeState};
use crate::record::Parent;

/// The scope and the span that are current on a thread.
#[derive(Clone, Copy)]
pub(crate) struct Entered<'a> {
    pub(crate) scope: &'a Arc<LiveScope>,
    own: Option<Own>,
}

/// A scope that is current because a span of `tracing` was entered.
#[derive(Clone, Copy)]
struct Loan {
    span: u64,
    /// The span may be entered again inside (`in_current_span`): only the last exit ends the loan.
    depth: u32,
}

/// An active span of ours, not of `tracing`.
#[derive(Clone, Copy)]
struct Own {
    span: Parent,
    /// The innermost span of `tracing` when ours was entered.
    ///
    /// While it stays the innermost, our span is inside it.
    seen: Innermost,
}

/// The id of the innermost `tracing` span that is entered on a thread. Span ids are never 0.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Innermost(u64);

impl Innermost {
    const NONE: Self = Self(0);

    /// Deeper than `DEPTH`, only the Registry knows the innermost span. No span has such an id.
    const fn deep(depth: usize) -> Self {
        Self(u64::MAX - depth as u64)
    }
}

/// The part of a thread's state that callbacks read first.
///
/// It has no destructor, so a read is one load and not a call.
struct Thread {
    how: Cell<How>,
    own: Cell<Option<Own>>,
    /// The span that has lent its scope, if any.
    loan: Cell<Loan>,
    /// How many spans of `tracing` are entered.
    depth: Cell<usize>,
    /// Their ids. Asking the Registry for the innermost one costs 220 instructions.
    spans: [Cell<u64>; DEPTH],
}

const DEPTH: usize = 64;

/// How a scope became current.
#[derive(Clone, Copy)]
enum How {
    Not,
    /// By a poll that records no spans: span callbacks return early.
    Unrecorded,
    Polled,
    /// By a span of `tracing`, in a task without a scope.
    Lent,
}

/// See [`is_used`].
static EVER: AtomicBool = AtomicBool::new(false);

thread_local! {
    static CURRENT: RefCell<Option<Arc<LiveScope>>> = const { RefCell::new(None) };
    static THREAD: Thread = const {
        Thread {
            how: Cell::new(How::Not),
            own: Cell::new(None),
            loan: Cell::new(Loan { span: 0, depth: 0 }),
            depth: Cell::new(0),
            spans: [const { Cell::new(0) }; DEPTH],
        }
    };
}

/// Runs `work` with `scope` current, and with `own` as the innermost span if given.
///
/// Restores the previous scope, also after a panic.
pub(crate) fn enter<R>(scope: &Arc<LiveScope>, own: Option<Parent>, work: impl FnOnce() -> R) -> R {
    visit(&mut Some(Arc::clone(scope)), own, work)
}

/// Like [`enter`], but moves the scope out of `home` and back.
///
/// This saves two updates of a reference count that threads share, and 40 instructions. If `home`
/// is empty, `work` runs without a change.
#[inline]
pub(crate) fn visit<R>(home: &mut Option<Arc<LiveScope>>, own: Option<Parent>, work: impl FnOnce() -> R) -> R {
    let Some(scope) = home else { return work() };
    if !is_used() {
        EVER.store(true, Ordering::Relaxed);
    }
    let how = if scope.is_recording() { How::Polled } else { How::Unrecorded };
    let _visit = Visit::begin(home, how, own);
    work()
}

/// A scope that is current; `home` holds the previous one. Dropping it swaps them back.
struct Visit<'h> {
    home: &'h mut Option<Arc<LiveScope>>,
    how: How,
    own: Option<Own>,
    depth: usize,
}

impl<'h> Visit<'h> {
    #[inline]
    fn begin(home: &'h mut Option<Arc<LiveScope>>, how: How, own: Option<Parent>) -> Self {
        THREAD.with(|thread| {
            let depth = thread.depth.get();
            let own = own.map(|span| Own { span, seen: thread.innermost() });
            let (before, own) = (thread.how.get(), thread.own.replace(own));
            thread.swap(home, how);
            Self { home, how: before, own, depth }
        })
    }
}

impl Drop for Visit<'_> {
    #[inline]
    fn drop(&mut self) {
        THREAD.with(|thread| {
            thread.swap(self.home, self.how);
            thread.own.set(self.own);
            // A span guard held over an await leaves its span entered: that span is removed here. A
            // span that was exited inside stays removed.
            thread.depth.set(self.depth.min(thread.depth.get()));
        });
    }
}

/// Reads the current scope and span. `look` must not run code of the user.
#[inline]
pub(crate) fn with<R>(look: impl FnOnce(Entered<'_>) -> R) -> Option<R> {
    if !is_set() {
        return None;
    }
    let own = THREAD.with(|thread| thread.own.get());
    CURRENT.try_with(|current| Some(look(Entered { scope: current.try_borrow().ok()?.as_ref()?, own }))).ok().flatten()
}

/// Whether a scope is current.
#[inline]
pub(crate) fn is_set() -> bool {
    THREAD.with(|thread| !matches!(thread.how.get(), How::Not))
}

/// The current scope.
pub(crate) fn scope() -> Option<Arc<LiveScope>> {
    with(|entered| Arc::clone(entered.scope))
}

/// Whether any scope was ever entered in this process.
///
/// Callbacks of `tracing` check it first: until then they have nothing to do. This halves their
/// cost in an application without monitoring.
#[inline]
pub(crate) fn is_used() -> bool {
    EVER.load(Ordering::Relaxed)
}

/// Whether spans may be recorded here. The scope is checked again before a span is recorded.
#[inline]
pub(crate) fn may_record() -> bool {
    THREAD.with(|thread| matches!(thread.how.get(), How::Polled | How::Lent))
}

/// The innermost of our own spans and its scope, for code that adds data to it.
pub(crate) fn own_span() -> Option<(Arc<LiveScope>, u32)> {
    with(|entered| match entered.own {
        Some(Own { span: Parent::Span(index), .. }) => Some((Arc::clone(entered.scope), index)),
        _ => None,
    })
    .flatten()
}

impl Entered<'_> {
    /// The parent of a new span, if it is known without asking the Registry: nearly always.
    #[inline]
    fn known_parent(self, state: &ScopeState) -> Option<Parent> {
        let innermost = THREAD.with(Thread::innermost);
        match (self.own, innermost) {
            (Some(own), innermost) if own.seen == innermost => Some(own.span),
            (own, Innermost::NONE) => Some(own.map_or(Parent::Root, |own| own.span)),
            (_, Innermost(id)) => state.transaction.traced_row(id).map(Parent::Span),
        }
    }

    /// The active span, for code that does not come from `tracing`.
    pub(crate) fn active(self) -> Parent {
        let known = self.known_parent(&self.scope.lock());
        known.unwrap_or_else(|| self.innermost())
    }

    /// The innermost span according to the Registry.
    fn innermost(self) -> Parent {
        let climbed = tracing::dispatcher::get_default(|dispatch| {
            let current = dispatch.current_span().id().cloned();
            match (current, dispatch.downcast_ref::<Registry>()) {
                (Some(id), Some(registry)) => self.climb(registry.span(&id).into_iter().flat_map(|span| span.scope())),
                _ => None,
            }
        });
        climbed.unwrap_or_else(|| self.own.map_or(Parent::Root, |own| own.span))
    }

    /// The parent of a `tracing` span or event, together with the locked state.
    ///
    /// It is the nearest recorded span of its context, else our own span, else the root. The lock
    /// is returned because the caller changes the state next.
    #[inline]
    pub(crate) fn parent<'a, 's, S>(
        self,
        spans: impl FnOnce() -> Option<tracing_subscriber::registry::Scope<'a, S>>,
    ) -> (Parent, MutexGuard<'s, ScopeState>)
    where
        S: LookupSpan<'a> + 'a,
        Self: 's,
    {
        let state = self.scope.lock();
        if let Some(parent) = self.known_parent(&state) {
            return (parent, state);
        }
        // Unlocked, because the Registry may close spans during the query.
        drop(state);
        let climbed = spans().and_then(|spans| self.climb(spans));
        (climbed.unwrap_or_else(|| self.own.map_or(Parent::Root, |own| own.span)), self.scope.lock())
    }

    /// Like [`parent`](Self::parent) for an explicit parent: our own spans do not count.
    pub(crate) fn explicit_parent<'a, S>(self, spans: Option<tracing_subscriber::registry::Scope<'a, S>>) -> Parent
    where
        S: LookupSpan<'a> + 'a,
    {
        let climbed = spans.and_then(|mut spans| spans.find_map(|span| self.scope.lock().transaction.traced_row(span.id().into_u64())));
        climbed.map_or(Parent::Root, Parent::Span)
    }

    /// Walks outwards from the innermost `tracing` span to the first one that is recorded.
    ///
    /// If it reaches the span inside which our own span began, the result is our own span.
    fn climb<'a, S: LookupSpan<'a> + 'a>(self, mut spans: impl Iterator<Item = SpanRef<'a, S>>) -> Option<Parent> {
        spans.find_map(|span| {
            let id = span.id().into_u64();
            match self.own {
                Some(Own { span, seen }) if seen == Innermost(id) => Some(span),
                _ => self.scope.lock().transaction.traced_row(id).map(Parent::Span),
            }
        })
    }
}

/// Records that a `tracing` span was entered. Returns `false` if no scope is current.
#[inline]
pub(crate) fn span_entered(span: u64) -> bool {
    THREAD.with(|thread| {
        let how = thread.how.get();
        if matches!(how, How::Unrecorded) {
            return true;
        }
        let depth = thread.depth.get();
        if let Some(place) = thread.spans.get(depth) {
            place.set(span);
        }
        thread.depth.set(depth + 1);
        match how {
            How::Not => false,
            How::Unrecorded | How::Polled => true,
            How::Lent => {
                thread.change_loan(span, |depth| depth + 1);
                true
            }
        }
    })
}

/// Records that a span was exited; its last exit ends a loan.
#[inline]
pub(crate) fn span_exited(span: u64) {
    THREAD.with(|thread| {
        if matches!(thread.how.get(), How::Unrecorded) {
            return;
        }
        let innermost = thread.depth.get().wrapping_sub(1);
        // Spans are nearly always exited in reverse order.
        match thread.spans.get(innermost) {
            Some(place) if place.get() == span => thread.depth.set(innermost),
            _ => thread.left_out_of_order(span),
        }
        if matches!(thread.how.get(), How::Lent) {
            thread.left_on_loan(span);
        }
    });
}

impl Thread {
    /// Swaps the current scope. While the thread shuts down, no scope is current any more.
    #[expect(clippy::inline_always, reason = "twice a poll")]
    #[inline(always)]
    fn swap(&self, other: &mut Option<Arc<LiveScope>>, how: How) {
        let swapped = CURRENT.try_with(|current| std::mem::swap(&mut *current.borrow_mut(), other));
        self.how.set(if swapped.is_ok() { how } else { How::Not });
    }

    #[inline]
    fn innermost(&self) -> Innermost {
        match self.depth.get() {
            0 => Innermost::NONE,
            depth => self.spans.get(depth - 1).map_or_else(|| Innermost::deep(depth), |span| Innermost(span.get())),
        }
    }

    /// Changes how often the lending span is entered, and returns the new count.
    ///
    /// Returns none if another span lent the scope.
    fn change_loan(&self, span: u64, change: impl FnOnce(u32) -> u32) -> Option<u32> {
        let loan = self.loan.get();
        (loan.span == span).then(|| {
            let depth = change(loan.depth);
            self.loan.set(Loan { span, depth });
            depth
        })
    }

    /// Ends a span's loan with the last exit.
    #[cold]
    fn left_on_loan(&self, span: u64) {
        if self.change_loan(span, |depth| depth - 1) == Some(0) {
            // Dropped after the swap has released its borrow: it may be the last handle of the
            // scope.
            let mut lent = None;
            self.swap(&mut lent, How::Not);
        }
    }

    #[cold]
    fn left_out_of_order(&self, span: u64) {
        let depth = self.depth.get();
        let Some(entered) = self.spans.get(..depth) else {
            // Deeper than the array: only the count is known.
            return self.depth.set(depth - 1);
        };
        if let Some(place) = entered.iter().rposition(|entered| entered.get() == span) {
            for (here, next) in entered.iter().zip(entered.iter().skip(1)).skip(place) {
                here.set(next.get());
            }
            self.depth.set(depth - 1);
        }
    }
}

/// Makes `scope` current, because one of its spans was entered where no scope is current.
pub(crate) fn lend(scope: Arc<LiveScope>, span: u64) {
    THREAD.with(|thread| {
        thread.own.set(None);
        thread.loan.set(Loan { span, depth: 1 });
        thread.swap(&mut Some(scope), How::Lent);
    });
}
