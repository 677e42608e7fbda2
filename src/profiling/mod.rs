//! Profiles: which functions use the processor while a transaction runs.
//!
//! The system sends the process a signal each time that it has used the processor for some ten
//! milliseconds. The handler of the signal, in the crate `pprof`, walks the stack of the thread that runs.
//! An idle process gets no signals.
//!
//! * A transaction that is profiled has a [`TransactionProfile`]: when it began, and which threads polled it.
//! * One thread of the process, the profiler, starts and stops the signals, because that takes time. It reads
//!   what they found every 100 ms while a transaction is profiled (`profiler`), and keeps the samples of the last
//!   30 seconds (`samples`).
//! * The exporter takes the samples of a transaction when it writes it.
//!
//! A session is of the whole process (`session`): its chunks have the samples of all threads.
//!
//! A request allocates once if it is profiled, and takes one lock for a moment. It never waits for the
//! profiler's work.

#[cfg(profiles)]
mod profiler;
#[cfg(profiles)]
mod samples;
#[cfg(profiles)]
mod session;
mod settings;
#[cfg(profiles)]
mod signals;
#[cfg(profiles)]
mod thread;
#[cfg(profiles)]
mod transaction;

#[cfg(profiles)]
pub(crate) use profiler::{finish, start};
#[cfg(profiles)]
pub(crate) use samples::Samples;
#[cfg(profiles)]
pub(crate) use session::{SessionChunk, SessionRoot, remove as remove_client, set_up, start as start_session, stop as stop_session};
pub use settings::ProfileLifecycle;
pub(crate) use settings::ProfilingSettings;
#[cfg(profiles)]
pub(crate) use transaction::TransactionProfile;
