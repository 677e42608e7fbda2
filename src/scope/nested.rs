//! Scopes inside a scope: what is set in there stays in there.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Shared;
use crate::record::ScopeData;

/// A copy of what is set in a scope, to be changed by itself.
pub(super) struct Nested {
    of: Arc<Shared>,
    data: Mutex<ScopeData>,
}

impl Nested {
    pub(super) fn new(of: Arc<Shared>, data: ScopeData) -> Self {
        Self { of, data: Mutex::new(data) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ScopeData> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn data(&self) -> ScopeData {
        self.lock().clone()
    }
}

thread_local! {
    static NESTED: RefCell<Option<Arc<Nested>>> = const { RefCell::new(None) };
}

/// Runs `work` with `nested` as the innermost scope, or with the request's own where there is none. Restores what was, also on a panic.
pub(super) fn enter<R>(nested: Option<Arc<Nested>>, work: impl FnOnce() -> R) -> R {
    struct Outer(Option<Arc<Nested>>);
    impl Drop for Outer {
        fn drop(&mut self) {
            // The last handle of a scope is dropped outside of the borrow.
            let _inner = NESTED.try_with(|current| current.replace(self.0.take()));
        }
    }
    let _outer = Outer(NESTED.try_with(|current| current.replace(nested)).ok().flatten());
    work()
}

/// The scope that is nested in this one here; that of another request does not count.
pub(super) fn of(scope: &Shared) -> Option<Arc<Nested>> {
    let of_this = |nested: &&Arc<Nested>| std::ptr::eq(&raw const *nested.of, &raw const *scope);
    NESTED.try_with(|current| current.borrow().as_ref().filter(of_this).map(Arc::clone)).ok().flatten()
}

impl fmt::Debug for Nested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nested").finish_non_exhaustive()
    }
}
