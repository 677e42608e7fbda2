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

/// See [`is_used`].
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
    if !is_used() {
        return None;
    }
    CURRENT.try_with(|current| current.try_borrow().ok()?.as_ref().map(look)).ok().flatten()
}

/// The current scope.
pub(crate) fn scope() -> Option<Arc<Shared>> {
    with(|entered| Arc::clone(&entered.scope))
}

/// Whether any scope was ever entered in this process. Until then a callback of `tracing` has nothing to look for; asked first in
/// each of them, it saves an application that is off half of what they cost.
#[inline]
pub(crate) fn is_used() -> bool {
    EVER.load(Ordering::Relaxed)
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
    // Nearly always a request is current that no span has brought: one look.
    match with(|entered| entered.lent_to) {
        None => false,
        Some(None) => true,
        Some(Some(loan)) => {
            if loan.span == span {
                set_depth(loan.depth + 1);
            }
            true
        }
    }
}

/// Ends what [`lend`] began, with the last exit of the span.
pub(crate) fn end_loan(span: u64) {
    match with(|entered| entered.lent_to).flatten() {
        Some(loan) if loan.span == span && loan.depth == 1 => {
            swap(None);
        }
        Some(loan) if loan.span == span => set_depth(loan.depth - 1),
        _ => {}
    }
}

fn set_depth(depth: u32) {
    // A thread that is being torn down has no loan.
    let _ = CURRENT.try_with(|current| {
        if let Ok(mut current) = current.try_borrow_mut()
            && let Some(loan) = current.as_mut().and_then(|entered| entered.lent_to.as_mut())
        {
            loan.depth = depth;
        }
    });
}

/// The Registry's current span.
fn registry_span() -> Option<u64> {
    tracing::dispatcher::get_default(|dispatch| dispatch.current_span().id().map(tracing::Id::into_u64))
}
