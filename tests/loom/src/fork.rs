//! Stands for `src/fork.rs`: no process is forked here.

/// What `crate::fork::sync` has, of loom.
pub mod sync {
    pub use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
    pub use loom::sync::{Mutex, MutexGuard};
}

use self::sync::{Mutex, MutexGuard};

#[derive(Debug)]
pub struct Lock<T>(Mutex<T>);

impl<T: Default> Default for Lock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Lock<T> {
    pub fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub fn of_first(value: T) -> Self {
        Self::new(value)
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    mutex.lock().ok()
}

#[derive(Debug)]
pub struct Home;

impl Home {
    pub fn here() -> Self {
        Self
    }

    pub fn is_left(&self) -> bool {
        false
    }

    pub fn look(&self) -> bool {
        false
    }
}
