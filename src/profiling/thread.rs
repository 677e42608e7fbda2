//! The profiler's thread, and the process that has it.

use std::sync::mpsc;
use std::thread::Thread;

use once_cell::race::OnceBox;

use crate::diagnostics;
use crate::fork::Home;

static RUNS: OnceBox<Runs> = OnceBox::new();

struct Runs {
    thread: Thread,
    home: Home,
}

/// Starts the thread, once in a process.
///
/// A process that was forked from one that has it takes no profiles: the locks of `pprof` may be held there for good.
pub(super) fn start(run: fn()) {
    if RUNS.get().is_some() {
        if !is_here() {
            diagnostics::warn("this process was forked from one that takes profiles; it takes none");
        }
        return;
    }
    let (choose, chosen) = mpsc::channel();
    let started = std::thread::Builder::new().name("tower-sentry-prof".to_owned()).spawn(move || {
        if chosen.recv().is_ok() {
            run();
        }
    });
    match started {
        // If another client started one meanwhile, that one is woken, and this one ends: only one may hand chunks over.
        Ok(handle) => {
            if RUNS.set(Box::new(Runs { thread: handle.thread().clone(), home: Home::here() })).is_ok() {
                let _ = choose.send(());
            }
        }
        Err(error) => diagnostics::warn(&format!("no profiles are taken: the profiler's thread could not be started: {error}")),
    }
    wake();
}

/// Whether this process has the thread.
pub(super) fn is_here() -> bool {
    RUNS.get().is_some_and(|runs| !runs.home.look())
}

pub(super) fn wake() {
    if let Some(runs) = RUNS.get() {
        runs.thread.unpark();
    }
}
