//! The current scope of a thread: a swap at the begin and the end of each poll.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Scope, Shared};
use crate::record::Parent;

/// What is current on a thread.
pub(crate) struct Entered {
    pub(crate) scope: Arc<Shared>,
    own: Option<Own>,
    /// The span of `tracing` that brought the scope here, to a task that has none.
    lent_to: Option<u64>,
}

/// A span of ours (not of `tracing`) that is active.
#[derive(Clone, Copy)]
struct Own {
    span: Parent,
    /// The Registry's current span when ours was entered: while it is still that one, ours is the innermost.
    seen: Option<u64>,
}

/// Whether any scope was ever entered. Where monitoring is off, every look ends here instead of at the thread-local.
static EVER: AtomicBool = AtomicBool::new(false);

thread_local! {
    static CURRENT: RefCell<Option<Entered>> = const { RefCell::new(None) };
}

/// Runs `work` with `scope` current, and with `own` as the innermost span if given. Restores what was current, also on a panic.
pub(crate) fn enter<R>(scope: &Arc<Shared>, own: Option<Parent>, work: impl FnOnce() -> R) -> R {
    struct Restore(Option<Entered>);
    impl Drop for Restore {
        fn drop(&mut self) {
            swap(self.0.take());
        }
    }
    let own = own.map(|span| Own { span, seen: registry_span() });
    let _restore = Restore(swap(Some(Entered { scope: Arc::clone(scope), own, lent_to: None })));
    work()
}

/// Puts `next` in place of what is current. Where the thread is being torn down, nothing is current any more.
fn swap(next: Option<Entered>) -> Option<Entered> {
    EVER.store(true, Ordering::Relaxed);
    // What is replaced is dropped by the caller, outside the borrow: it may be the last handle of a scope.
    CURRENT.try_with(|current| current.replace(next)).ok().flatten()
}

/// Looks at what is current. `look` must not run code of the user.
pub(crate) fn with<R>(look: impl FnOnce(&Entered) -> R) -> Option<R> {
    // A thread that has entered a scope sees its own store, and what others entered is not current here.
    if !EVER.load(Ordering::Relaxed) {
        return None;
    }
    CURRENT.try_with(|current| current.try_borrow().ok()?.as_ref().map(look)).ok().flatten()
}

/// The current scope.
pub(crate) fn scope() -> Option<Arc<Shared>> {
    with(|entered| Arc::clone(&entered.scope))
}

/// The current scope if its spans are recorded.
pub(crate) fn recording() -> Option<Arc<Shared>> {
    with(|entered| entered.scope.is_recording().then(|| Arc::clone(&entered.scope))).flatten()
}

/// Whether anything is current.
pub(crate) fn is_set() -> bool {
    with(|_| ()).is_some()
}

/// The current scope as a user's handle, with the active span.
pub(crate) fn handle() -> Option<Scope> {
    let (scope, own) = with(|entered| (Arc::clone(&entered.scope), entered.own))?;
    if !scope.client.is_enabled() {
        return Some(Scope::off());
    }
    let span = active(&scope, own);
    Some(Scope::new(scope, span))
}

/// The innermost span of ours, and the scope, for whom wants to add to it.
pub(crate) fn own_span() -> Option<(Arc<Shared>, u32)> {
    with(|entered| match entered.own {
        Some(Own { span: Parent::Span(index), .. }) => Some((Arc::clone(&entered.scope), index)),
        _ => None,
    })
    .flatten()
}

/// The innermost span here: our own while nothing of `tracing` was entered since, else the Registry's, else our own or the root.
fn active(scope: &Arc<Shared>, own: Option<Own>) -> Parent {
    let current = registry_span();
    if let Some(own) = own.filter(|own| own.seen == current) {
        return own.span;
    }
    let traced = current.and_then(|id| scope.lock().transaction.traced_row(id));
    traced.map_or_else(|| own.map_or(Parent::Root, |own| own.span), Parent::Span)
}

impl Entered {
    /// Our own span, if nothing of `tracing` was entered since: the Registry's current span is `current`.
    pub(crate) fn own_if(&self, current: Option<u64>) -> Option<Parent> {
        self.own.filter(|own| own.seen == current).map(|own| own.span)
    }

    /// Our own span or the root: what is above every span of `tracing` that was entered here.
    pub(crate) fn outer(&self) -> Parent {
        self.own.map_or(Parent::Root, |own| own.span)
    }
}

/// Makes `scope` current because a span of it was entered where nothing is.
pub(crate) fn lend(scope: &Arc<Shared>, id: u64) {
    swap(Some(Entered { scope: Arc::clone(scope), own: None, lent_to: Some(id) }));
}

/// Ends what [`lend`] began.
pub(crate) fn end_loan(id: u64) {
    if with(|entered| entered.lent_to == Some(id)) == Some(true) {
        swap(None);
    }
}

/// The Registry's current span.
fn registry_span() -> Option<u64> {
    tracing::dispatcher::get_default(|dispatch| dispatch.current_span().id().map(tracing::Id::into_u64))
}
