//! The profile of a session: of the whole process, in chunks.

use std::sync::Arc;

use super::samples::Samples;
use super::settings::{ProfileLifecycle, ProfilingSettings};
use super::signals;
use super::thread;
use super::transaction;
use crate::fork::Lock;
use crate::protocol::EventId;

/// A chunk of a session that goes on is sent after this time, in nanoseconds. Servers take 60 seconds.
const CHUNK: u64 = 20_000_000_000;

static SESSION: Lock<Session> = Lock::of_first(Session::new());

type Sink = Arc<dyn Fn(SessionChunk) + Send + Sync>;

/// Samples of all threads of the process.
#[derive(Debug)]
pub(crate) struct SessionChunk {
    pub(crate) profiler_id: EventId,
    pub(crate) samples: Samples,
}

#[derive(Default)]
struct Session {
    /// Whether chance was for it; decided once in a process.
    is_chosen: Option<bool>,
    running: Option<Running>,
    /// What ended and was not sent yet.
    ended: Vec<Part>,
    sink: Option<Sink>,
}

struct Running {
    part: Part,
    /// The transactions that it runs for.
    roots: usize,
}

/// A part of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) profiler_id: EventId,
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Session {
    const fn new() -> Self {
        Self { is_chosen: None, running: None, ended: Vec::new(), sink: None }
    }

    /// Begins, unless it runs already. Returns its id.
    fn begin(&mut self, roots: usize, now: u64) -> Option<EventId> {
        if self.is_chosen != Some(true) {
            return None;
        }
        let new = || Running { part: Part { profiler_id: EventId::new(), from: now, to: u64::MAX }, roots: 0 };
        let running = self.running.get_or_insert_with(new);
        running.roots += roots;
        Some(running.part.profiler_id)
    }

    fn end(&mut self, now: u64) {
        let ended = self.running.take().map(|running| Part { to: now, ..running.part });
        self.ended.extend(ended);
    }

    /// Takes the parts of which all samples are known up to this time.
    fn due(&mut self, until: u64) -> Vec<Part> {
        let (mut due, left): (Vec<_>, Vec<_>) = self.ended.drain(..).partition(|part| part.to <= until);
        self.ended = left;
        if let Some(Running { part, .. }) = &mut self.running
            && until.saturating_sub(part.from) >= CHUNK
        {
            due.push(Part { to: until, ..*part });
            part.from = until + 1;
        }
        due
    }
}

/// A transaction for which the session runs.
#[derive(Debug)]
pub(crate) struct SessionRoot {
    profiler_id: EventId,
    /// Whether it keeps the session going.
    counts: bool,
}

impl SessionRoot {
    /// Begins the session, or takes part in it. None if nothing is profiled.
    pub(crate) fn begin(settings: ProfilingSettings) -> Option<Self> {
        if !settings.has_sessions() {
            return None;
        }
        match settings.profile_lifecycle {
            ProfileLifecycle::Manual => {
                let running = SESSION.lock().running.as_ref().map(|running| running.part.profiler_id);
                running.map(|profiler_id| Self { profiler_id, counts: false })
            }
            ProfileLifecycle::Trace => {
                if !thread::is_here() {
                    return None;
                }
                let profiler_id = SESSION.lock().begin(1, signals::now())?;
                thread::wake();
                Some(Self { profiler_id, counts: true })
            }
        }
    }

    pub(crate) fn profiler_id(&self) -> EventId {
        self.profiler_id
    }
}

impl Drop for SessionRoot {
    fn drop(&mut self) {
        if !self.counts {
            return;
        }
        let mut session = SESSION.lock();
        if let Some(running) = &mut session.running {
            running.roots = running.roots.saturating_sub(1);
            if running.roots == 0 {
                session.end(signals::now());
            }
        }
    }
}

/// Decides once whether the session of this process is profiled, and where its chunks go.
pub(crate) fn set_up(settings: ProfilingSettings, sink: impl Fn(SessionChunk) + Send + Sync + 'static) {
    let mut session = SESSION.lock();
    session.is_chosen.get_or_insert_with(|| transaction::is_chosen(EventId::new(), settings.profile_session_sample_rate));
    // The chunks go to the client that was started last.
    session.sink = Some(Arc::new(sink));
}

/// Starts the session, if the process was chosen for it.
pub(crate) fn start() {
    if thread::is_here() {
        let _ = SESSION.lock().begin(0, signals::now());
        thread::wake();
    }
}

/// Stops the session. Its last chunk follows.
pub(crate) fn stop() {
    SESSION.lock().end(signals::now());
    thread::wake();
}

/// Ends the session, if there is one. Returns whether something is to be sent.
pub(super) fn end_if_active() -> bool {
    SESSION.lock().end(signals::now());
    is_active()
}

/// Whether it needs the signals.
pub(super) fn is_active() -> bool {
    let session = SESSION.lock();
    session.running.is_some() || !session.ended.is_empty()
}

pub(super) fn due(until: u64) -> Vec<Part> {
    SESSION.lock().due(until)
}

/// Hands a chunk over, without a lock.
pub(super) fn send(chunk: SessionChunk) {
    let sink = SESSION.lock().sink.clone();
    if let Some(sink) = sink {
        sink(chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn chosen() -> Session {
        Session { is_chosen: Some(true), ..Session::new() }
    }

    #[test]
    fn a_long_session_is_cut_into_chunks_without_a_gap() {
        let mut session = chosen();
        let id = session.begin(0, 100 * SECOND).unwrap_or_default();

        let early = session.due(119 * SECOND);
        let first = session.due(121 * SECOND);
        session.end(130 * SECOND);
        let too_early = session.due(129 * SECOND);
        let last = session.due(131 * SECOND);

        assert_eq!((early, too_early, session.begin(0, 0).is_some()), (Vec::new(), Vec::new(), true));
        assert_eq!(first, [Part { profiler_id: id, from: 100 * SECOND, to: 121 * SECOND }]);
        assert_eq!(last, [Part { profiler_id: id, from: 121 * SECOND + 1, to: 130 * SECOND }]);
    }

    #[test]
    fn a_process_that_was_not_chosen_has_no_session() {
        let mut session = Session { is_chosen: Some(false), ..Session::new() };

        assert_eq!(session.begin(1, 0), None);
        assert!(session.running.is_none());
    }
}
