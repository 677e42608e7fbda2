//! The exporter's own thread, with a runtime of its own.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::worker::Worker;
use super::{Settings, Shared, diagnostics};
use crate::protocol::DiscardReason;

/// Runs until the exporter is closed.
pub(super) fn run(settings: Settings, shared: &Arc<Shared>) {
    let _end = End { shared };
    mark();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().on_thread_start(mark).build() {
        Ok(runtime) => runtime,
        Err(error) => return diagnostics::warn(&format!("nothing will be sent: the exporter's runtime could not be built: {error}")),
    };
    runtime.block_on(Worker::new(settings, shared).run());
    // A name lookup may sit in a thread of its own; nobody waits for it.
    runtime.shutdown_background();
}

thread_local! {
    static IS_EXPORTER: Cell<bool> = const { Cell::new(false) };
}

fn mark() {
    IS_EXPORTER.with(|is_exporter| is_exporter.set(true));
}

/// Whether this thread belongs to an exporter: what its HTTP client logs would make the next envelope, and that the one after it.
pub(crate) fn is_exporter() -> bool {
    IS_EXPORTER.with(Cell::get)
}

/// The end of the worker, also by a panic of ours: nothing is taken any more, what is left is counted, nobody waits in vain.
struct End<'a> {
    shared: &'a Shared,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.shared.queue.close();
        self.shared.security.close();
        while let Some((_, item)) = self.shared.queue.pop() {
            self.shared.ledger.discard(item.load(), DiscardReason::InternalSdkError);
            self.shared.recycle(item);
        }
        self.shared.has_ended.store(true, Ordering::SeqCst);
        for flush in self.shared.commands.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Whoever asked may have gone.
            let _ = flush.done.try_send(0);
        }
    }
}
