//! The current scope of a thread: swapped in when a poll begins, and out when it ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};

use tracing::Id;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::{LookupSpan, Scope as Around};

use super::state::{LiveScope, ScopeState};
use super::thread::{CURRENT, How, Innermost, Own, THREAD, Thread};
pub(crate) use super::thread::{Place, lend, span_entered, span_exited};
use crate::record::Parent;

/// The scope and the span that are current on a thread.
#[derive(Clone, Copy)]
pub(crate) struct Entered<'a> {
    pub(crate) scope: &'a Arc<LiveScope>,
    own: Option<Own>,
}

/// See [`is_used`].
static EVER: AtomicBool = AtomicBool::new(false);

/// Runs `work` with `scope` current, and with `own` as the innermost span if given.
///
/// Restores the previous scope, also after a panic.
pub(crate) fn enter<R>(scope: &Arc<LiveScope>, own: Option<Parent>, work: impl FnOnce() -> R) -> R {
    let is_current = || with(|entered| Arc::ptr_eq(entered.scope, scope)) == Some(true);
    let place = if own.is_none() || is_current() { place(own) } else { Place::Beside };
    visit_at(place, &mut Some(Arc::clone(scope)), own, work)
}

/// Like [`enter`], but moves the scope out of `home` and back.
///
/// This saves two updates of a reference count that threads share, and 40 instructions. If `home`
/// is empty, `work` runs without a change.
#[inline]
pub(crate) fn visit<R>(home: &mut Option<Arc<LiveScope>>, own: Option<Parent>, work: impl FnOnce() -> R) -> R {
    visit_at(place(own), home, own, work)
}

#[inline]
fn visit_at<R>(place: Place, home: &mut Option<Arc<LiveScope>>, own: Option<Parent>, work: impl FnOnce() -> R) -> R {
    let Some(scope) = home else { return work() };
    note_use();
    #[cfg(profiles)]
    if let Some(profile) = &scope.profile {
        profile.note_thread();
    }
    let how = if scope.is_recording() { How::Polled(place) } else { How::Unrecorded(place) };
    let here = std::ptr::from_ref(&how).addr();
    let _visit = Visit::begin(home, how, own, here);
    work()
}

/// Notes that a scope is entered in this process, or will be by a span. See [`is_used`].
#[inline]
pub(crate) fn note_use() {
    if !is_used() {
        EVER.store(true, Ordering::Relaxed);
    }
}

/// Where the scope of a poll will be current. A whole request or job is inside its own future; one of our
/// spans is wherever the code that polls it is.
#[inline]
fn place(own: Option<Parent>) -> Place {
    if own.is_none() { Place::Inside } else { THREAD.with(Thread::place) }
}

/// A scope that is current; `home` holds the previous one. Dropping it swaps them back.
struct Visit<'h> {
    home: &'h mut Option<Arc<LiveScope>>,
    how: How,
    own: Option<Own>,
    base: usize,
    depth: usize,
    floor: usize,
}

impl<'h> Visit<'h> {
    #[inline]
    fn begin(home: &'h mut Option<Arc<LiveScope>>, how: How, own: Option<Parent>, here: usize) -> Self {
        THREAD.with(|thread| {
            let (depth, base) = (thread.depth.get(), thread.base.get());
            // Only a whole request or job has no span of its own.
            if base == 0 && own.is_none() {
                thread.base.set(here);
            }
            let own = own.map(|span| Own { span, seen: thread.innermost() });
            let (before, own) = (thread.how.get(), thread.own.replace(own));
            thread.swap(home, how);
            Self { home, how: before, own, base, depth, floor: thread.poll_began() }
        })
    }
}

impl Drop for Visit<'_> {
    #[inline]
    fn drop(&mut self) {
        THREAD.with(|thread| {
            // The poll has left a span of another request entered: a guard held over an await.
            if thread.has_loans_of_poll() {
                thread.end_loans();
            }
            thread.swap(self.home, self.how);
            thread.own.set(self.own);
            thread.base.set(self.base);
            // A span guard held over an await leaves its span entered: that span is removed here. A
            // span that was exited inside stays removed.
            thread.depth.set(self.depth.min(thread.depth.get()));
            thread.poll_ended(self.floor);
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

/// An address on the stack at which the outermost request or job was entered; 0 is none.
pub(crate) fn base() -> usize {
    THREAD.with(|thread| thread.base.get())
}

/// Whether a scope is current.
#[inline]
pub(crate) fn is_set() -> bool {
    THREAD.with(|thread| match thread.how.get() {
        How::Not => false,
        How::Unrecorded(_) | How::Polled(_) => true,
        How::Lent => thread.is_borrower(),
    })
}

/// The current scope, where it is and its active span, for a layer that is called inside it.
///
/// None if no scope is current.
#[inline]
pub(crate) fn around() -> Option<(Arc<LiveScope>, Place, Parent)> {
    with(|entered| (Arc::clone(entered.scope), THREAD.with(Thread::place), entered.active()))
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
    THREAD.with(|thread| match thread.how.get() {
        How::Not | How::Unrecorded(_) => false,
        How::Polled(_) => true,
        How::Lent => thread.is_borrower(),
    })
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
            (_, Innermost(id)) => state.transaction.row_around(id).map(Parent::Span),
        }
    }

    /// The active span, for code that does not come from `tracing`.
    pub(crate) fn active(self) -> Parent {
        let known = self.known_parent(&self.scope.lock());
        known.unwrap_or_else(|| self.innermost())
    }

    /// The innermost span according to the Registry.
    fn innermost(self) -> Parent {
        let found = tracing::dispatcher::get_default(|dispatch| {
            let registry = dispatch.downcast_ref::<Registry>()?;
            self.outwards(|id| {
                let id = id.map_or_else(|| dispatch.current_span().id().cloned(), |id| Some(Id::from_u64(id)))?;
                Some(registry.span(&id)?.scope())
            })
        });
        found.unwrap_or_else(|| self.own.map_or(Parent::Root, |own| own.span))
    }

    /// The parent of a `tracing` span or event, together with the locked state.
    ///
    /// It is the nearest recorded span of its context, else our own span, else the root. The lock
    /// is returned because the caller changes the state next.
    ///
    /// `around` returns a span and those around it, as the Registry knows them; without an id, the
    /// innermost one.
    #[inline]
    pub(crate) fn parent<'a, 's, S>(self, around: impl Fn(Option<u64>) -> Option<Around<'a, S>>) -> (Parent, MutexGuard<'s, ScopeState>)
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
        let found = self.outwards(around);
        (found.unwrap_or_else(|| self.own.map_or(Parent::Root, |own| own.span)), self.scope.lock())
    }

    /// Remembers a `tracing` span that is not recorded, if it begins directly inside one of our spans:
    /// the Registry does not know our spans.
    pub(crate) fn note_unrecorded(self, id: u64) {
        if let Some(Own { span: Parent::Span(row), seen }) = self.own
            && seen == THREAD.with(Thread::innermost)
            && self.scope.is_recording()
        {
            self.scope.lock().transaction.note_unrecorded(id, row);
        }
    }

    /// Looks for the innermost recorded span around the code here.
    ///
    /// A `tracing` span that neither is recorded nor has a recorded one around it changes nothing: it
    /// may have begun before the request.
    fn outwards<'a, S: LookupSpan<'a> + 'a>(self, around: impl Fn(Option<u64>) -> Option<Around<'a, S>>) -> Option<Parent> {
        THREAD.with(|thread| {
            thread.entered().find_map(|id| match self.own {
                Some(Own { span, seen }) if id.map(Innermost) == Some(seen) => Some(span),
                _ => self.climb(around(id)?),
            })
        })
    }

    /// The first of these spans that is recorded, or began directly inside a recorded span of this crate.
    fn climb<'a, S: LookupSpan<'a> + 'a>(self, mut spans: Around<'a, S>) -> Option<Parent> {
        spans.find_map(|span| self.scope.lock().transaction.row_around(span.id().into_u64()).map(Parent::Span))
    }
}
