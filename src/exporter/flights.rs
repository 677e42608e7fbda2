//! Attempts in flight: what each counts for, and which of them hang.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::task::{self, JoinSet};

use super::destination::Answer;
use super::load::Load;
use super::outbound::Outbound;
use crate::protocol::Category;
use crate::spool::Place;

/// An attempt in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    /// What it counts for if it is given up.
    pub(super) load: Load,
    /// Where its envelope is on disk.
    pub(super) place: Option<Place>,
    /// The smallest number of its items.
    pub(super) oldest: u64,
    pub(super) bytes: usize,
    pub(super) since: Instant,
    /// The number of answers from the server when it began.
    pub(super) answers: u64,
    pub(super) is_on_new_connection: bool,
    /// A shutdown has begun since, and does not wait for this attempt before others.
    pub(super) is_left_behind: bool,
}

/// How an attempt ended.
pub(super) enum Landed {
    Answered(Box<Outbound>, Answer, Flight),
    /// The task panicked, in our code.
    Crashed(Flight),
}

/// All attempts in flight.
#[derive(Debug, Default)]
pub(super) struct Flights {
    tasks: JoinSet<(Outbound, Answer)>,
    by_task: HashMap<task::Id, Flight>,
    bytes: usize,
}

impl Flights {
    pub(super) fn start(&mut self, flight: Flight, attempt: impl Future<Output = (Outbound, Answer)> + Send + 'static) {
        let id = self.tasks.spawn(attempt).id();
        self.bytes += flight.bytes;
        self.by_task.insert(id, flight);
    }

    /// Returns an attempt that has ended.
    pub(super) fn land(&mut self) -> Option<Landed> {
        loop {
            let landed = match self.tasks.try_join_next_with_id()? {
                Ok((id, (outbound, answer))) => self.take(id).map(|flight| Landed::Answered(Box::new(outbound), answer, flight)),
                Err(error) => self.take(error.id()).map(Landed::Crashed),
            };
            if landed.is_some() {
                return landed;
            }
        }
    }

    fn take(&mut self, id: task::Id) -> Option<Flight> {
        let flight = self.by_task.remove(&id)?;
        self.bytes -= flight.bytes;
        Some(flight)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.by_task.len()
    }

    /// The bytes of all envelopes and their requests.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The attempts that hold a place, after this many answers.
    ///
    /// An attempt does not if many later ones have overtaken it, or if it takes much longer than an
    /// answer that came since: its connection or its backend hangs, and the rest goes on.
    pub(super) fn taken(&self, now: Instant, answers: u64, overtaken: u64, long: Duration) -> usize {
        let hangs = |flight: &Flight| {
            let later = answers - flight.answers;
            later >= overtaken || later > 0 && now.saturating_duration_since(flight.since) >= long
        };
        self.by_task.values().filter(|flight| !flight.is_left_behind && !hangs(flight)).count()
    }

    /// Whether an envelope of a category is in flight.
    pub(super) fn is_sending(&self, category: Category) -> bool {
        self.by_task.values().any(|flight| flight.load.category == category)
    }

    /// The smallest item number.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.by_task.values().map(|flight| flight.oldest).min()
    }

    /// Lets others go first from now on.
    pub(super) fn leave_behind(&mut self) {
        self.by_task.values_mut().for_each(|flight| flight.is_left_behind = true);
    }

    /// Ends all attempts, and returns them.
    pub(super) fn give_up(&mut self) -> Vec<Flight> {
        self.tasks.abort_all();
        self.bytes = 0;
        self.by_task.drain().map(|(_, flight)| flight).collect()
    }
}
