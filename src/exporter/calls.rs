//! Hands the calls of `flush` and `shutdown` to the worker, so that each gets an answer.

use super::flushes::Flush;
use crate::fork::Lock;
use crate::fork::sync::{AtomicBool, AtomicU64, Ordering};

/// The calls that the worker has not taken yet, and how the worker ended.
#[derive(Default)]
pub(super) struct Calls {
    new: Lock<Vec<Flush>>,
    /// The worker has ended and takes no more calls.
    has_ended: AtomicBool,
    /// The items that were lost because the worker ended by its own faults. At least 1 if it did.
    lost: AtomicU64,
}

impl Calls {
    /// Hands a call to the worker.
    ///
    /// Returns the number of lost items if the worker has ended: the call may have an answer then, or
    /// may never get one.
    pub(super) fn add(&self, flush: Flush, wake: impl FnOnce()) -> Option<u64> {
        self.new.lock().push(flush);
        wake();
        // After the push: a worker that ends later still answers.
        self.has_ended().then(|| self.lost())
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::SeqCst)
    }

    /// Takes all new calls, for the worker.
    pub(super) fn take(&self) -> Vec<Flush> {
        std::mem::take(&mut *self.new.lock())
    }

    /// Whether a new call is like this.
    pub(super) fn any(&self, is_like: impl FnMut(&Flush) -> bool) -> bool {
        self.new.lock().iter().any(is_like)
    }

    /// Notes items that are lost because the worker fails.
    pub(super) fn lose(&self, items: u64) {
        self.lost.fetch_add(items, Ordering::SeqCst);
    }

    /// Notes that the worker has ended, with the items that this lost, and answers the calls that wait.
    ///
    /// `clean_up` takes what others may still have put down: who looks whether the worker has ended after
    /// that finds that it has.
    pub(super) fn end(&self, lost: u64, has_failed: bool, clean_up: impl FnOnce()) {
        self.lose(lost);
        if has_failed {
            self.lost.fetch_max(1, Ordering::SeqCst);
        }
        self.has_ended.store(true, Ordering::SeqCst);
        clean_up();
        let lost = self.lost();
        for flush in self.take() {
            // The caller of `flush` may have stopped waiting.
            let _ = flush.done.try_send(lost);
        }
    }
}
