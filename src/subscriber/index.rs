//! Which scope a `tracing` span belongs to: how spans that moved to another task find home.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::scope::Shared;

/// As many spans find a place of their own; a power of two.
const PLACES: usize = 4096;
/// Spans beyond, or whose place is taken; with still more open, further ones are not recorded.
const CROWDED_LIMIT: usize = 256 * 1024;

/// Open spans by id. Each has a place by its id, with a lock of its own that nobody else wants: 70 instructions to put a span in and
/// take it out, against 220 for a map in shards; and 10 to see that a span is not here.
pub(super) struct Index {
    places: Box<[Place]>,
    /// Spans whose place was taken.
    crowded: Mutex<HashMap<u64, Arc<Shared>>>,
    /// How many those are; nearly always none, and then nobody asks for their lock.
    crowd: AtomicUsize,
}

#[derive(Default)]
struct Place {
    /// Whose place it is; 0 is nobody's. Whoever sets it from 0 owns the place until it is 0 again.
    id: AtomicU64,
    scope: Mutex<Option<Arc<Shared>>>,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { places: (0..PLACES).map(|_| Place::default()).collect(), crowded: Mutex::default(), crowd: AtomicUsize::new(0) }
    }

    /// Remembers the span; `false` if there are too many.
    pub(super) fn insert(&self, id: u64, scope: &Arc<Shared>) -> bool {
        if let Some(place) = self.place(id)
            && place.id.compare_exchange(0, id, Ordering::Acquire, Ordering::Relaxed).is_ok()
        {
            *place.scope() = Some(Arc::clone(scope));
            return true;
        }
        let mut crowded = self.crowded();
        let has_room = crowded.len() < CROWDED_LIMIT;
        if has_room {
            crowded.insert(id, Arc::clone(scope));
            self.crowd.store(crowded.len(), Ordering::Release);
        }
        has_room
    }

    pub(super) fn get(&self, id: u64) -> Option<Arc<Shared>> {
        if let Some(place) = self.own_place(id) {
            return place.scope().as_ref().map(Arc::clone);
        }
        if self.crowd.load(Ordering::Acquire) == 0 { None } else { self.crowded().get(&id).map(Arc::clone) }
    }

    /// Whether the span may be here; `false` is sure.
    pub(super) fn may_hold(&self, id: u64) -> bool {
        self.own_place(id).is_some() || self.crowd.load(Ordering::Acquire) > 0
    }

    /// Forgets the span. The scope is dropped by the caller, outside the lock: it may be the last handle.
    pub(super) fn remove(&self, id: u64) -> Option<Arc<Shared>> {
        if let Some(place) = self.own_place(id) {
            let scope = place.scope().take();
            place.id.store(0, Ordering::Release);
            return scope;
        }
        if self.crowd.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut crowded = self.crowded();
        let scope = crowded.remove(&id);
        self.crowd.store(crowded.len(), Ordering::Release);
        scope
    }

    /// Ids of the Registry are a place in a slab and a generation: one multiplication spreads them well enough.
    fn place(&self, id: u64) -> Option<&Place> {
        let spread = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PLACES.trailing_zeros());
        self.places.get(usize::try_from(spread).unwrap_or_default())
    }

    /// The span's place if it has it. Whoever asks was handed the span after it was put in, so no stronger order is needed.
    fn own_place(&self, id: u64) -> Option<&Place> {
        self.place(id).filter(|place| place.id.load(Ordering::Relaxed) == id)
    }

    fn crowded(&self) -> MutexGuard<'_, HashMap<u64, Arc<Shared>>> {
        self.crowded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn scope(&self) -> MutexGuard<'_, Option<Arc<Shared>>> {
        self.scope.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("crowd", &self.crowd).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_share_a_place_are_told_apart() {
        let index = Index::new();
        let scopes: Vec<_> = (0..3 * PLACES as u64).map(|_| Arc::new(Shared::ignored())).collect();
        let ids = || (1..).zip(&scopes);

        assert!(ids().all(|(id, scope)| index.insert(id, scope)));
        assert!(index.crowd.load(Ordering::Relaxed) > PLACES, "most places are taken");
        assert!(ids().all(|(id, scope)| index.get(id).is_some_and(|found| Arc::ptr_eq(&found, scope))));
        assert!(ids().step_by(2).all(|(id, scope)| index.remove(id).is_some_and(|found| Arc::ptr_eq(&found, scope))));
        assert!(ids().step_by(2).all(|(id, _)| index.get(id).is_none() && index.remove(id).is_none()));
        assert!(ids().skip(1).step_by(2).all(|(id, scope)| index.get(id).is_some_and(|found| Arc::ptr_eq(&found, scope))));
    }

    #[test]
    fn beyond_the_limit_no_span_is_taken_until_another_goes() {
        let index = Index::new();
        let scope = Arc::new(Shared::ignored());
        let most = (PLACES + CROWDED_LIMIT) as u64;

        let taken: Vec<_> = (1..=most + 100).filter(|id| index.insert(*id, &scope)).collect();

        assert_eq!(taken.len() as u64, most);
        let next = most + 101;
        assert!(!index.insert(next, &scope) && index.get(next).is_none());
        assert!(index.remove(taken[taken.len() - 1]).is_some() && index.insert(next, &scope));
    }
}
