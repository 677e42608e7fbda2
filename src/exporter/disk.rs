//! A thread for what a disk may hold up.
//!
//! The exporter waits for its disk: an envelope must be in a file before it is sent. But it waits only so
//! long. While a disk hangs, everything else goes on.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::fork::Lock;
use crate::{diagnostics, unwind};

/// A disk that does not answer for this long hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// A wait of this length is always allowed. What is longer uses up patience.
const PROMPT: Duration = Duration::from_millis(100);
/// One part in so many of the time comes back as patience, so that a disk that is slow each time holds up
/// little.
const REFILL: u32 = 10;
/// While it waits for the disk, the exporter looks this often whether a shutdown has begun.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The wait at the end of a shutdown. Writes that are not finished then are given up.
const LAST_WAIT: Duration = Duration::from_millis(10);

type Work<T> = Box<dyn FnOnce(&mut T) + Send>;

/// A value that only a thread of its own touches, and what that thread has to do.
///
/// At most two pieces of work wait: the exporter waits for each, or hands it over to a thread that is idle.
/// The thread ends, and drops the value, once this is dropped and all work is done.
pub(super) struct Disk<T> {
    shared: Arc<DiskShared<T>>,
    patience: Patience,
}

struct DiskShared<T> {
    state: Lock<DiskState<T>>,
    changed: Condvar,
}

struct DiskState<T> {
    waiting: VecDeque<Work<T>>,
    /// When the piece of work began that runs now.
    since: Option<Instant>,
    /// The exporter waited for it in vain.
    is_late: bool,
    /// The exporter wants to know when all is done.
    wakes: bool,
    is_closed: bool,
}

impl<T> Default for DiskState<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), since: None, is_late: false, wakes: false, is_closed: false }
    }
}

impl<T> DiskState<T> {
    fn is_idle(&self) -> bool {
        self.since.is_none() && self.waiting.is_empty()
    }
}

/// The result of a piece of work.
#[derive(Default)]
enum Outcome<R> {
    #[default]
    Awaited,
    Known(R),
    /// The exporter does not wait for it any longer.
    TooLate,
}

impl<T: Send + 'static> Disk<T> {
    /// Starts the thread. `wake` is called when a disk that was late has done all its work.
    ///
    /// # Errors
    ///
    /// Returns an error if the thread cannot be started.
    pub(super) fn start(value: T, wake: impl Fn() + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(DiskShared { state: Lock::default(), changed: Condvar::new() });
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new().name("tower-sentry-disk".to_owned()).spawn(move || of_thread.run(value, &wake))?;
        Ok(Self { shared, patience: Patience::new(Instant::now()) })
    }

    /// Whether the disk answers, as far as this is known.
    pub(super) fn answers(&self) -> bool {
        let state = self.shared.lock();
        !state.is_late && state.since.is_none_or(|since| since.elapsed() < PATIENCE)
    }

    /// Whether all work is done.
    pub(super) fn is_idle(&self) -> bool {
        self.shared.lock().is_idle()
    }

    /// Does work on the thread, and waits for its result, but not long: after the start of a shutdown, at
    /// most for half of the time that is left until its end.
    ///
    /// Returns `None` if the disk hangs, or if the work panics. Work that was not even handed over is dropped.
    /// If the result comes too late, `undo` gets it, on the thread.
    pub(super) fn ask<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut T) -> R + Send + 'static,
        undo: impl FnOnce(&mut T, R) + Send + 'static,
        closes_at: impl Fn() -> Option<Instant>,
    ) -> Option<R> {
        if self.answers() { self.wait_for(work, undo, closes_at) } else { None }
    }

    /// The same without looking whether the disk answers: the work is done in any case, sooner or later.
    pub(super) fn wait_for<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut T) -> R + Send + 'static,
        undo: impl FnOnce(&mut T, R) + Send + 'static,
        closes_at: impl Fn() -> Option<Instant>,
    ) -> Option<R> {
        let outcome = Arc::new(Lock::<Outcome<R>>::default());
        let of_thread = Arc::clone(&outcome);
        self.hand_over(move |value| {
            let result = work(value);
            let mut outcome = of_thread.lock();
            if matches!(*outcome, Outcome::Awaited) {
                *outcome = Outcome::Known(result);
            } else {
                drop(outcome);
                undo(value, result);
            }
        });
        self.wait(closes_at);
        let outcome = std::mem::replace(&mut *outcome.lock(), Outcome::TooLate);
        if let Outcome::Known(result) = outcome { Some(result) } else { None }
    }

    /// Does work on the thread, and does not wait for it. For a thread that is idle.
    pub(super) fn hand_over(&self, work: impl FnOnce(&mut T) + Send + 'static) {
        self.shared.lock().waiting.push_back(Box::new(work));
        self.shared.changed.notify_all();
    }

    /// Lets the thread call `wake` when all is done.
    pub(super) fn wake_when_idle(&self) {
        let mut state = self.shared.lock();
        state.wakes = !state.is_idle();
    }

    /// Waits until all work is done, as long as there is patience.
    fn wait(&mut self, closes_at: impl Fn() -> Option<Instant>) {
        let begun = Instant::now();
        let patience = self.patience.left(begun);
        let mut state = self.shared.lock();
        let mut waited = Duration::ZERO;
        while !state.is_idle() {
            waited = begun.elapsed();
            let longest = longest_wait(patience, closes_at().map(|end| end.saturating_duration_since(begun)));
            if waited >= longest {
                (state.is_late, state.wakes) = (true, true);
                break;
            }
            let changed = self.shared.changed.wait_timeout(state, LOOK_EVERY.min(longest.saturating_sub(waited)));
            state = changed.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        self.patience.spend(waited);
    }

    /// Makes the disk hang until the returned value is dropped.
    #[cfg(test)]
    pub(super) fn hang(&self) -> std::sync::mpsc::Sender<()> {
        let (end, ends) = std::sync::mpsc::channel();
        self.hand_over(move |_| _ = ends.recv());
        end
    }
}

impl<T> Drop for Disk<T> {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl<T> DiskShared<T> {
    fn lock(&self) -> MutexGuard<'_, DiskState<T>> {
        self.state.lock()
    }

    fn run(&self, mut value: T, wake: &dyn Fn()) {
        while let Some(work) = self.next() {
            if unwind::catch(|| work(&mut value)).is_none() {
                diagnostics::warn("work on a disk has failed; the exporter goes on");
            }
            if self.is_done() {
                wake();
            }
        }
        let _ = unwind::catch(|| drop(value));
    }

    /// Waits for the next piece of work. Returns `None` once the exporter has ended.
    fn next(&self) -> Option<Work<T>> {
        let mut state = self.lock();
        while state.waiting.is_empty() && !state.is_closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let work = state.waiting.pop_front()?;
        state.since = Some(Instant::now());
        Some(work)
    }

    /// Notes that a piece of work is done. Returns whether the exporter wants to know.
    fn is_done(&self) -> bool {
        let mut state = self.lock();
        state.since = None;
        let is_idle = state.is_idle();
        state.is_late &= !is_idle;
        let wakes = is_idle && std::mem::take(&mut state.wakes);
        drop(state);
        self.changed.notify_all();
        wakes
    }
}

/// The longest wait for one piece of work, if a shutdown ends after `until_end`.
fn longest_wait(patience: Duration, until_end: Option<Duration>) -> Duration {
    until_end.map_or(patience, |until_end| patience.min(LAST_WAIT.max(until_end / 2)))
}

/// How long the exporter may wait for a disk.
#[derive(Debug)]
struct Patience {
    left: Duration,
    /// When it was computed.
    at: Instant,
}

impl Patience {
    fn new(now: Instant) -> Self {
        Self { left: PATIENCE, at: now }
    }

    fn left(&mut self, now: Instant) -> Duration {
        self.left = PATIENCE.min(self.left + now.saturating_duration_since(self.at) / REFILL);
        self.at = now;
        self.left.max(PROMPT)
    }

    fn spend(&mut self, waited: Duration) {
        self.left = self.left.saturating_sub(waited.saturating_sub(PROMPT));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn never() -> Option<Instant> {
        None
    }

    /// A disk whose value lists what was done, and what is woken by it.
    fn disk() -> (Disk<Vec<&'static str>>, mpsc::Receiver<()>) {
        let (wake, woken) = mpsc::channel();
        let disk = Disk::start(Vec::new(), move || _ = wake.send(())).expect("a thread");
        (disk, woken)
    }

    fn note(disk: &mut Disk<Vec<&'static str>>, what: &'static str) -> Option<usize> {
        let undo = |list: &mut Vec<_>, _| list.push("undone");
        let work = move |list: &mut Vec<_>| {
            list.push(what);
            list.len()
        };
        disk.ask(work, undo, never)
    }

    fn list(disk: &mut Disk<Vec<&'static str>>) -> Vec<&'static str> {
        disk.ask(|list| list.clone(), |_, _| {}, never).expect("it answers")
    }

    #[test]
    fn what_a_disk_has_done_is_known_when_the_call_returns() {
        let (mut disk, woken) = disk();

        let numbers: Vec<_> = (0..100).map(|_| note(&mut disk, "done")).collect();

        assert_eq!(numbers, (1..=100).map(Some).collect::<Vec<_>>());
        assert!(disk.answers() && disk.is_idle() && woken.try_recv().is_err(), "a disk that is well wakes nothing");
    }

    #[test]
    fn a_disk_that_hangs_is_waited_for_once_and_used_again_when_it_answers() {
        let (mut disk, woken) = disk();
        let hang = disk.hang();

        let too_late = note(&mut disk, "late");
        let refused: Vec<_> = (0..20).map(|_| note(&mut disk, "refused")).collect();
        let while_it_hangs = (disk.answers(), disk.is_idle());
        drop(hang);
        woken.recv_timeout(Duration::from_secs(60)).expect("the exporter is woken once");

        assert_eq!((too_late, while_it_hangs), (None, (false, false)));
        assert!(refused.iter().all(Option::is_none));
        assert!(disk.answers() && disk.is_idle() && woken.try_recv().is_err());
        assert_eq!(list(&mut disk), ["late", "undone"]);
    }

    #[test]
    fn a_shutdown_waits_for_half_of_its_time_and_a_little_at_its_end() {
        for (until_end, longest) in [(None, 1000), (Some(3_600_000), 1000), (Some(800), 400), (Some(15), 10), (Some(0), 10)] {
            let longest_wait = longest_wait(PATIENCE, until_end.map(Duration::from_millis));

            assert_eq!(longest_wait, Duration::from_millis(longest), "{until_end:?}");
        }
    }

    #[test]
    fn a_disk_that_hangs_at_the_end_of_a_shutdown_is_given_up() {
        let (mut disk, _woken) = disk();
        let _hang = disk.hang();
        let end = Instant::now();

        let answer = disk.ask(|_| {}, |_, ()| {}, || Some(end));

        assert!(answer.is_none() && !disk.answers());
    }

    #[test]
    fn work_that_panics_has_no_result_and_the_next_one_has() {
        let (mut disk, _woken) = disk();

        let failed = disk.ask(|_| panic!("of a spool"), |_, ()| {}, never);

        assert_eq!((failed, note(&mut disk, "done")), (None, Some(1)));
    }

    #[test]
    fn what_was_handed_over_is_done_after_the_end() {
        let (disk, _woken) = disk();
        let (done, is_done) = mpsc::channel();
        let hang = disk.hang();
        disk.hand_over(move |list| done.send(list.len()).expect("the test waits"));

        drop(disk);
        drop(hang);

        assert_eq!(is_done.recv_timeout(Duration::from_secs(60)), Ok(0));
    }

    #[test]
    fn a_disk_that_is_slow_each_time_holds_up_a_tenth_of_the_time() {
        let start = Instant::now();
        let mut patience = Patience::new(start);
        let (mut now, mut waited) = (start, Duration::ZERO);
        // Each answer takes half a second, and the next question comes at once.
        while now - start < Duration::from_secs(600) {
            let wait = patience.left(now).min(Duration::from_millis(500));
            patience.spend(wait);
            waited += wait;
            now += Duration::from_millis(500);
        }
        let share = waited.as_secs_f64() / (now - start).as_secs_f64();
        assert!((0.2..0.35).contains(&share), "a tenth, and the first 100 ms of each: {share}");

        let mut patient = Patience::new(start);
        for _ in 0..1000 {
            assert_eq!(patient.left(start), PATIENCE, "a disk that answers promptly is always waited for");
            patient.spend(PROMPT);
        }
    }
}
