//! The current scope of a thread: a swap at the begin and the end of each poll.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::Registry;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::{Scope, Shared};
use crate::record::Parent;

/// What is current on a thread.
pub(crate) struct Entered {
    pub(crate) scope: Arc<Shared>,
    own: Option<Own>,
    /// The span of `tracing` that brought the scope here, to a task that has none.
    lent_to: Option<Loan>,
}

/// A scope that is current because a span of `tracing` was entered.
#[derive(Clone, Copy)]
struct Loan {
    span: u64,
    /// The span may be entered again inside (`in_current_span`): only the last exit ends the loan.
    depth: u32,
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

/// The innermost span here, for spans and captures that do not come from `tracing`.
fn active(scope: &Arc<Shared>, own: Option<Own>) -> Parent {
    let climbed = tracing::dispatcher::get_default(|dispatch| {
        let current = dispatch.current_span().id().cloned();
        match (current, dispatch.downcast_ref::<Registry>()) {
            (Some(id), Some(registry)) => climb(scope, own, registry.span(&id).into_iter().flat_map(|span| span.scope())),
            _ => None,
        }
    });
    climbed.unwrap_or_else(|| own.map_or(Parent::Root, |own| own.span))
}

/// From the innermost span of `tracing` outwards to the first that is recorded, or to the one inside which our own span began.
fn climb<'a, S: LookupSpan<'a> + 'a>(scope: &Shared, own: Option<Own>, spans: impl Iterator<Item = SpanRef<'a, S>>) -> Option<Parent> {
    let mut spans = spans.map(|span| span.id().into_u64());
    spans.find_map(|id| match own {
        Some(Own { span, seen: Some(seen) }) if seen == id => Some(span),
        _ => scope.lock().transaction.traced_row(id).map(Parent::Span),
    })
}

/// Where a span or event of `tracing` hangs whose contextual parent is `id`: at the nearest recorded span, else our own, else the root.
pub(crate) fn parent<'a, S>(
    scope: &Shared,
    id: Option<u64>,
    spans: impl FnOnce() -> Option<tracing_subscriber::registry::Scope<'a, S>>,
) -> Parent
where
    S: LookupSpan<'a> + 'a,
{
    let own = with(|entered| entered.own).flatten();
    if let Some(own) = own.filter(|own| own.seen == id) {
        return own.span;
    }
    // The parent itself is recorded nearly always: found without asking the Registry.
    if let Some(row) = id.and_then(|id| scope.lock().transaction.traced_row(id)) {
        return Parent::Span(row);
    }
    let climbed = id.and_then(|_| climb(scope, own, spans()?.skip(1)));
    climbed.unwrap_or_else(|| own.map_or(Parent::Root, |own| own.span))
}

/// The same for an explicit parent: our own spans do not count.
pub(crate) fn explicit_parent<'a, S>(scope: &Shared, spans: Option<tracing_subscriber::registry::Scope<'a, S>>) -> Parent
where
    S: LookupSpan<'a> + 'a,
{
    spans.and_then(|spans| climb(scope, None, spans)).unwrap_or_default()
}

/// Makes `scope` current because a span of it was entered where nothing is.
pub(crate) fn lend(scope: &Arc<Shared>, span: u64) {
    swap(Some(Entered { scope: Arc::clone(scope), own: None, lent_to: Some(Loan { span, depth: 1 }) }));
}

/// Whether something is current where a span is entered; if that span brought it, it counts as entered once more.
pub(crate) fn is_set_for(span: u64) -> bool {
    change_loan(span, |loan| loan.depth += 1).is_some() || with(|_| ()).is_some()
}

/// Ends what [`lend`] began, with the last exit of the span.
pub(crate) fn end_loan(span: u64) {
    let left = change_loan(span, |loan| {
        loan.depth -= 1;
        loan.depth
    });
    if left == Some(0) {
        swap(None);
    }
}

fn change_loan<R>(span: u64, change: impl FnOnce(&mut Loan) -> R) -> Option<R> {
    let is_lent = with(|entered| entered.lent_to.is_some_and(|loan| loan.span == span));
    if is_lent != Some(true) {
        return None;
    }
    let changed = CURRENT.try_with(|current| current.try_borrow_mut().ok()?.as_mut()?.lent_to.as_mut().map(change));
    changed.ok().flatten()
}

/// The Registry's current span.
fn registry_span() -> Option<u64> {
    tracing::dispatcher::get_default(|dispatch| dispatch.current_span().id().map(tracing::Id::into_u64))
}
