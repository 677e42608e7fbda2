//! Runs code of the user that may panic.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs user code that may panic, such as a `Display` or a hook.
///
/// Returns `None` after a panic, which the panic hook does not report.
pub(crate) fn catch<T>(code: impl FnOnce() -> T) -> Option<T> {
    let before = CATCHING.try_with(|catching| catching.replace(true)).unwrap_or(true);
    let result = catch_unwind(AssertUnwindSafe(code)).ok();
    let _ = CATCHING.try_with(|catching| catching.set(before));
    result
}

/// Whether a panic on this thread is caught by [`catch`].
pub(crate) fn is_catching() -> bool {
    CATCHING.try_with(Cell::get).unwrap_or(true)
}

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}
