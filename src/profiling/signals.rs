//! The signals, and what their handler has found.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::pthread::pthread_self;
use nix::sys::signal::{Signal, raise};
use pprof::{ProfilerGuard, ProfilerGuardBuilder, Result, UnresolvedReport};

use super::samples::Hits;

/// Signals for each second of processor time. Sentry's SDKs use it too: with 100, work that is done every ten
/// milliseconds would always be seen, or never.
const PER_SECOND: i32 = 101;
/// Where a thread may have been interrupted with a lock that the handler needs too. These samples are left out.
const BLOCKED: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];
/// Above this number, reading them would take milliseconds, and `pprof` would write them to a file.
const STACKS_LIMIT: usize = 500;

/// Signals of this process, until it is dropped.
pub(super) struct Signals {
    guard: ProfilerGuard<'static>,
    /// What was found up to the last look. The counts only grow.
    before: Option<UnresolvedReport>,
}

impl Signals {
    /// Prepares the handler. It reads the tables of the binaries in the first signal, and allocates for that.
    ///
    /// That signal is sent here, to this thread: elsewhere it could interrupt an allocation.
    pub(super) fn prepare() -> Result<()> {
        // Fails if the signals are in use, and then leaves their settings as the documentation of `pprof` advises.
        drop(builder().blocklist(&BLOCKED).build()?);
        // Once in a second of processor time: the signal below comes before that.
        let guard = builder().frequency(1).build()?;
        raise(Signal::SIGPROF)?;
        drop(guard);
        Ok(())
    }

    pub(super) fn start() -> Result<Self> {
        let guard = builder().frequency(PER_SECOND).blocklist(&BLOCKED).build()?;
        Ok(Self { guard, before: None })
    }

    /// What was found since the last look.
    pub(super) fn look(&mut self) -> Result<Vec<Hits>> {
        let report = self.guard.report().build_unresolved()?;
        let before = self.before.as_ref().map(|report| &report.data);
        let mut found = Vec::new();
        for (stack, count) in &report.data {
            let known = before.and_then(|before| before.get(stack)).copied();
            let count = u64::try_from(count - known.unwrap_or(0)).unwrap_or(0);
            if count > 0 {
                let name = stack.thread_name.get(..stack.thread_name_length).unwrap_or_default();
                found.push(Hits {
                    thread: stack.thread_id,
                    thread_name: String::from_utf8_lossy(name).into_owned(),
                    calls: stack.frames.iter().enumerate().map(|(depth, frame)| in_call(depth, frame.ip)).collect(),
                    count,
                    first_at: known.is_none().then(|| nanos(stack.sample_timestamp)),
                });
            }
        }
        self.before = Some(report);
        Ok(found)
    }

    /// Whether there are so many different stacks that the signals should be started anew.
    pub(super) fn is_full(&self) -> bool {
        self.before.as_ref().is_some_and(|report| report.data.len() > STACKS_LIMIT)
    }
}

fn builder() -> ProfilerGuardBuilder {
    ProfilerGuardBuilder::default()
}

/// An address inside the call: the innermost one was interrupted there, the others would return to the next one.
fn in_call(depth: usize, address: usize) -> usize {
    if depth == 0 { address } else { address.saturating_sub(1) }
}

/// The wall clock, in nanoseconds since the epoch.
pub(super) fn now() -> u64 {
    nanos(SystemTime::now())
}

fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).ok().and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or_default()
}

/// The number of this thread, as samples have it.
#[inline]
pub(super) fn thread() -> u64 {
    number(pthread_self())
}

/// The system's type for a thread has another width on other systems.
fn number(thread: impl TryInto<u64>) -> u64 {
    thread.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outer_calls_are_looked_up_before_their_return_addresses() {
        assert_eq!([(0, 100), (1, 100), (2, 0)].map(|(depth, address)| in_call(depth, address)), [100, 99, 0]);
    }

    #[test]
    fn threads_have_different_numbers() {
        let here = thread();

        assert_eq!(here, thread());
        assert!(here != 0 && std::thread::spawn(thread).join().ok() != Some(here));
    }
}
