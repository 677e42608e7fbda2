//! Which scope a `tracing` span belongs to: how spans that moved to another task find home.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::scope::Shared;

const SHARDS: usize = 64;
/// Spans that may be open at once in one shard; those beyond are not recorded.
const SHARD_LIMIT: usize = 4096;

/// Open spans by id, in shards so that threads seldom meet.
#[derive(Default)]
pub(super) struct Index {
    shards: Vec<Mutex<Scopes>>,
}

type Scopes = HashMap<u64, Arc<Shared>, BuildHasherDefault<Spread>>;

impl Index {
    pub(super) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Remembers the span; `false` if there are too many.
    pub(super) fn insert(&self, id: u64, scope: &Arc<Shared>) -> bool {
        let Some(mut shard) = self.shard(id) else { return false };
        if shard.len() >= SHARD_LIMIT {
            return false;
        }
        shard.insert(id, Arc::clone(scope));
        true
    }

    pub(super) fn get(&self, id: u64) -> Option<Arc<Shared>> {
        self.shard(id)?.get(&id).map(Arc::clone)
    }

    /// Forgets the span. The scope is dropped by the caller, outside the lock: it may be the last handle.
    pub(super) fn remove(&self, id: u64) -> Option<Arc<Shared>> {
        self.shard(id)?.remove(&id)
    }

    fn shard(&self, id: u64) -> Option<MutexGuard<'_, Scopes>> {
        let place = usize::try_from(spread(id) >> 58).unwrap_or_default();
        self.shards.get(place).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Ids of the Registry are a place in a slab and a generation: one multiplication spreads them well enough, and nobody chooses them.
const fn spread(id: u64) -> u64 {
    id.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = spread(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = spread(id);
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let open: usize = self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum();
        f.debug_struct("Index").field("open", &open).finish_non_exhaustive()
    }
}
