//! The failures that a request or job has reported: a later report may be about one of them.

use std::collections::VecDeque;

use super::call_stack::CallStack;
use super::captured::{CapturedEvent, IdUse};
use super::identity::{ErrorChain, FailureIdentity};
use super::same::{self, Proof, ReportPlace};
use super::text_hash::TextHash;
use crate::protocol::{EventId, Exception};

/// At most this many failures are remembered; the oldest ones are forgotten.
const KNOWN_LIMIT: usize = 16;
/// At most this many places of one failure are remembered.
const PLACES_LIMIT: usize = 4;

/// The nested scopes and inner requests around a report. Each list begins with the outermost one.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// The numbers of the nested scopes.
    pub(crate) nested: Vec<u32>,
    /// The inner requests, as the rows of their spans.
    pub(crate) inner_requests: Vec<u32>,
}

impl Surroundings {
    /// Whether one of two reports is inside the other's scope and request. Two reports in nested scopes or
    /// inner requests that are beside each other are two failures.
    fn are_around(&self, other: &Self) -> bool {
        let is_start = |one: &[u32], other: &[u32]| one.iter().zip(other).all(|(one, other)| one == other);
        is_start(&self.nested, &other.nested) && is_start(&self.inner_requests, &other.inner_requests)
    }

    /// Whether it is deeper than the surroundings of another report.
    fn is_deeper(&self, other: &Self) -> bool {
        self.nested.len() > other.nested.len() || self.inner_requests.len() > other.inner_requests.len()
    }

    /// Keeps the innermost of both.
    fn join(&mut self, other: Self) {
        for (ours, theirs) in [(&mut self.nested, other.nested), (&mut self.inner_requests, other.inner_requests)] {
            if theirs.len() > ours.len() {
                *ours = theirs;
            }
        }
    }
}

/// A failure that was reported.
#[derive(Debug)]
pub(crate) struct KnownFailure {
    pub(crate) event_id: EventId,
    identity: FailureIdentity,
    places: [Option<ReportPlace>; PLACES_LIMIT],
    surroundings: Surroundings,
    /// The ids of the `CaptureError`s that reported it.
    error_ids: Vec<EventId>,
    /// Whether it is a capture whose id was returned.
    is_capture: bool,
    /// Whether the id of its event is known outside the crate.
    is_id_known: bool,
    /// The message of a panic.
    panic: Option<String>,
}

impl KnownFailure {
    /// The failure that an event reports. Takes its identity.
    pub(crate) fn of(captured: &mut CapturedEvent, surroundings: Surroundings) -> Self {
        let place = match &captured.log {
            Some(log) => Some(ReportPlace::Log(log.metadata.callsite())),
            None => captured.stack.location.clone().map(ReportPlace::Call),
        };
        let panic = captured.exceptions.first().filter(|_| captured.is_panic());
        Self {
            event_id: captured.event_id,
            panic: panic.and_then(|panic| panic.value.as_deref()).map(str::to_owned),
            identity: std::mem::take(&mut captured.identity),
            places: [place, None, None, None],
            surroundings,
            error_ids: captured.error_id.into_iter().collect(),
            is_capture: captured.id_use == IdUse::Returned,
            is_id_known: captured.id_use == IdUse::HandedOut,
        }
    }

    /// The failure that an error will report.
    pub(crate) fn announced(event_id: EventId, chain: &ErrorChain, stack: &CallStack, surroundings: Surroundings) -> Self {
        let identity = chain.identity.clone();
        let places = [stack.location.clone().map(ReportPlace::Call), None, None, None];
        Self { event_id, identity, places, surroundings, error_ids: Vec::new(), is_capture: false, is_id_known: false, panic: None }
    }

    /// Whether it is a log without an error.
    fn is_log(&self) -> bool {
        !self.identity.has_error()
    }

    /// Whether both were reported from the same place.
    fn shares_a_place(&self, other: &Self) -> bool {
        self.places.iter().flatten().any(|place| other.places.iter().flatten().any(|known| known == place))
    }

    /// Whether it is a panic that the hook saw. The hook runs once per panic, so no earlier panic is the
    /// same, whatever its text.
    fn is_new_panic(&self) -> bool {
        self.panic.is_some() && self.places.iter().any(Option::is_some)
    }

    /// Sets the id of its event, which was handed out.
    pub(crate) fn set_known_id(&mut self, event_id: EventId) {
        self.event_id = event_id;
        self.is_id_known = true;
    }

    /// Whether a later error is this failure.
    pub(crate) fn is_same(&self, later: &Self) -> bool {
        self.proof(later, &[], None).is_some()
    }

    fn proof(&self, later: &Self, exceptions: &[Exception], message: Option<&str>) -> Option<Proof> {
        if !self.surroundings.are_around(&later.surroundings) || self.panic.is_some() && later.is_new_panic() {
            return None;
        }
        // An outer layer may see a clone of the error that an inner one has captured.
        if later.error_ids.iter().any(|id| *id == self.event_id || self.error_ids.contains(id)) {
            return Some(Proof::OfError);
        }
        let is_echo = || self.panic.as_deref().is_some_and(|panic| same::is_echo(panic, exceptions, message));
        let proof = same::proof(&self.identity, &later.identity).or_else(|| is_echo().then_some(Proof::OfError));
        // Two reports from one place are two failures, with two exceptions. A function that calls itself logs
        // an error in each of its spans. An error that leaves an inner request or a nested scope may be
        // reported outside by the same function.
        let passes_on = || self.surroundings.is_deeper(&later.surroundings);
        proof.filter(|proof| *proof == Proof::LogAfterLog || !self.shares_a_place(later) || passes_on())
    }

    /// Adds the facts of a later report of this failure.
    fn join(&mut self, later: Self) {
        self.is_id_known |= later.is_id_known;
        self.is_capture |= later.is_capture;
        self.surroundings.join(later.surroundings);
        self.add_places(later.places);
        self.error_ids.extend(later.error_ids);
        let mut identity = later.identity;
        let is_better = (identity.has_error(), identity.len()) > (self.identity.has_error(), self.identity.len());
        if is_better {
            std::mem::swap(&mut self.identity, &mut identity);
        }
        self.identity.forms.extend(identity.forms);
        self.identity.log_texts.extend(identity.log_texts);
        self.identity.reports.extend(identity.reports);
    }

    fn add_places(&mut self, places: impl IntoIterator<Item = Option<ReportPlace>>) {
        for place in places.into_iter().flatten() {
            // The new place replaces the oldest one.
            self.places.rotate_right(1);
            if let Some(first) = self.places.first_mut() {
                *first = Some(place);
            }
        }
    }
}

/// The event of an earlier report of the same failure.
#[derive(Debug)]
pub(crate) struct EarlierReport {
    pub(crate) event_id: EventId,
    /// Whether it is a log without an error.
    pub(crate) is_log: bool,
    /// Whether the later report's id was handed out, and the earlier one's was not.
    pub(crate) takes_id: bool,
    /// Whether the later report has the longer chain.
    pub(crate) is_shorter: bool,
    /// Logs of the same failure that become part of the event.
    pub(crate) absorbed: Vec<EventId>,
}

/// The latest failures that were reported, in the order of their first reports.
#[derive(Debug, Default)]
pub(crate) struct KnownFailures(VecDeque<KnownFailure>);

impl KnownFailures {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Remembers a failure, if anything identifies it.
    pub(crate) fn push(&mut self, mut failure: KnownFailure) {
        if failure.panic.is_none() && failure.identity.is_unknown() {
            return;
        }
        failure.is_id_known |= failure.is_capture;
        if self.0.len() >= KNOWN_LIMIT {
            self.0.pop_front();
        }
        self.0.push_back(failure);
    }

    pub(crate) fn forget(&mut self, event_id: EventId) {
        self.0.retain(|known| known.event_id != event_id);
    }

    /// The types whose `Debug` output was logged.
    pub(crate) fn debug_names(&self) -> Vec<TextHash> {
        self.0.iter().flat_map(|known| known.identity.debug_names()).copied().collect()
    }

    /// Finds the event of an earlier report of the same failure.
    ///
    /// With `keeps_captures`, two captures whose ids were both returned are two events.
    pub(crate) fn find(
        &self,
        later: &KnownFailure,
        exceptions: &[Exception],
        message: Option<&str>,
        keeps_captures: bool,
    ) -> Option<EarlierReport> {
        let mut event = None;
        let mut logs: Vec<&KnownFailure> = Vec::new();
        // Beginning with the latest: each turn of a loop is its own failure.
        for known in self.0.iter().rev() {
            if keeps_captures && known.is_capture && later.is_capture {
                continue;
            }
            match known.proof(later, exceptions, message) {
                Some(Proof::OfError | Proof::LogAfterLog) if event.is_none() => event = Some(known),
                Some(Proof::LogBeforeError) if !logs.iter().any(|log| log.shares_a_place(known)) => logs.push(known),
                _ => {}
            }
        }
        let first = || logs.iter().find(|log| log.is_id_known).or_else(|| logs.last()).copied();
        let event = event.or_else(first)?;
        let takes_id = later.is_id_known && later.event_id != event.event_id;
        // Both ids were handed out, so both must be ids of events.
        if takes_id && event.is_id_known {
            return None;
        }
        let is_absorbed = |log: &&KnownFailure| !log.is_id_known && log.event_id != event.event_id;
        Some(EarlierReport {
            event_id: event.event_id,
            is_log: event.is_log(),
            takes_id,
            is_shorter: event.identity.len() < later.identity.len(),
            absorbed: logs.into_iter().filter(is_absorbed).map(|log| log.event_id).collect(),
        })
    }

    /// The events of logs that show the error of `later`, unless their id was handed out.
    pub(crate) fn logs_of(&self, later: &KnownFailure) -> Vec<EventId> {
        let is_log = |known: &&KnownFailure| !known.is_capture && !known.is_id_known && known.panic.is_none();
        self.0.iter().filter(is_log).filter(|known| known.is_same(later)).map(|known| known.event_id).collect()
    }

    /// Adds the facts of a later report of the same failure.
    pub(crate) fn join(&mut self, earlier: &EarlierReport, later: KnownFailure) {
        let mut places = Vec::new();
        self.0.retain_mut(|known| {
            let is_absorbed = earlier.absorbed.contains(&known.event_id);
            if is_absorbed {
                places.extend(std::mem::take(&mut known.places));
            }
            !is_absorbed
        });
        if let Some(known) = self.0.iter_mut().find(|known| known.event_id == earlier.event_id) {
            if earlier.takes_id {
                known.event_id = later.event_id;
            }
            known.join(later);
            known.is_id_known |= known.is_capture;
            known.add_places(places);
        }
    }

    /// Notes that the id of an event is known outside the crate.
    pub(crate) fn hand_out(&mut self, event_id: EventId) {
        if let Some(known) = self.0.iter_mut().find(|known| known.event_id == event_id) {
            known.is_id_known = true;
        }
    }
}
