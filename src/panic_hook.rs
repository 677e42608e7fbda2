//! The panic hook, which reports panics where they begin.
//!
//! It sees every panic with its stack, its place and the request's scope. A layer does not: a
//! `CatchPanicLayer` inside our layer catches the panic before ours. If our hook did not run for a
//! panic, because another hook replaced it or the panic was resumed, the guards in `scope` report the
//! payload.
//!
//! The hook captures and enqueues. It waits for delivery only if the process is about to abort.
//! Afterwards, it always calls the hook that was there before.

use std::cell::Cell;
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::client::Client;
use crate::event::CodeLocation;
use crate::scope::{call_stack, capture_panic};
use crate::unwind::{self, Payload};

/// Installs the hook once per process.
pub(crate) fn install() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if !INSTALLED.swap(true, Ordering::Relaxed) {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // The console waits while this value lives, because the previous hook prints. If the report itself
            // waits for the delivery, both would wait for each other.
            let _running = (!waits_for_delivery(info.payload())).then(unwind::RunningHook::enter);
            report(info);
            previous(info);
        }));
    }
}

fn report(info: &PanicHookInfo<'_>) {
    thread_local! {
        static REPORTING: Cell<bool> = const { Cell::new(false) };
    }
    // A panic during the report is our own or that of a `Drop`. The process is lost, and reporting
    // again could make it worse.
    let is_first = REPORTING.try_with(|reporting| !reporting.replace(true)).unwrap_or(false);
    if !is_first {
        return;
    }
    let payload = info.payload();
    let is_last = ends_process(payload);
    if !unwind::is_catching() && Client::current().is_enabled() {
        if !is_last {
            let stack = call_stack(info.location().map(CodeLocation::copy)).unwrap_or_default();
            capture_panic(payload, stack);
        }
        if waits_for_delivery(payload) {
            let client = Client::current();
            if let Some(timeout) = client.settings().map(|settings| settings.delivery.shutdown_timeout) {
                let _ = client.close_blocking(timeout, false);
            }
        }
    }
    let _ = REPORTING.try_with(|reporting| reporting.set(false));
}

/// Whether nothing can be delivered after this panic.
fn waits_for_delivery(payload: &Payload) -> bool {
    cfg!(panic = "abort") || ends_process(payload)
}

/// Whether the standard library ends the process after this panic. It only follows another one, which
/// was reported.
fn ends_process(payload: &Payload) -> bool {
    matches!(unwind::text(payload), Some("panic in a destructor during cleanup" | "panic in a function that cannot unwind"))
}
