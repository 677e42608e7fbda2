//! The profiler's thread: it starts and stops the signals, and reads what they found.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::samples::{LONGEST, Recent, Samples};
use super::session::{self, SessionChunk};
use super::signals::{self, Signals};
use super::thread;
use super::transaction::TransactionProfile;
use crate::fork::Lock;
use crate::{diagnostics, unwind};

/// What the signals found is read this often while a transaction is profiled.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The signals go on for this time after the last profiled transaction: starting them costs milliseconds, and the
/// next one would lack its first ones.
const LINGER: Duration = Duration::from_secs(10);
/// If the signals cannot be started, for example because they are in use, it is tried again after this time.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// At most this many transactions are profiled at a time.
const OPEN_LIMIT: usize = 256;

/// The transactions that are profiled and not collected.
static OPEN: Lock<Vec<Arc<TransactionProfile>>> = Lock::of_first(Vec::new());
/// Dropped once all chunks were handed over that were due when they came.
static WAITING: Lock<Vec<mpsc::Sender<()>>> = Lock::of_first(Vec::new());
static PROFILER: Lock<Profiler> = Lock::of_first(Profiler::new());

struct Profiler {
    signals: Option<Signals>,
    recent: Recent,
    /// Whether it was tried to start the signals.
    was_tried: bool,
    is_prepared: bool,
    /// The signals were needed last at this time.
    needed_at: Option<Instant>,
    not_before: Option<Instant>,
}

impl Default for Profiler {
    fn default() -> Self {
        Self::new()
    }
}

/// Starts the profiler, once in a process.
pub(crate) fn start() {
    thread::start(run);
}

impl TransactionProfile {
    /// Begins the profile of this share of all transactions.
    ///
    /// None if chance decides against it, or the profiler is not there.
    pub(crate) fn begin(rate: f64) -> Option<Arc<Self>> {
        Self::chosen(rate).map(Arc::new).filter(watch)
    }

    /// The samples, for the exporter. None if there are too few.
    pub(crate) fn take(&self) -> Option<Samples> {
        if !self.is_collected() {
            collect(self);
        }
        self.take_collected()
    }
}

/// Watches a transaction until it has ended. Returns `false` if there is no profiler for it.
fn watch(profile: &Arc<TransactionProfile>) -> bool {
    if !thread::is_here() {
        return false;
    }
    let mut open = OPEN.lock();
    if open.len() >= OPEN_LIMIT {
        return false;
    }
    open.push(Arc::clone(profile));
    let is_first = open.len() == 1;
    drop(open);
    if is_first {
        thread::wake();
    }
    true
}

/// Collects the samples of a transaction that has ended, if the profiler's thread has not done so yet.
fn collect(profile: &TransactionProfile) {
    if thread::is_here() {
        let mut profiler = PROFILER.lock();
        if profile.ended_at().is_none_or(|at| at > profiler.recent.until) {
            profiler.look();
        }
        profiler.give(profile);
    }
}

/// Ends the session of a client that closes, and waits until its chunks were handed over, at most for this time.
///
/// The profiler's thread does it: a chunk that it is about to hand over is waited for, too.
pub(crate) fn finish(client: usize, timeout: Duration) {
    if !thread::is_here() || !session::close(client) {
        return;
    }
    let (done, answer) = mpsc::channel();
    WAITING.lock().push(done);
    thread::wake();
    // It never sends: that the other end is dropped is the answer.
    let _ = answer.recv_timeout(timeout);
}

fn run() {
    loop {
        // Before the step: the sessions of these have ended, so it takes their chunks.
        let waiting = std::mem::take(&mut *WAITING.lock());
        // Code of another crate, with the tables of all binaries.
        let next = unwind::catch(|| {
            let (next, chunks) = PROFILER.lock().step(Instant::now());
            chunks.into_iter().for_each(session::send);
            next
        });
        drop(waiting);
        match next.unwrap_or(Some(TRY_AGAIN)) {
            Some(pause) => std::thread::park_timeout(pause),
            None => std::thread::park(),
        }
    }
}

impl Profiler {
    const fn new() -> Self {
        Self { signals: None, recent: Recent::new(), was_tried: false, is_prepared: false, needed_at: None, not_before: None }
    }

    /// Does the work that is due. Returns the time until the next work, and chunks of the session to send.
    fn step(&mut self, now: Instant) -> (Option<Duration>, Vec<SessionChunk>) {
        // Its owner alone has the other handle: a transaction that is not sent needs no samples.
        let open = {
            let mut open = OPEN.lock();
            open.retain(|profile| Arc::strong_count(profile) > 1);
            open.clone()
        };
        let is_needed = !open.is_empty() || session::is_active();
        if !self.was_tried || is_needed {
            self.needed_at = Some(now);
            self.start(now);
        }
        if !is_needed {
            return (self.rest(now), Vec::new());
        }
        self.look();
        let until = self.recent.until;
        let is_due = |profile: &TransactionProfile| {
            let is_over = self.signals.is_none() || profile.began_at().saturating_add(LONGEST) <= until;
            is_over || profile.ended_at().is_some_and(|at| at <= until)
        };
        let due: Vec<_> = open.into_iter().filter(|profile| is_due(profile)).collect();
        for profile in &due {
            self.give(profile);
        }
        OPEN.lock().retain(|profile| !due.iter().any(|due| Arc::ptr_eq(due, profile)));
        let until = if self.signals.is_some() { until } else { u64::MAX };
        (Some(LOOK_EVERY), self.chunks(until))
    }

    /// The chunks of the session of which all samples are known.
    fn chunks(&self, until: u64) -> Vec<SessionChunk> {
        let chunk = |part: session::Part| SessionChunk { profiler_id: part.profiler_id, samples: self.recent.of_all(part.from, part.to) };
        session::due(until.min(signals::now())).into_iter().map(chunk).collect()
    }

    /// Stops the signals once they were not needed for a while.
    fn rest(&mut self, now: Instant) -> Option<Duration> {
        self.signals.as_ref()?;
        let idle = self.needed_at.map_or(LINGER, |needed_at| now.saturating_duration_since(needed_at));
        if idle < LINGER {
            return Some(LINGER.saturating_sub(idle));
        }
        self.signals = None;
        self.recent.clear();
        None
    }

    fn start(&mut self, now: Instant) {
        if self.signals.as_ref().is_some_and(|signals| !signals.is_full()) || self.not_before.is_some_and(|at| now < at) {
            return;
        }
        // They cannot be started while they run.
        self.signals = None;
        self.was_tried = true;
        let prepared = if self.is_prepared { Ok(()) } else { Signals::prepare() };
        self.is_prepared = prepared.is_ok();
        match prepared.and_then(|()| Signals::start()) {
            Ok(signals) => {
                self.signals = Some(signals);
                self.recent.begin(signals::now());
            }
            Err(error) => self.fail(&error, now),
        }
    }

    fn fail(&mut self, error: &pprof::Error, now: Instant) {
        static TROUBLE: diagnostics::Quiet = diagnostics::Quiet::new();
        self.not_before = Some(now + TRY_AGAIN);
        let why = match error {
            pprof::Error::Running => "another part of this process uses `pprof`".to_owned(),
            other => other.to_string(),
        };
        TROUBLE.warn(&format!("no profiles are taken: {why}"));
    }

    /// Reads the stacks that were found since the last time.
    fn look(&mut self) {
        let Some(signals) = &mut self.signals else { return };
        let found = signals.look();
        // After reading, so that no stack is later than this.
        let now = signals::now();
        self.recent.add(found.unwrap_or_default(), now);
    }

    fn give(&self, profile: &TransactionProfile) {
        profile.keep(|| self.recent.of(&profile.threads(), profile.began_at(), profile.ended_at().unwrap_or(u64::MAX)));
    }
}
