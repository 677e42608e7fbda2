//! The exporter's own thread, with a runtime of its own.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::worker::Worker;
use super::{Settings, Shared, diagnostics};
use crate::error::Error;
use crate::protocol::DiscardReason;

/// Runs until the exporter is closed.
pub(super) fn run(settings: Settings, shared: &Arc<Shared>) {
    let _end = End { shared };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&Error::exporter(format!("the exporter's runtime could not be built: {error}"))),
    };
    match Worker::new(settings, shared) {
        Ok(worker) => runtime.block_on(worker.run()),
        Err(error) => refuse(&error),
    }
    // A name lookup may sit in a thread of its own; nobody waits for it.
    runtime.shutdown_background();
}

fn refuse(error: &Error) {
    diagnostics::warn(&format!("nothing will be sent: {error}"));
}

/// The end of the worker, also by a panic of ours: nothing is taken any more, what is left is counted, nobody waits in vain.
struct End<'a> {
    shared: &'a Shared,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.shared.queue.close();
        while let Some(item) = self.shared.queue.pop() {
            self.shared.ledger.discard(&item, DiscardReason::InternalSdkError);
            self.shared.recycle(item);
        }
        self.shared.has_ended.store(true, Ordering::SeqCst);
        for flush in self.shared.commands.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Whoever asked may have gone.
            let _ = flush.done.try_send(0);
        }
    }
}
