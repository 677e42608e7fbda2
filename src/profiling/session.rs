//! The profile of a session: of the whole process, in chunks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// Takes a chunk, or gives it back if its client was dropped.
type Take = Arc<dyn Fn(SessionChunk) -> Result<(), SessionChunk> + Send + Sync>;

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
    /// The clients that take chunks: first those that close, then the others, the newest last.
    outlets: Vec<Outlet>,
}

/// A client that takes chunks.
struct Outlet {
    client: usize,
    /// Whether a session may begin for it.
    is_open: bool,
    take: Take,
}

struct Running {
    part: Part,
    /// It runs as long as there is one.
    holds: Vec<Hold>,
}

/// What a session runs for: transactions of a client, or its starts by hand.
struct Hold {
    client: usize,
    count: usize,
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
        Self { is_chosen: None, running: None, ended: Vec::new(), outlets: Vec::new() }
    }

    /// Begins, unless it runs already. Returns its id.
    fn begin(&mut self, client: usize, now: u64) -> Option<EventId> {
        let is_open = |outlet: &Outlet| outlet.client == client && outlet.is_open;
        if self.is_chosen != Some(true) || !self.outlets.iter().any(is_open) {
            return None;
        }
        let new = || Running { part: Part { profiler_id: EventId::new(), from: now, to: u64::MAX }, holds: Vec::new() };
        let running = self.running.get_or_insert_with(new);
        match running.holds.iter_mut().find(|hold| hold.client == client) {
            Some(hold) => hold.count += 1,
            None => running.holds.push(Hold { client, count: 1 }),
        }
        Some(running.part.profiler_id)
    }

    /// A transaction that took part in the session with this id has ended. A later session goes on.
    fn release(&mut self, client: usize, profiler_id: EventId, now: u64) {
        let Some(running) = self.running.as_mut().filter(|running| running.part.profiler_id == profiler_id) else { return };
        if let Some(hold) = running.holds.iter_mut().find(|hold| hold.client == client) {
            hold.count -= 1;
        }
        running.holds.retain(|hold| hold.count > 0);
        self.end_if_unheld(now);
    }

    /// The session does not run for this client any more. It goes on if it runs for another.
    fn leave(&mut self, client: usize, now: u64) {
        if let Some(running) = &mut self.running {
            running.holds.retain(|hold| hold.client != client);
        }
        self.end_if_unheld(now);
    }

    fn end_if_unheld(&mut self, now: u64) {
        let ended = self.running.take_if(|running| running.holds.is_empty());
        self.ended.extend(ended.map(|running| Part { to: now, ..running.part }));
    }

    /// The client closes: it takes chunks only if no other client does.
    fn close(&mut self, client: usize, now: u64) {
        self.leave(client, now);
        if let Some(place) = self.outlets.iter().position(|outlet| outlet.client == client) {
            let mut outlet = self.outlets.remove(place);
            outlet.is_open = false;
            self.outlets.insert(0, outlet);
        }
    }

    /// The client was dropped.
    fn remove(&mut self, client: usize, now: u64) {
        self.leave(client, now);
        self.outlets.retain(|outlet| outlet.client != client);
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
    client: usize,
    /// Whether it keeps the session going.
    holds: AtomicBool,
}

impl SessionRoot {
    /// Begins the session, or takes part in it. None if nothing is profiled.
    pub(crate) fn begin(client: usize, settings: ProfilingSettings) -> Option<Self> {
        // A forked child does not even look: the session was that of its parent.
        if !settings.has_sessions() || !thread::is_here() {
            return None;
        }
        match settings.profile_lifecycle {
            ProfileLifecycle::Manual => {
                let running = SESSION.lock().running.as_ref().map(|running| running.part.profiler_id);
                running.map(|profiler_id| Self { profiler_id, client, holds: AtomicBool::new(false) })
            }
            ProfileLifecycle::Trace => {
                let profiler_id = SESSION.lock().begin(client, signals::now())?;
                thread::wake();
                Some(Self { profiler_id, client, holds: AtomicBool::new(true) })
            }
        }
    }

    pub(crate) fn profiler_id(&self) -> EventId {
        self.profiler_id
    }

    /// The transaction has ended. A second call does nothing.
    pub(crate) fn end(&self) {
        if self.holds.swap(false, Ordering::Relaxed) && thread::is_here() {
            SESSION.lock().release(self.client, self.profiler_id, signals::now());
        }
    }
}

impl Drop for SessionRoot {
    fn drop(&mut self) {
        self.end();
    }
}

/// Decides once whether the session of this process is profiled. Its chunks go to the client that was started last.
///
/// `take` gives a chunk back if its client was dropped. `client` is a number that no other client has while `take` exists.
pub(crate) fn set_up(
    client: usize,
    settings: ProfilingSettings,
    take: impl Fn(SessionChunk) -> Result<(), SessionChunk> + Send + Sync + 'static,
) {
    let mut session = SESSION.lock();
    session.is_chosen.get_or_insert_with(|| transaction::is_chosen(EventId::new(), settings.profile_session_sample_rate));
    session.outlets.push(Outlet { client, is_open: true, take: Arc::new(take) });
}

/// Starts the session, if the process was chosen for it.
pub(crate) fn start(client: usize) {
    if thread::is_here() {
        let _ = SESSION.lock().begin(client, signals::now());
        thread::wake();
    }
}

/// Stops what this client has started. If the session ends, its last chunk follows.
pub(crate) fn stop(client: usize) {
    if thread::is_here() {
        SESSION.lock().leave(client, signals::now());
        thread::wake();
    }
}

/// Forgets a client that was dropped.
pub(crate) fn remove(client: usize) {
    if thread::is_here() {
        SESSION.lock().remove(client, signals::now());
    }
}

/// Stops the session of a client that closes. Returns whether there may be chunks to send.
pub(super) fn close(client: usize) -> bool {
    let mut session = SESSION.lock();
    session.close(client, signals::now());
    session.is_chosen == Some(true)
}

/// Whether it needs the signals.
pub(super) fn is_active() -> bool {
    let session = SESSION.lock();
    session.running.is_some() || !session.ended.is_empty()
}

pub(super) fn due(until: u64) -> Vec<Part> {
    SESSION.lock().due(until)
}

/// Hands a chunk to the newest client that is still there, without a lock.
pub(super) fn send(mut chunk: SessionChunk) {
    loop {
        let newest = SESSION.lock().outlets.last().map(|outlet| (outlet.client, Arc::clone(&outlet.take)));
        let Some((client, take)) = newest else { return };
        match take(chunk) {
            Ok(()) => return,
            Err(refused) => chunk = refused,
        }
        remove(client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn outlet(client: usize) -> Outlet {
        Outlet { client, is_open: true, take: Arc::new(|_| Ok(())) }
    }

    fn chosen() -> Session {
        Session { is_chosen: Some(true), outlets: vec![outlet(1), outlet(2)], ..Session::new() }
    }

    #[test]
    fn a_long_session_is_cut_into_chunks_without_a_gap() {
        let mut session = chosen();
        let id = session.begin(1, 100 * SECOND).unwrap_or_default();

        let early = session.due(119 * SECOND);
        let first = session.due(121 * SECOND);
        session.leave(1, 130 * SECOND);
        let too_early = session.due(129 * SECOND);
        let last = session.due(131 * SECOND);

        assert_eq!((early, too_early, session.begin(1, 0).is_some()), (Vec::new(), Vec::new(), true));
        assert_eq!(first, [Part { profiler_id: id, from: 100 * SECOND, to: 121 * SECOND }]);
        assert_eq!(last, [Part { profiler_id: id, from: 121 * SECOND + 1, to: 130 * SECOND }]);
    }

    #[test]
    fn a_process_that_was_not_chosen_has_no_session() {
        let mut session = Session { is_chosen: Some(false), ..chosen() };

        assert_eq!(session.begin(1, 0), None);
        assert!(session.running.is_none());
    }

    #[test]
    fn a_client_ends_only_its_own_part_of_a_session() {
        let mut session = chosen();
        let id = session.begin(1, 0);
        assert_eq!((session.begin(2, 0), session.begin(2, 0)), (id, id));

        session.close(1, SECOND);
        assert_eq!(session.begin(1, SECOND), None, "it is closed");
        // Its transaction ends later.
        session.release(1, id.unwrap_or_default(), SECOND);
        session.release(2, id.unwrap_or_default(), SECOND);
        assert!(session.running.is_some(), "the other client has a transaction");
        session.release(2, id.unwrap_or_default(), 2 * SECOND);

        assert!(session.running.is_none());
        assert_eq!(session.ended, [Part { profiler_id: id.unwrap_or_default(), from: 0, to: 2 * SECOND }]);
        session.close(2, 3 * SECOND);
        let order: Vec<_> = session.outlets.iter().map(|outlet| outlet.client).collect();
        assert_eq!(order, [2, 1], "the one that closed last is asked last");
    }

    #[test]
    fn a_transaction_of_an_earlier_session_does_not_end_a_later_one() {
        let mut session = chosen();
        let first = session.begin(1, 0).unwrap_or_default();
        session.leave(1, SECOND);
        let second = session.begin(1, SECOND);

        session.release(1, first, 2 * SECOND);

        assert_eq!(session.running.map(|running| running.part.profiler_id), second);
    }
}
