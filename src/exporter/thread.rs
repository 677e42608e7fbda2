//! The exporter's own thread, with its own runtime.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::settings::ExporterSettings;
use super::shared::Shared;
use super::worker::Worker;
use crate::diagnostics;
use crate::protocol::DiscardReason;

/// Runs until the exporter is closed.
pub(super) fn run(settings: ExporterSettings, shared: &Arc<Shared>) {
    let _end = End { shared };
    mark();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().on_thread_start(mark).build() {
        Ok(runtime) => runtime,
        Err(error) => return diagnostics::warn(&format!("nothing will be sent: the exporter's runtime could not be built: {error}")),
    };
    runtime.block_on(Worker::new(settings, shared).run());
    // A name lookup may still block a thread of the runtime: do not wait for it.
    runtime.shutdown_background();
}

thread_local! {
    static IS_EXPORTER: Cell<bool> = const { Cell::new(false) };
}

fn mark() {
    IS_EXPORTER.with(|is_exporter| is_exporter.set(true));
}

/// Whether this thread belongs to an exporter.
///
/// If the logs of its HTTP client were recorded, each envelope would cause the next one.
pub(crate) fn is_exporter() -> bool {
    IS_EXPORTER.with(Cell::get)
}

/// Cleans up when the worker ends, even by a panic.
///
/// The queue accepts no more items, the remaining ones are dropped and counted, and all waiting
/// flushes are answered.
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
            // The caller of `flush` may have stopped waiting.
            let _ = flush.done.try_send(0);
        }
    }
}
