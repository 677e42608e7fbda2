//! Makes the crate safe in a forked child.
//!
//! A child has one thread, a copy of the one that forked. The exporter's thread does not exist there,
//! and a lock that another thread held at that moment is never released. So a child drops and counts
//! what it captures, and waits for no lock, until it starts its own client.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use once_cell::race::OnceBox;

/// The process that started the first client. 0 before that.
static FIRST: AtomicU32 = AtomicU32::new(0);
/// The forked process that has found out that stacks can be walked there; 0 if there is none.
static WALKS: AtomicU32 = AtomicU32::new(0);

/// Whether this process was forked from one that had a client. This takes a system call.
pub(crate) fn is_child() -> bool {
    let first = FIRST.load(Ordering::Relaxed);
    first != 0 && first != std::process::id()
}

/// Whether stacks can be walked here.
///
/// Walking takes a lock of another crate, which a thread of the parent may have held at the fork.
pub(crate) fn may_walk() -> bool {
    !is_child() || WALKS.load(Ordering::Relaxed) == std::process::id()
}

/// Locks a mutex. Returns `None` in a child that finds it locked: its owner may not exist there.
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) if is_child() => None,
        Err(TryLockError::WouldBlock) => Some(mutex.lock().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// Tries in a child whether stacks can be walked, on a thread that may never end.
pub(crate) fn try_to_walk(walk: impl FnOnce() + Send + 'static) {
    if !may_walk() {
        // If there is no thread, events have no frames.
        let _ = std::thread::Builder::new().name("tower-sentry-stack".to_owned()).spawn(move || {
            walk();
            WALKS.store(std::process::id(), Ordering::Relaxed);
        });
    }
}

/// The process that a value belongs to.
#[derive(Debug)]
pub(crate) struct Home {
    process: u32,
    is_left: AtomicBool,
}

impl Home {
    /// This process.
    pub(crate) fn here() -> Self {
        let process = std::process::id();
        let _ = FIRST.compare_exchange(0, process, Ordering::Relaxed, Ordering::Relaxed);
        Self { process, is_left: AtomicBool::new(false) }
    }

    /// Another process.
    #[cfg(test)]
    pub(crate) fn elsewhere() -> Self {
        Self { process: std::process::id() ^ 1, is_left: AtomicBool::new(false) }
    }

    /// Whether it is known that this is a child.
    pub(crate) fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Relaxed)
    }

    /// Whether this is a child. This takes a system call, unless it is known to be one.
    pub(crate) fn look(&self) -> bool {
        if self.is_left() {
            return true;
        }
        let is_left = std::process::id() != self.process;
        if is_left {
            self.is_left.store(true, Ordering::Relaxed);
        }
        is_left
    }
}

/// The atomics and locks of the files that `tests/loom` checks. There, those of loom replace them.
pub(crate) mod sync {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
    pub(crate) use std::sync::{Mutex, MutexGuard};
}

/// A mutex that a child never waits for.
///
/// If its owner does not exist there, the child gets an empty value. A lock that is free costs what
/// a mutex does.
#[derive(Debug)]
pub(crate) struct Lock<T> {
    value: Mutex<T>,
    /// The process that made the lock; 0 for a static one, which belongs to the first.
    process: u32,
    of_child: OnceLock<Box<Mutex<T>>>,
}

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { process: std::process::id(), ..Self::of_first(value) }
    }

    /// The value, without locking: the caller has the only reference.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lock of the process that started the first client.
    pub(crate) const fn of_first(value: T) -> Self {
        Self { value: Mutex::new(value), process: 0, of_child: OnceLock::new() }
    }
}

impl<T: Default> Lock<T> {
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.value.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => self.wait(),
        }
    }

    #[cold]
    fn wait(&self) -> MutexGuard<'_, T> {
        let is_child = if self.process == 0 { is_child() } else { self.process != std::process::id() };
        let mutex = if is_child { self.of_child.get_or_init(Box::default) } else { &self.value };
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A value that is made at its first use.
///
/// A child never waits for one that another thread of its parent was making: several threads may make
/// it, and the first value stays.
pub(crate) struct Lazy<T> {
    value: OnceBox<T>,
    make: fn() -> T,
}

impl<T> Lazy<T> {
    pub(crate) const fn new(make: fn() -> T) -> Self {
        Self { value: OnceBox::new(), make }
    }
}

impl<T> Deref for Lazy<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.value.get_or_init(|| Box::new((self.make)()))
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// Forks while another thread has what `hold` returns, and runs `work` in the child. Fails if that fails
/// or hangs.
#[cfg(all(test, unix))]
#[expect(clippy::exit, clippy::expect_used, reason = "the child must not run the rest of the test, which has no other answer")]
pub(crate) fn run_in_child<T>(hold: impl FnOnce() -> T + Send, work: impl FnOnce()) {
    use std::time::{Duration, Instant};

    let (hold_begins, begun) = std::sync::mpsc::channel();
    let (end, ends) = std::sync::mpsc::channel::<()>();
    let _here = Home::here();
    let status = std::thread::scope(|scope| {
        scope.spawn(move || {
            let _held = hold();
            let _ = hold_begins.send(());
            let _ = ends.recv();
        });
        begun.recv().expect("it is held");
        let child = match fork::fork().expect("a fork") {
            fork::Fork::Child => {
                let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err();
                std::process::exit(i32::from(failed));
            }
            fork::Fork::Parent(child) => child,
        };
        let latest = Instant::now() + Duration::from_secs(20);
        let status = loop {
            match fork::waitpid_nohang(child).expect("it is our child") {
                None if Instant::now() < latest => std::thread::sleep(Duration::from_millis(1)),
                status => break status,
            }
        };
        if status.is_none() {
            let _ = std::process::Command::new("kill").args(["-9", &child.to_string()]).status();
        }
        drop(end);
        status
    });
    assert_eq!(status, Some(0), "the child has failed, or hangs and was killed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_does_not_wait_for_a_lock_of_its_parent() {
        let lock = Lock { process: std::process::id() ^ 1, ..Lock::of_first(vec![1]) };
        let _held = lock.lock();

        lock.lock().push(2);

        assert_eq!(*lock.lock(), [2]);
    }

    #[cfg(unix)]
    #[test]
    fn a_forked_child_waits_for_no_lock() {
        let (lock, plain) = (Lock::new(1), Mutex::new(1));
        run_in_child(
            || (lock.lock(), plain.lock()),
            || {
                assert_eq!((*lock.lock(), super::lock(&plain).is_none()), (0, true));
            },
        );
        assert_eq!((*lock.lock(), super::lock(&plain).as_deref()), (1, Some(&1)));
    }

    #[cfg(unix)]
    #[test]
    fn a_forked_child_makes_a_value_that_another_thread_was_making() {
        static HAS_BEGUN: AtomicBool = AtomicBool::new(false);
        static MAY_END: AtomicBool = AtomicBool::new(false);
        static VALUE: Lazy<u8> = Lazy::new(|| {
            HAS_BEGUN.store(true, Ordering::SeqCst);
            while !MAY_END.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            7
        });
        run_in_child(
            || {
                let making = std::thread::spawn(|| *VALUE);
                while !HAS_BEGUN.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                making
            },
            || {
                MAY_END.store(true, Ordering::SeqCst);
                assert_eq!(*VALUE, 7);
            },
        );
        MAY_END.store(true, Ordering::SeqCst);
        assert_eq!(*VALUE, 7);
    }

    #[test]
    fn a_lock_that_is_held_here_is_waited_for() {
        let lock = Lock::new(0);
        let (taken, is_taken) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let mut held = lock.lock();
            scope.spawn(|| taken.send(*lock.lock()).unwrap());
            let too_early = is_taken.recv_timeout(std::time::Duration::from_millis(50));
            *held = 7;
            drop(held);

            assert!(too_early.is_err(), "it is held");
            assert_eq!(is_taken.recv(), Ok(7));
        });
    }
}
