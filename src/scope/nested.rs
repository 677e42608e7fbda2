//! Nested scopes: data set in one does not leave it.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, MutexGuard};

use super::state::LiveScope;
use crate::fork::Lock;
use crate::record::ScopeData;

/// A copy of a scope's data that changes independently.
pub(super) struct Nested {
    of: Arc<LiveScope>,
    data: Lock<ScopeData>,
    /// The numbers of the nested scopes around it and its own, outermost first.
    nesting: Vec<u32>,
}

impl Nested {
    /// A scope inside `outer`, or inside the request's own scope.
    pub(super) fn new(of: Arc<LiveScope>, data: ScopeData, outer: Option<&Self>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut nesting = outer.map(|outer| outer.nesting.clone()).unwrap_or_default();
        nesting.push(NEXT.fetch_add(1, Ordering::Relaxed));
        Self { of, data: Lock::of_first(data), nesting }
    }

    /// The place of the scope among those of its request: failures in two of them are two failures,
    /// unless one is inside the other.
    pub(super) fn nesting(&self) -> &[u32] {
        &self.nesting
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ScopeData> {
        self.data.lock()
    }

    pub(super) fn data(&self) -> ScopeData {
        self.lock().clone()
    }
}

thread_local! {
    static NESTED: RefCell<Option<Arc<Nested>>> = const { RefCell::new(None) };
}

/// Runs `work` with `nested` as the innermost scope, or with the request's own scope if `nested` is `None`.
///
/// Restores the previous nested scope, also after a panic.
pub(super) fn enter<R>(nested: Option<Arc<Nested>>, work: impl FnOnce() -> R) -> R {
    struct Outer(Option<Arc<Nested>>);
    impl Drop for Outer {
        fn drop(&mut self) {
            // Dropped after the borrow ends, because it may be the last handle of a scope.
            let _inner = NESTED.try_with(|current| current.replace(self.0.take()));
        }
    }
    let _outer = Outer(NESTED.try_with(|current| current.replace(nested)).ok().flatten());
    work()
}

/// The nested scope that is current here, if it belongs to `scope`.
pub(super) fn of(scope: &LiveScope) -> Option<Arc<Nested>> {
    let of_this = |nested: &&Arc<Nested>| std::ptr::eq(&raw const *nested.of, &raw const *scope);
    NESTED.try_with(|current| current.borrow().as_ref().filter(of_this).map(Arc::clone)).ok().flatten()
}

impl fmt::Debug for Nested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nested").finish_non_exhaustive()
    }
}
