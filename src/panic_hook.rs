//! The one recorder of panics.
//!
//! A `CatchPanicLayer` inside our layer hides the unwinding from it, one outside hides it from the response; the hook sees every
//! panic where it begins, with its stack and with the scope of the request. It captures and enqueues; it waits for delivery only where the
//! process is about to die (`panic = "abort"`). The hook that was there before runs afterwards.

use std::cell::Cell;
use std::panic::{self, PanicHookInfo};
use std::sync::Once;

use crate::client::default_client;
use crate::exception;
use crate::scope::{capture_panic, current};

/// Installs the hook, once per process.
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
    // A panic while a panic is being reported is our own or that of a `Drop`: the process is lost, and we must not make it worse.
    let is_first = REPORTING.try_with(|reporting| !reporting.replace(true)).unwrap_or(false);
    if !is_first {
        return;
    }
    if !exception::is_contained() && is_heard() {
        let message = match info.location() {
            Some(place) => format!("{} ({place})", payload(info)),
            None => payload(info).to_owned(),
        };
        capture_panic(&message, exception::addresses());
        if cfg!(panic = "abort") {
            let client = current::with(|entered| entered.scope.client.clone()).unwrap_or_else(default_client);
            if let Some(timeout) = client.settings().map(|settings| settings.shutdown_timeout) {
                let _ = client.close_blocking(timeout, false);
            }
        }
    }
    let _ = REPORTING.try_with(|reporting| reporting.set(false));
}

/// Whether anybody would get the event, without making a scope for it.
fn is_heard() -> bool {
    current::with(|entered| entered.scope.client.is_enabled()).unwrap_or_else(|| default_client().is_enabled())
}

fn payload<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("the panic's payload is no text")
}
