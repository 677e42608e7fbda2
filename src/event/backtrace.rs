//! Stack traces: the request records addresses, the exporter's thread resolves names and lines.

use std::sync::atomic::{AtomicU8, Ordering};

use super::in_app;
use crate::protocol::{Frame, Stacktrace};

/// Frames beyond this limit are cut from the middle, as Sentry does.
const FRAMES_LIMIT: usize = 100;

/// Whether symbol names were resolved before.
///
/// The first resolution reads the program's debug information under a process-wide lock. That takes
/// 60 ms in a release build and half a second in a debug build. Walking a stack needs the same
/// lock. Reading the debug information at start-up instead would cost every process 31 MB.
static NAMES: AtomicU8 = AtomicU8::new(UNREAD);
const UNREAD: u8 = 0;
const READING: u8 = 1;
const READ: u8 = 2;

/// Returns the return addresses of the calling thread, innermost first.
///
/// Walks the stack and resolves nothing. Returns no addresses while the walk would block.
pub(crate) fn addresses() -> Vec<usize> {
    if NAMES.load(Ordering::Relaxed) == READING {
        return Vec::new();
    }
    let mut addresses = Vec::with_capacity(64);
    backtrace::trace(|frame| {
        // The byte before the return address is still inside the call.
        addresses.push((frame.ip() as usize).saturating_sub(1));
        addresses.len() < 4 * FRAMES_LIMIT
    });
    addresses
}

/// Resolves addresses to frames, the oldest caller first.
///
/// Returns `None` if no frame is left to show.
pub(crate) fn stacktrace(addresses: &[usize]) -> Option<Stacktrace> {
    if addresses.is_empty() {
        return None;
    }
    let is_first = NAMES.compare_exchange(UNREAD, READING, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    let mut frames = Vec::new();
    for address in addresses {
        let before = frames.len();
        // Inlined calls come innermost first, like the addresses.
        backtrace::resolve(*address as *mut std::ffi::c_void, |symbol| frames.push(frame(*address, symbol)));
        if frames.len() == before {
            frames.push(Frame { instruction_addr: Some(format!("{address:#x}")), ..Frame::default() });
        }
    }
    if is_first {
        NAMES.store(READ, Ordering::Relaxed);
    }
    tidy(frames)
}

/// Removes frames of the machinery and the thread's start, and puts the oldest caller first.
///
/// Frames beyond the limit are cut. Returns `None` if no frame is left.
pub(super) fn tidy(mut frames: Vec<Frame>) -> Option<Stacktrace> {
    frames.drain(..machinery(&frames));
    if let Some(start) = frames.iter().position(|frame| frame.function.as_deref().is_some_and(in_app::is_thread_start)) {
        frames.truncate(start);
    }
    if frames.len() > FRAMES_LIMIT {
        frames.drain(FRAMES_LIMIT / 2..frames.len() - FRAMES_LIMIT / 2);
    }
    frames.reverse();
    (!frames.is_empty()).then_some(Stacktrace { frames })
}

/// Returns how many of the innermost frames belong to the stack walk and to the panic machinery.
///
/// Up to five shims may lie between two of them. Frames further out with such a name
/// (`catch_unwind`) are kept.
fn machinery(frames: &[Frame]) -> usize {
    const GAP: usize = 5;
    let mut end = 0;
    for (place, frame) in frames.iter().enumerate() {
        if place > end + GAP {
            break;
        }
        if frame.function.as_deref().is_some_and(|function| in_app::is_machinery(function) && !in_app::is_thread_start(function)) {
            end = place + 1;
        }
    }
    end
}

fn frame(address: usize, symbol: &backtrace::Symbol) -> Frame {
    let function = symbol.name().map(|name| in_app::without_hash(&format!("{name:#}")).to_owned());
    let path = symbol.filename().map(|path| path.to_string_lossy().into_owned());
    let in_app = function.as_deref().map(|function| in_app::is_in_app(function, path.as_deref()));
    Frame {
        module: function.as_deref().and_then(in_app::module).map(str::to_owned),
        function,
        filename: path.as_deref().map(in_app::relative).map(str::to_owned),
        abs_path: path,
        lineno: symbol.lineno().filter(|line| *line > 0),
        colno: symbol.colno().filter(|column| *column > 0),
        in_app,
        instruction_addr: Some(format!("{address:#x}")),
        ..Frame::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn somewhere_in_the_application() -> Vec<usize> {
        addresses()
    }

    #[test]
    fn frames_name_the_caller_and_come_oldest_first() {
        let trace = stacktrace(&somewhere_in_the_application()).unwrap_or_default();

        let functions: Vec<_> = trace.frames.iter().filter_map(|frame| frame.function.as_deref()).collect();
        let caller = functions.iter().position(|name| name.contains("frames_name_the_caller"));
        let innermost = functions.iter().position(|name| name.contains("somewhere_in_the_application"));
        assert!(caller.is_some() && caller < innermost, "{functions:?}");
        assert!(!functions.iter().any(|name| name.contains("backtrace::trace")), "{functions:?}");
    }

    fn named(function: impl Into<String>) -> Frame {
        Frame { function: Some(function.into()), ..Frame::default() }
    }

    fn functions(trace: Option<Stacktrace>) -> Vec<String> {
        trace.unwrap_or_default().frames.into_iter().filter_map(|frame| frame.function).collect()
    }

    #[test]
    fn of_a_deep_recursion_both_ends_are_kept() {
        let deep = (0..300).map(|depth| named(format!("shop::call{depth}"))).collect();

        let kept = functions(tidy(deep));

        let expected: Vec<_> = (250..300).rev().chain((0..50).rev()).map(|depth| format!("shop::call{depth}")).collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn the_start_of_a_thread_and_the_machinery_of_a_panic_are_left_out() {
        let inside = ["backtrace::trace", "std::panicking::begin_panic", "core::panicking::panic_fmt"];
        let outside = ["std::sys::backtrace::__rust_begin_short_backtrace", "std::thread::spawn", "start_thread"];
        let own = ["shop::cart::load", "shop::main"];
        let whole = inside.into_iter().chain(own).chain(outside).map(named).collect();

        assert_eq!(functions(tidy(whole)), ["shop::main", "shop::cart::load"]);
        assert_eq!(tidy(inside.into_iter().map(named).collect()), None);
    }
}
