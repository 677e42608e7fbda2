//! The exporter's own thread, with its own runtime.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{self, Runtime};

use super::security_writer;
use super::settings::ExporterSettings;
use super::shared::Shared;
use super::worker::{Ended, Worker};
use crate::error::Error;
#[cfg(any(feature = "anyhow", feature = "eyre"))]
use crate::event;
use crate::payload::note_start;
use crate::protocol::DiscardReason;
use crate::redaction::{Privacy, Redactor};
use crate::{diagnostics, unwind};

/// The pause before the runtime is built again.
const BUILD_AGAIN: Duration = Duration::from_millis(100);

/// Starts the thread.
///
/// The runtime is built before, so that the thread has its file descriptors from the start.
pub(super) fn start(settings: ExporterSettings, shared: &Arc<Shared>) -> Result<(), Error> {
    // If the thread does not start, the runtime must not be dropped here: that panics inside another
    // runtime.
    note_start();
    let name: Arc<str> = settings.delivery.client_name.as_str().into();
    let runtime = Arc::new(Mutex::new(build(&name).ok()));
    let (of_thread, shared) = (Arc::clone(&runtime), Arc::clone(shared));
    let take = |runtime: &Mutex<Option<Runtime>>| runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
    let started = std::thread::Builder::new().name("tower-sentry".to_owned()).spawn(move || run(settings, &shared, take(&of_thread)));
    started.map(|_| ()).map_err(|error| {
        if let Some(runtime) = take(&runtime) {
            runtime.shutdown_background();
        }
        Error::exporter("the exporter's thread could not be started").caused_by(error)
    })
}

fn build(client_name: &Arc<str>) -> io::Result<Runtime> {
    let name = Arc::clone(client_name);
    runtime::Builder::new_current_thread().enable_all().on_thread_start(move || mark(&name)).build()
}

/// Runs until the exporter is closed.
fn run(mut settings: ExporterSettings, shared: &Arc<Shared>, runtime: Option<Runtime>) {
    let mut end = End { shared, ended: Ended::Failed };
    let name: Arc<str> = settings.delivery.client_name.as_str().into();
    mark(&name);
    if let Some(log) = settings.delivery.security_log.clone() {
        let Privacy { redaction, send_default_pii, .. } = &settings.privacy;
        security_writer::start(log, Redactor::new(Arc::clone(redaction), *send_default_pii), shared);
    }
    let Some(runtime) = runtime.or_else(|| build_later(shared, &name)) else {
        end.ended = Ended::Closed;
        return;
    };
    // Not on this thread: a program may end soon, and its events must be sent before.
    #[cfg(any(feature = "anyhow", feature = "eyre"))]
    if event::rendering::may_render() {
        runtime.spawn_blocking(event::rendering::warm_up);
    }
    for beside in std::mem::take(&mut settings.beside) {
        runtime.spawn(beside);
    }
    // The worker contains the panics of its steps. This one is about its start.
    let ended = unwind::catch(|| runtime.block_on(async { Worker::new(settings, shared).run().await }));
    end.ended = ended.unwrap_or(Ended::Failed);
    // A name lookup may still block a thread of the runtime: do not wait for it.
    runtime.shutdown_background();
}

/// Builds the runtime as soon as that is possible: there may be no file descriptors now.
///
/// Returns `None` if a shutdown ends before that.
fn build_later(shared: &Shared, client_name: &Arc<str>) -> Option<Runtime> {
    let trouble = diagnostics::Quiet::new();
    loop {
        match build(client_name) {
            Ok(runtime) => return Some(runtime),
            Err(error) => trouble.warn(&format!("nothing can be sent for now: the exporter's runtime could not be built: {error}")),
        }
        let is_over = |now| shared.calls.any(|flush| flush.close && flush.deadline <= now);
        if is_over(Instant::now()) {
            return None;
        }
        std::thread::sleep(BUILD_AGAIN);
    }
}

thread_local! {
    static IS_EXPORTER: Cell<bool> = const { Cell::new(false) };
}

fn mark(client_name: &Arc<str>) {
    diagnostics::speak_for(client_name);
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
/// flushes are answered: with an error if the worker has failed.
struct End<'a> {
    shared: &'a Shared,
    ended: Ended,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.shared.queue.close();
        self.shared.security.close();
        let reason = if self.ended == Ended::Closed { DiscardReason::NetworkError } else { DiscardReason::InternalSdkError };
        let (lost, has_failed) = (self.shared.drop_queue(reason), self.ended == Ended::Failed);
        // Whatever the worker held went with it.
        self.shared.lose_taken(reason);
        self.shared.calls.end(lost, has_failed, || {
            // The queue is closed, so they are dropped and counted.
            self.shared.enqueue_all(self.shared.held.take_all());
            let now = Instant::now();
            self.shared.budgets.look_after(now, Some(self.shared.closes_at.get().copied().unwrap_or(now)));
        });
        if has_failed {
            diagnostics::warn(&format!(
                "the exporter has failed too often and is off; items lost and counted: {}",
                self.shared.calls.lost()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::shared;
    use super::*;

    #[test]
    fn a_flush_after_the_end_by_a_fault_is_never_ok() {
        for (ended, is_ok) in [(Ended::Closed, true), (Ended::Failed, false)] {
            let shared = shared();

            drop(End { shared: &shared, ended });
            let exporter = super::super::Exporter { shared };

            assert_eq!(exporter.flush(Duration::from_secs(3600), false).is_ok(), is_ok, "{ended:?}");
        }
    }
}
