//! The panic hook, which alone reports panics.
//!
//! The layer cannot report panics reliably. A `CatchPanicLayer` inside our layer catches the panic
//! before our layer sees it. With one outside, our layer sees no response. The hook sees every
//! panic where it starts, with its stack and the request's scope.
//!
//! The hook captures and enqueues. It waits for delivery only if the process is about to abort
//! (`panic = "abort"`). Afterwards, it always calls the hook that was there before.

use std::cell::Cell;
use std::panic::{self, PanicHookInfo};
use std::sync::Once;

use crate::client::default_client;
use crate::event::CodeLocation;
use crate::scope::{call_stack, capture_panic, current};
use crate::unwind;

/// Installs the hook once per process.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            report(info);
            previous(info);
        }));
    });
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
    if !unwind::is_catching() && is_heard() {
        let stack = call_stack(info.location().map(CodeLocation::copy)).unwrap_or_default();
        capture_panic(payload(info), stack);
        if cfg!(panic = "abort") {
            let client = current::with(|entered| entered.scope.client.clone()).unwrap_or_else(default_client);
            if let Some(timeout) = client.settings().map(|settings| settings.delivery.shutdown_timeout) {
                let _ = client.close_blocking(timeout, false);
            }
        }
    }
    let _ = REPORTING.try_with(|reporting| reporting.set(false));
}

/// Whether the event would be recorded. Checks this without creating a scope.
fn is_heard() -> bool {
    current::with(|entered| entered.scope.client.is_enabled()).unwrap_or_else(|| default_client().is_enabled())
}

fn payload<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("the panic's payload is not text")
}
