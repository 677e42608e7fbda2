//! Renders stack traces of the standard library, and remembers when it did.
//!
//! Stable Rust gives such a trace as text alone, and resolves its names under a lock of the process.
//! Taking a trace needs that lock too: `anyhow` and `eyre` take one for each error, if
//! `RUST_BACKTRACE` is set. The first rendering reads the program's debug information and holds the
//! lock for up to half a second, so the exporter renders a trace when it starts. The time that a request
//! still waits for the lock does not count as blocking by the request.

use crate::fork::Lock;
use crate::record::{Moment, clock};

/// The start and the end of the last long rendering. While it runs, the end is unknown.
static LAST: Lock<Option<(Moment, Option<Moment>)>> = Lock::of_first(None);

/// A rendering that takes less than this many nanoseconds does not replace an earlier one.
const LONG: u64 = 20_000_000;

/// Runs `render`, which may hold the lock for long.
#[cfg_attr(not(any(feature = "anyhow", feature = "eyre", test)), expect(dead_code, reason = "only they have such traces"))]
pub(crate) fn render<R>(render: impl FnOnce() -> R) -> R {
    let began = clock::now();
    let set = |times| std::mem::replace(&mut *LAST.lock(), times);
    let before = set(Some((began, None)));
    let rendered = render();
    let ended = clock::now();
    set(if ended.nanos_since(began) < LONG && before.is_some() { before } else { Some((began, Some(ended))) });
    rendered
}

/// Returns how many nanoseconds of the time since `began` a rendering took.
pub(crate) fn rendered_since(began: Moment) -> u64 {
    let Some((render_began, render_ended)) = *LAST.lock() else { return 0 };
    let end = render_ended.unwrap_or_else(clock::now);
    end.nanos_since(began.max(render_began))
}

/// Whether the process takes traces that are not rendered yet. Returns `true` once.
#[cfg(any(feature = "anyhow", feature = "eyre"))]
pub(crate) fn may_render() -> bool {
    use std::sync::atomic::{AtomicBool, Ordering};

    static ASKED: AtomicBool = AtomicBool::new(false);
    !ASKED.swap(true, Ordering::Relaxed) && std::backtrace::Backtrace::capture().status() == std::backtrace::BacktraceStatus::Captured
}

/// Renders a first trace, so that later ones take a few milliseconds.
#[cfg(any(feature = "anyhow", feature = "eyre"))]
pub(crate) fn warm_up() {
    let trace = std::backtrace::Backtrace::capture();
    render(|| drop(trace.to_string()));
}

/// Held by tests that render, because the process has only one `LAST`.
#[cfg(test)]
pub(crate) static ALONE: Lock<()> = Lock::of_first(());

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn only_the_time_of_a_rendering_is_taken_from_a_poll() {
        let _alone = ALONE.lock();
        let start = Instant::now();
        let at = |millis| Moment::at(start + Duration::from_millis(millis));
        let set = |times| *LAST.lock() = times;
        set(Some((at(100), Some(at(400)))));

        let taken = [0, 100, 300, 400, 500].map(|began| rendered_since(at(began)) / 1_000_000);

        assert_eq!(taken, [300, 300, 100, 0, 0]);
        // A short rendering does not replace a long one.
        render(|| ());
        assert_eq!(rendered_since(at(0)) / 1_000_000, 300);
        set(None);
        assert_eq!(rendered_since(at(0)), 0);
        let inside = render(|| rendered_since(clock::now().before(Duration::from_secs(1))));
        assert_eq!(inside / 1_000_000_000, 0);
        let rendering = || (std::thread::yield_now(), rendered_since(Moment::at(start))).1;
        assert!(render(rendering) > 0, "one that still runs counts until now");
    }
}
