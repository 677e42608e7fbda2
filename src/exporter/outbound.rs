//! An envelope between the pipeline and the transport, and its attempts.

use std::time::{Duration, Instant};

use super::load::Load;
use super::sessions::Minute;
use crate::protocol::{DiscardReason, DiscardedEvent};
use crate::redaction::{Redacted, SealedEnvelope};
use crate::spool::Place;

/// An envelope on its way to a destination, and what it counts for.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) envelope: Redacted<SealedEnvelope>,
    pub(super) load: Load,
    /// The rows of the client report in the envelope.
    pub(super) reports: Vec<DiscardedEvent>,
    /// The counted sessions in the envelope.
    pub(super) sessions: Vec<Minute>,
    /// Its failed attempts so far.
    pub(super) attempts: Attempts,
    /// Where it is on disk.
    pub(super) place: Option<Place>,
    /// Bytes of attachments that are not sent with it.
    pub(super) withheld_bytes: u64,
    /// Why its transaction has no profile, if it had one.
    pub(super) lost_profile: Option<DiscardReason>,
    /// Spans that a hook added.
    pub(super) added_spans: u64,
    /// Spans that were too short, or removed by a hook, in a transaction that is still sent.
    pub(super) removed_spans: u64,
    /// Spans for which a transaction that is still sent had no room.
    pub(super) cut_spans: u64,
    /// The numbers that the queue gave to its items.
    pub(super) numbers: Vec<u64>,
}

/// An envelope is dropped at its next failure after this many, if others are answered meanwhile.
const STRIKES: u32 = 3;
/// The pause of an envelope after its first strike. Each further one doubles it.
const STRIKE_PAUSE: Duration = Duration::from_millis(250);

/// The failed attempts of one envelope.
///
/// An envelope that a server or a proxy cannot handle must not hold up the rest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attempts {
    /// Failures on a new connection while the server answered other envelopes.
    pub(super) strikes: u32,
    /// The number of answers from the server at the last failure.
    pub(super) answers: u64,
    /// A connection failed. The next attempt opens a new one, without a pause.
    pub(super) goes_at_once: bool,
    /// The envelope may be the cause, so it waits.
    pub(super) not_before: Option<Instant>,
}

impl Attempts {
    /// Notes a failure after this many answers to all envelopes. Returns `false` if there were too many.
    ///
    /// Only failures with an answer to another envelope in between count. The envelope itself is then
    /// the likely cause, so it waits longer each time.
    pub(super) fn strike(&mut self, answers: u64, now: Instant) -> bool {
        if self.strikes == 0 || answers > self.answers {
            self.strikes += 1;
            self.not_before = Some(now + STRIKE_PAUSE.saturating_mul(1 << (self.strikes - 1).min(6)));
        }
        self.answers = answers;
        self.strikes <= STRIKES
    }

    /// Notes a failure that the envelope cannot be the cause of.
    pub(super) fn wait(&mut self, now: Instant) {
        self.not_before = Some(now + STRIKE_PAUSE);
    }
}

impl Outbound {
    /// The smallest number of its items.
    ///
    /// An envelope that the exporter creates itself has no numbers. It gets `u64::MAX`, so that no
    /// flush waits for it by number.
    pub(super) fn oldest(&self) -> u64 {
        self.numbers.iter().copied().min().unwrap_or(u64::MAX)
    }

    pub(super) fn new(envelope: Redacted<SealedEnvelope>, load: Load, reports: Vec<DiscardedEvent>) -> Self {
        Self {
            envelope,
            load,
            reports,
            sessions: Vec::new(),
            attempts: Attempts::default(),
            place: None,
            withheld_bytes: 0,
            lost_profile: None,
            added_spans: 0,
            removed_spans: 0,
            cut_spans: 0,
            numbers: Vec::new(),
        }
    }
}
