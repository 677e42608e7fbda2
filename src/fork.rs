//! What is left of the process in a forked child.
//!
//! A child has one thread, a copy of the one that forked. The exporter's thread does not exist there,
//! and a lock that another thread held at that moment is never released. So a child drops and counts
//! what it captures, and waits for no lock, until it starts a client of its own.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

/// The process that started the first client. 0 before that.
static FIRST: AtomicU32 = AtomicU32::new(0);
/// The process whose stacks can be walked, if it is not the first.
static WALKS: AtomicU32 = AtomicU32::new(0);

/// Whether this process was forked from one that had a client. A system call.
pub(crate) fn is_child() -> bool {
    let first = FIRST.load(Ordering::Relaxed);
    first != 0 && first != std::process::id()
}

/// Whether stacks can be walked here.
///
/// Walking takes a lock of the process, which belongs to another crate.
pub(crate) fn may_walk() -> bool {
    !is_child() || WALKS.load(Ordering::Relaxed) == std::process::id()
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

    /// Whether this is a child. A system call, as long as it is not one.
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

impl<T: Default> Default for Lock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
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
