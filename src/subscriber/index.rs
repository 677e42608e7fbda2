//! Maps `tracing` spans to their scopes, for spans that move to another task.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::fork::sync::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::fork::{self, Lock};
use crate::scope::LiveScope;

/// The number of slots in the table; a power of two.
const PLACES: usize = if cfg!(loom) { 2 } else { 4096 };
/// The number of spans in the overflow map. Further spans are not recorded.
const CROWDED_LIMIT: usize = 256 * 1024;

/// Open spans by id. Each id has its own slot with an uncontended lock.
///
/// Inserting and removing a span takes 70 instructions, against 220 with a sharded map. A lookup that
/// finds no span takes 10.
pub(super) struct Index {
    places: Box<[Place]>,
    /// Spans whose slot was taken.
    crowded: Lock<HashMap<u64, Arc<LiveScope>>>,
    /// The size of `crowded`. It is nearly always 0, and then the lock is not taken.
    crowd: AtomicUsize,
}

#[derive(Default)]
struct Place {
    /// The id of the span in this slot, or 0.
    ///
    /// The thread that changes it from 0 owns the slot until it is 0 again.
    id: AtomicU64,
    /// The address of the scope.
    address: AtomicUsize,
    /// Only locked for the span in this slot, so a forked child nearly never finds it held. An empty
    /// value for the child would cost a hundred kilobytes in all slots.
    scope: Mutex<Option<Arc<LiveScope>>>,
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            places: (0..PLACES).map(|_| Place::default()).collect(),
            crowded: Lock::of_first(HashMap::new()),
            crowd: AtomicUsize::new(0),
        }
    }

    /// Adds the span. Returns `false` if there are too many.
    pub(super) fn insert(&self, id: u64, scope: &Arc<LiveScope>) -> bool {
        if let Some(place) = self.place(id)
            && place.id.compare_exchange(0, id, Ordering::Acquire, Ordering::Relaxed).is_ok()
        {
            place.address.store(Arc::as_ptr(scope).addr(), Ordering::Relaxed);
            if let Some(mut own) = place.scope() {
                *own = Some(Arc::clone(scope));
            }
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

    pub(super) fn get(&self, id: u64) -> Option<Arc<LiveScope>> {
        if let Some(place) = self.own_place(id) {
            return place.scope()?.as_ref().map(Arc::clone);
        }
        if self.crowd.load(Ordering::Acquire) == 0 { None } else { self.crowded().get(&id).map(Arc::clone) }
    }

    /// The address of the span's scope; 0 if the span is not in the index. This nearly never locks.
    #[inline]
    pub(super) fn address(&self, id: u64) -> usize {
        match self.own_place(id) {
            Some(place) => place.address.load(Ordering::Relaxed),
            None if self.crowd.load(Ordering::Acquire) == 0 => 0,
            None => self.crowded().get(&id).map_or(0, |scope| Arc::as_ptr(scope).addr()),
        }
    }

    /// Whether the span may be in the index. `false` is certain, `true` is not.
    pub(super) fn may_hold(&self, id: u64) -> bool {
        self.own_place(id).is_some() || self.crowd.load(Ordering::Acquire) > 0
    }

    /// Removes the span.
    ///
    /// The caller drops the scope outside the lock, because it may be the last handle.
    pub(super) fn remove(&self, id: u64) -> Option<Arc<LiveScope>> {
        if let Some(place) = self.own_place(id) {
            let scope = place.scope().and_then(|mut scope| scope.take());
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

    /// Removes all spans, and returns their scopes.
    pub(super) fn take_all(&mut self) -> Vec<Arc<LiveScope>> {
        let crowded = std::mem::take(&mut *self.crowded());
        let places = self.places.iter().filter(|place| place.id.load(Ordering::Relaxed) != 0);
        let places = places.filter_map(|place| place.scope()?.take());
        places.chain(crowded.into_values()).collect()
    }

    /// The slot of an id.
    ///
    /// Registry ids consist of a slab index and a generation; one multiplication spreads them well
    /// enough.
    fn place(&self, id: u64) -> Option<&Place> {
        let spread = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PLACES.trailing_zeros());
        self.places.get(usize::try_from(spread).unwrap_or_default())
    }

    /// The span's slot, if the span is in it.
    ///
    /// `Relaxed` is enough: the caller received the span after it was inserted.
    fn own_place(&self, id: u64) -> Option<&Place> {
        self.place(id).filter(|place| place.id.load(Ordering::Relaxed) == id)
    }

    fn crowded(&self) -> MutexGuard<'_, HashMap<u64, Arc<LiveScope>>> {
        self.crowded.lock()
    }
}

impl Place {
    fn scope(&self) -> Option<MutexGuard<'_, Option<Arc<LiveScope>>>> {
        fork::lock(&self.scope)
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
    use crate::client::Client;

    #[test]
    fn spans_that_share_a_place_are_not_mixed_up() {
        let index = Index::new();
        let scopes: Vec<_> = (0..3 * PLACES as u64).map(|_| Arc::new(LiveScope::ignored(&Client::off()))).collect();
        let ids = || (1..).zip(&scopes);

        assert!(ids().all(|(id, scope)| index.insert(id, scope)));
        assert!(index.crowd.load(Ordering::Relaxed) > PLACES, "most places are taken");
        assert!(ids().all(|(id, scope)| index.get(id).is_some_and(|found| Arc::ptr_eq(&found, scope))));
        assert!(ids().all(|(id, scope)| index.address(id) == Arc::as_ptr(scope).addr()));
        assert!(ids().step_by(2).all(|(id, scope)| index.remove(id).is_some_and(|found| Arc::ptr_eq(&found, scope))));
        assert!(ids().step_by(2).all(|(id, _)| index.get(id).is_none() && index.address(id) == 0 && index.remove(id).is_none()));
        assert!(ids().skip(1).step_by(2).all(|(id, scope)| index.get(id).is_some_and(|found| Arc::ptr_eq(&found, scope))));
    }

    #[test]
    fn beyond_the_limit_no_span_is_taken_until_another_goes() {
        let index = Index::new();
        let scope = Arc::new(LiveScope::ignored(&Client::off()));
        let most = (PLACES + CROWDED_LIMIT) as u64;

        let taken: Vec<_> = (1..=most + 100).filter(|id| index.insert(*id, &scope)).collect();

        assert_eq!(taken.len() as u64, most);
        let next = most + 101;
        assert!(!index.insert(next, &scope) && index.get(next).is_none());
        assert!(index.remove(taken[taken.len() - 1]).is_some() && index.insert(next, &scope));
    }
}
