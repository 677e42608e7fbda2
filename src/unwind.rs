//! Runs code of the user that may panic.
//!
//! [`catch`] ends a panic. [`Contained`] also counts the panics of one function. [`watch`] lets a panic
//! continue, and reports it if the panic hook did not: another hook may have replaced ours, and
//! `resume_unwind` calls none.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::VecDeque;
use std::error::Error;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use crate::fork::Lock;

/// The payload of a panic: nearly always a text.
pub(crate) type Payload = dyn Any + Send;

/// Runs user code that may panic, such as a `Display` or a hook.
///
/// Returns `None` after a panic, which the panic hook does not report.
pub(crate) fn catch<T>(code: impl FnOnce() -> T) -> Option<T> {
    let before = CATCHING.try_with(|catching| catching.replace(true)).unwrap_or(true);
    let result = catch_unwind(AssertUnwindSafe(code)).ok();
    let _ = CATCHING.try_with(|catching| catching.set(before));
    result
}

/// Like [`catch`], on its own thread. Use it in a panic hook, where a second panic would end the process.
pub(crate) fn catch_aside<T: Send>(code: impl FnOnce() -> T + Send) -> Option<T> {
    thread::scope(|scope| {
        let aside = thread::Builder::new().name("tower-sentry-panic".to_owned()).spawn_scoped(scope, || catch(code));
        aside.ok()?.join().ok()?
    })
}

/// How long the console waits for panic hooks: one of them may wait for the console itself.
const LONGEST_HOOK: Duration = Duration::from_secs(1);

/// The panic hooks of the application that are running.
static HOOKS_RUNNING: AtomicU32 = AtomicU32::new(0);

/// While it lives, a panic hook of the application runs: often that of the standard library, which prints.
pub(crate) struct RunningHook(());

impl RunningHook {
    pub(crate) fn enter() -> Self {
        HOOKS_RUNNING.fetch_add(1, Ordering::AcqRel);
        Self(())
    }
}

impl Drop for RunningHook {
    fn drop(&mut self) {
        HOOKS_RUNNING.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Waits until no panic hook of the application runs, for at most a second in all.
///
/// A hook that takes longer may wait for the thread that waits here.
pub(crate) fn wait_for_panic_hooks() {
    /// Set after the time is over: hooks are not waited for again until none runs.
    static GIVEN_UP: AtomicBool = AtomicBool::new(false);
    let latest = Instant::now() + LONGEST_HOOK;
    while HOOKS_RUNNING.load(Ordering::Acquire) > 0 {
        if GIVEN_UP.load(Ordering::Relaxed) || Instant::now() >= latest {
            return GIVEN_UP.store(true, Ordering::Relaxed);
        }
        thread::sleep(Duration::from_millis(1));
    }
    GIVEN_UP.store(false, Ordering::Relaxed);
}

/// After this many panics, a function of the user is turned off.
const PANICS_LIMIT: u32 = 10;

/// A hook that may change a value, or drop it by returning `None`.
pub(crate) type Hook<T> = Arc<Contained<dyn Fn(T) -> Option<T> + Send + Sync>>;

/// A function of the user, and how often it has panicked.
pub(crate) struct Contained<F: ?Sized> {
    panics: AtomicU32,
    code: F,
}

/// Why a function of the user returned no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoResult {
    /// It has panicked too often, so it was not called.
    Off,
    Panicked {
        /// Whether it is turned off from now on.
        is_last: bool,
    },
}

impl<F> Contained<F> {
    pub(crate) fn new(code: F) -> Self {
        Self { panics: AtomicU32::new(0), code }
    }
}

impl<F: ?Sized> Contained<F> {
    /// Runs the function. A panic ends here.
    pub(crate) fn run<T>(&self, call: impl FnOnce(&F) -> T) -> Result<T, NoResult> {
        if self.panics.load(Ordering::Relaxed) >= PANICS_LIMIT {
            return Err(NoResult::Off);
        }
        let outer = IN_HOOK.try_with(|inside| inside.replace(true)).unwrap_or(true);
        let result = catch(|| call(&self.code));
        let _ = IN_HOOK.try_with(|inside| inside.set(outer));
        result.ok_or_else(|| NoResult::Panicked { is_last: self.panics.fetch_add(1, Ordering::Relaxed) + 1 == PANICS_LIMIT })
    }
}

impl<F: ?Sized> fmt::Debug for Contained<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contained").field("panics", &self.panics).finish_non_exhaustive()
    }
}

/// Whether a [`Contained`] function runs on this thread. Such a function must not be called for what it
/// records itself.
pub(crate) fn is_in_hook() -> bool {
    IN_HOOK.try_with(Cell::get).unwrap_or(true)
}

/// Whether a panic on this thread is caught by [`catch`].
pub(crate) fn is_catching() -> bool {
    CATCHING.try_with(Cell::get).unwrap_or(true)
}

/// Runs work of the user, and stops a panic so that the caller can read its payload.
///
/// The caller must then call [`Unwinding::resume`].
#[inline]
pub(crate) fn watch<T>(work: impl FnOnce() -> T) -> Result<T, Unwinding> {
    let begun = WATCHES.with(|watches| {
        let begun = watches.get().wrapping_add(1);
        watches.set(begun);
        begun
    });
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Unwinding { payload, begun })
}

/// A panic that leaves the work.
pub(crate) struct Unwinding {
    payload: Box<Payload>,
    /// The number of the watch that stopped it.
    begun: u64,
}

impl Unwinding {
    /// The payload of a panic that nothing has reported yet.
    #[cold]
    pub(crate) fn unreported(&self) -> Option<&Payload> {
        let panic = PanicMark::of(&*self.payload);
        let is_reported = LAST.with(Cell::get).is_some_and(|(last, at)| last == panic && at >= self.begun);
        (!is_reported && !take(panic)).then_some(&*self.payload)
    }

    /// Continues the panic. Outer watches do not report it again.
    #[cold]
    pub(crate) fn resume(self) -> ! {
        LAST.with(|last| last.set(Some((PanicMark::of(&*self.payload), now()))));
        resume_unwind(self.payload)
    }
}

/// Remembers that a panic was reported, so that the watches around it do not report it again.
#[cold]
pub(crate) fn mark_reported(payload: &Payload) {
    LAST.with(|last| last.set(Some((PanicMark::of(payload), now()))));
}

/// Remembers a reported panic of a task or thread that no watch is around.
///
/// It may continue inside a watch elsewhere: `resume_unwind(join_error.into_panic())`.
#[cold]
pub(crate) fn mark_reported_outside(payload: &Payload) {
    /// Panics that do not continue stay in the list until newer ones replace them.
    const OUTSIDE_LIMIT: usize = 64;
    let mut outside = OUTSIDE.lock();
    if outside.len() >= OUTSIDE_LIMIT {
        outside.pop_front();
    }
    outside.push_back(PanicMark::of(payload));
}

fn take(panic: PanicMark) -> bool {
    let mut outside = OUTSIDE.lock();
    let place = outside.iter().position(|known| *known == panic);
    place.and_then(|place| outside.remove(place)).is_some()
}

fn now() -> u64 {
    WATCHES.with(Cell::get)
}

/// Identifies a panic by its payload, between the hook and the end of the unwinding.
///
/// The payload moves into a box after the hook, but the memory of its text or error does not move. The
/// next payload may get that memory, so its contents count too.
#[derive(Clone, Copy, PartialEq, Eq)]
struct PanicMark {
    kind: TypeId,
    address: usize,
    size: usize,
    /// The hash of a text.
    text: u64,
}

impl PanicMark {
    fn of(payload: &Payload) -> Self {
        let text = text(payload);
        let error = payload.downcast_ref::<Box<dyn Error + Send + Sync>>();
        let address = text.map(|text| text.as_ptr() as usize).or_else(|| error.map(|error| (&raw const **error).cast::<u8>() as usize));
        let size = text.map(str::len).or_else(|| error.map(|error| size_of_val(&**error)));
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self { kind: payload.type_id(), address: address.unwrap_or_default(), size: size.unwrap_or_default(), text: hasher.finish() }
    }
}

/// The text of a panic, if its payload is one.
pub(crate) fn text(payload: &Payload) -> Option<&str> {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .or_else(|| payload.downcast_ref::<Box<str>>().map(AsRef::as_ref))
        .or_else(|| payload.downcast_ref::<Cow<'static, str>>().map(AsRef::as_ref))
}

/// See [`mark_reported_outside`].
static OUTSIDE: Lock<VecDeque<PanicMark>> = Lock::of_first(VecDeque::new());

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    /// Whether a hook runs.
    static IN_HOOK: Cell<bool> = const { Cell::new(false) };
    /// How many watches have begun on this thread.
    static WATCHES: Cell<u64> = const { Cell::new(0) };
    /// The latest panic of this thread that was reported, and how many watches had begun by then.
    static LAST: Cell<Option<(PanicMark, u64)>> = const { Cell::new(None) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `work` and returns whether its panic is one that nothing has reported.
    fn is_unreported(work: impl FnOnce()) -> bool {
        watch(work).is_err_and(|unwinding| unwinding.unreported().is_some())
    }

    /// Held by the tests that fill the list of panics outside of requests, or need their own to stay in it.
    static OF_OUTSIDE: Lock<()> = Lock::of_first(());

    /// Panics as if our hook was not installed.
    fn resumed(payload: &'static str) {
        resume_unwind(Box::new(payload));
    }

    #[test]
    fn the_console_prints_after_the_panic_hooks() {
        static IS_OVER: AtomicU32 = AtomicU32::new(0);
        let running = RunningHook::enter();
        let begun = Instant::now();
        let seen = thread::spawn(|| {
            wait_for_panic_hooks();
            IS_OVER.load(Ordering::SeqCst)
        });
        thread::sleep(Duration::from_millis(50));
        IS_OVER.store(1, Ordering::SeqCst);
        drop(running);

        let seen = seen.join().unwrap_or_default();
        // A busy machine may have held this thread for longer than the console waits.
        assert!(seen == 1 || begun.elapsed() >= LONGEST_HOOK);
    }

    #[test]
    fn a_panic_is_reported_once_by_whichever_sees_it_first() {
        assert!(is_unreported(|| resumed("no hook ran")));
        assert!(!is_unreported(|| {
            mark_reported(&"the hook ran");
            resumed("the hook ran");
        }));
        // If two watches are around one panic, the inner one has reported it.
        assert!(!is_unreported(|| {
            if let Err(inner) = watch(|| resumed("in a span")) {
                assert!(inner.unreported().is_some());
                inner.resume();
            }
        }));
        // The same text again, after a layer between the two watches swallowed the first.
        assert!(is_unreported(|| resumed("in a span")));
    }

    #[test]
    fn a_panic_of_another_thread_that_goes_on_here_is_the_same() {
        let _alone = OF_OUTSIDE.lock();
        let payload = String::from("in a task");
        let reported = thread::spawn(move || {
            let boxed: Box<Payload> = Box::new(payload);
            mark_reported_outside(&*boxed);
            boxed
        });
        let boxed = reported.join().unwrap_or_else(|_| Box::new(()));

        assert!(!is_unreported(|| resume_unwind(boxed)));
        assert!(is_unreported(|| resume_unwind(Box::new(String::from("in a task")))), "an equal text is another panic");
    }

    #[test]
    fn a_panic_whose_text_has_the_memory_of_an_earlier_one_is_another_panic() {
        let mut payload = String::from("first");
        let before = PanicMark::of(&payload);

        payload.replace_range(.., "other");
        let after = PanicMark::of(&payload);

        assert_eq!((after.address, after.size), (before.address, before.size));
        assert!(after != before && after == PanicMark::of(&payload));
    }

    #[test]
    fn panics_that_nothing_takes_up_again_are_bounded() {
        let _alone = OF_OUTSIDE.lock();
        for number in 0..1000_u32 {
            mark_reported_outside(&format!("panic {number}"));
        }

        assert!(OUTSIDE.lock().len() <= 64);
    }

    #[test]
    fn a_function_that_has_panicked_ten_times_is_off() {
        let function = Contained::new(|number: u32| if number == 0 { resumed("again") } else { assert!(is_in_hook()) });

        let mut results = vec![function.run(|code| code(1))];
        results.extend((0..11).map(|_| function.run(|code| code(0))));
        results.push(function.run(|code| code(1)));

        let panicked = |is_last| Err(NoResult::Panicked { is_last });
        let expected = [Ok(())].into_iter().chain([panicked(false); 9]).chain([panicked(true), Err(NoResult::Off), Err(NoResult::Off)]);
        assert!(results.into_iter().eq(expected) && !is_in_hook());
    }

    #[test]
    fn a_second_panic_inside_a_hook_is_kept_on_a_thread_of_its_own() {
        assert_eq!(catch_aside(|| 7), Some(7));
        assert_eq!(catch_aside(|| -> u32 { resume_unwind(Box::new(())) }), None);
    }
}
