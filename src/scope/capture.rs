//! Errors and messages: captured once, held for later reports of the same failure, and merged.

use std::sync::{Arc, MutexGuard};

use super::announced::{Announced, AnnouncedId};
use super::nested::{self, Nested};
use super::state::{LiveScope, Phase, ScopeState};
use crate::client::Client;
use crate::event::{
    CallStack, CapturedEvent, DebugOutput, EarlierReport, ErrorChain, EventRecord, IdUse, KnownFailure, Surroundings, WaitingEvent,
};
use crate::exporter::{HoldTime, Item};
use crate::protocol::{DiscardReason, EventId, Level};
use crate::record::Parent;
use crate::unwind::Payload;

/// At most this many errors of a request or job wait; the oldest one is then sent.
const PARKED_LIMIT: usize = 8;
/// At most this many ids of a request wait for the capture of their error. Beyond that, the oldest id is
/// forgotten: its error gets another id when it is captured.
const ANNOUNCED_LIMIT: usize = 8;

impl LiveScope {
    /// Captures an error or a message in this scope.
    ///
    /// Returns the id of the event that is sent. If the same failure was reported before, that is the
    /// earlier event's id.
    pub(crate) fn capture(&self, mut captured: CapturedEvent, span: Parent) -> EventId {
        let is_failure = captured.level >= Level::Error;
        let nested = nested::of(self);
        captured.nested = nested.as_ref().map(|nested| Box::new(nested.data()));
        let mut state = self.lock();
        state.has_failed |= is_failure;
        state.has_crashed |= is_failure && captured.is_panic();
        if let Some(panic) = captured.exceptions.first().filter(|_| captured.is_panic()) {
            state.panic.clone_from(&panic.value);
        }
        // The event contains the span's id, so the span's slot must not be reused at the span
        // limit.
        state.transaction.record.hold(span);
        captured.span = state.transaction.span_id(span);
        captured.inner_request = state.transaction.record.inner_request_around(span);
        let is_unsent = state.note_unsent(&captured, &self.client);
        if state.is_detached() || !is_failure && (state.phase == Phase::BeforeHead || state.parked.is_empty()) {
            state.note_last(captured.event_id, is_unsent);
            return self.send_at_once(state, captured);
        }
        if let Some(inner) = captured.inner_request {
            state.transaction.await_inner_request(inner, PARKED_LIMIT);
        }
        let mut failure = KnownFailure::of(&mut captured, state.surroundings(nested.as_deref(), span));
        state.adopt_announced(&mut captured, &mut failure);
        let keeps_captures = state.phase != Phase::BeforeHead;
        // An event that the user has built is sent under its id, whatever it quotes.
        let is_given = captured.given.is_some();
        while !is_given && let Some(earlier) = state.known.find(&failure, &captured.exceptions, captured.message.as_deref(), keeps_captures)
        {
            let event_id = if earlier.takes_id { captured.event_id } else { earlier.event_id };
            match self.client.join(&earlier, captured) {
                Ok(joined) => {
                    state.note_joined(&earlier, event_id);
                    let is_unsent = state.unsent.contains(event_id);
                    state.note_last(event_id, is_unsent);
                    state.transaction.record.note_inner_error(span, event_id);
                    state.known.join(&earlier, failure);
                    drop(state);
                    // Dropped without the lock: this may drop the user's error, whose `Drop` may
                    // log.
                    drop(joined);
                    return event_id;
                }
                Err(apart) => {
                    captured = *apart;
                    state.known.forget(earlier.event_id);
                }
            }
        }
        state.note_last(captured.event_id, is_unsent);
        if is_failure {
            state.note_first_error(captured.event_id, is_unsent);
            state.transaction.record.note_inner_error(span, captured.event_id);
            state.known.push(failure);
        }
        if captured.at_once {
            return self.send_at_once(state, captured);
        }
        let event_id = captured.event_id;
        let oldest = state.park(event_id, &self.client);
        let is_nested = captured.nested.is_some();
        let event = state.with_scope(captured, &self.client);
        let time = state.hold_time();
        self.client.hold(WaitingEvent::new(event, is_nested), time);
        drop(state);
        send(&self.client, oldest);
        self.client.release_if_ended();
        event_id
    }

    fn send_at_once(&self, state: MutexGuard<'_, ScopeState>, captured: CapturedEvent) -> EventId {
        let event_id = captured.event_id;
        let event = state.with_scope(captured, &self.client);
        drop(state);
        self.client.submit(Item::Event(event));
        event_id
    }

    /// The id that an error's event will have, for a caller that needs it before the capture.
    ///
    /// If the failure was reported already, it is the id of that event. `span` is where the caller
    /// is.
    pub(crate) fn announce(&self, chain: &ErrorChain, stack: &CallStack, span: Parent) -> Arc<AnnouncedId> {
        let nested = nested::of(self);
        let event_id = EventId::new();
        let mut state = self.lock();
        let failure = KnownFailure::announced(event_id, chain, stack, state.surroundings(nested.as_deref(), span));
        if let Some(known) = state.known.find(&failure, &chain.exceptions, None, false) {
            state.known.hand_out(known.event_id);
            return AnnouncedId::new(known.event_id, &self.client, true);
        }
        if let Some(known) = state.announced.iter().find(|known| known.failure.is_same(&failure)) {
            return Arc::clone(&known.id);
        }
        let id = AnnouncedId::new(event_id, &self.client, false);
        let oldest = (state.announced.len() >= ANNOUNCED_LIMIT).then(|| state.announced.remove(0));
        state.announced.push(Announced { failure, id: Arc::clone(&id) });
        drop(state);
        // Dropped without the lock, because it may be counted.
        drop(oldest);
        id
    }

    /// Captures a panic that leaves the work, and that the panic hook did not see.
    ///
    /// A panic of a bound task is already reported in that task, and `resume_unwind` may continue it
    /// here.
    pub(crate) fn capture_resumed_panic(&self, payload: &Payload, span: Parent) {
        if !self.client.settings().is_some_and(|settings| settings.panic_hook) {
            return;
        }
        let captured = CapturedEvent::resumed_panic(payload);
        let text = captured.exceptions.first().and_then(|panic| panic.value.as_deref());
        let is_reported = text.is_some() && self.lock().panic.as_deref() == text;
        if !is_reported {
            self.capture(captured, span);
        }
    }

    /// Drops the logs of the error that a job returned, because it is not reported. They are
    /// counted.
    pub(crate) fn withdraw(&self, mut captured: CapturedEvent) {
        let mut state = self.lock();
        let failure = KnownFailure::of(&mut captured, Surroundings::default());
        let logs = state.known.logs_of(&failure);
        for log in &logs {
            state.known.forget(*log);
        }
        state.last_event = state.last_event.filter(|last| !logs.contains(last));
        drop(state);
        self.client.discard_held(logs.into_iter(), DiscardReason::EventProcessor);
    }

    /// Which `Debug` output of an error may be read: that of types whose output was logged.
    pub(crate) fn debug_output(&self) -> DebugOutput {
        DebugOutput::OfTypes(self.lock().known.debug_names())
    }

    /// The response head is ready: sends the parked errors.
    pub(crate) fn release(&self, status: u16) {
        let mut state = self.lock();
        state.transaction.record.response.status = Some(status);
        let parked = state.take_parked(&self.client);
        drop(state);
        send(&self.client, parked);
    }
}

impl ScopeState {
    /// Returns whether a rule of the user ignores the event or `error_sample_rate` leaves it out, and notes it.
    fn note_unsent(&mut self, captured: &CapturedEvent, client: &Client) -> bool {
        let is_ignored = client.ignored_errors().is_some_and(|ignored| ignored.contains_captured(captured));
        let is_unsent = is_ignored || !client.samples_event(captured.event_id);
        if is_unsent {
            self.unsent.add(captured.event_id, self.first_error);
        }
        is_unsent
    }

    /// Notes the first error. A later error replaces one that is not sent.
    fn note_first_error(&mut self, event_id: EventId, is_unsent: bool) {
        let is_known = self.first_error.is_some_and(|first| is_unsent || !self.unsent.contains(first));
        if !is_known {
            self.first_error = Some(event_id);
        }
    }

    /// Notes the latest event, if it is sent.
    fn note_last(&mut self, event_id: EventId, is_unsent: bool) {
        if !is_unsent {
            self.last_event = Some(event_id);
        }
    }

    /// Whether an event with this id will be sent, as far as the rules of the user are concerned.
    pub(super) fn will_send(&self, event_id: EventId, client: &Client) -> bool {
        let status = self.transaction.record.response.status;
        let is_status = status.is_some_and(|status| client.ignored_errors().is_some_and(|ignored| ignored.contains_status(status)));
        !is_status && !self.unsent.contains(event_id)
    }

    /// Whether it belongs to no request or job.
    fn is_detached(&self) -> bool {
        self.transaction.record.op.is_empty()
    }

    /// Uses the id that was handed out for this failure, if there is one.
    fn adopt_announced(&self, captured: &mut CapturedEvent, failure: &mut KnownFailure) {
        if captured.id_use == IdUse::HandedOut {
            return;
        }
        let is_same = |announced: &&Announced| announced.failure.is_same(failure);
        if let Some((event_id, _)) = self.announced.iter().find(is_same).and_then(|announced| announced.id.take()) {
            captured.event_id = event_id;
            failure.set_known_id(event_id);
        }
    }

    /// Notes that events became part of one, which has this id.
    fn note_joined(&mut self, earlier: &EarlierReport, event_id: EventId) {
        self.parked.retain(|parked| !earlier.absorbed.contains(parked));
        let inner = self.transaction.record.first_inner_errors();
        for id in self.parked.iter_mut().chain(&mut self.first_error).chain(&mut self.last_event).chain(self.unsent.iter_mut()).chain(inner)
        {
            if *id == earlier.event_id || earlier.absorbed.contains(id) {
                *id = event_id;
            }
        }
    }

    /// The nested scopes and inner requests around a report in `span`.
    fn surroundings(&self, nested: Option<&Nested>, span: Parent) -> Surroundings {
        let mut inner_requests: Vec<_> = self.transaction.record.inner_requests_around(span).collect();
        inner_requests.reverse();
        Surroundings { nested: nested.map(|nested| nested.nesting().to_vec()).unwrap_or_default(), inner_requests }
    }

    /// Notes an event that waits. Returns the oldest one if too many wait.
    fn park(&mut self, event_id: EventId, client: &Client) -> Option<Vec<Item>> {
        let oldest = (self.parked.len() >= PARKED_LIMIT).then(|| self.parked.remove(0));
        self.parked.push(event_id);
        oldest.map(|oldest| {
            let waiting = client.take_held(std::iter::once(oldest));
            waiting.into_iter().map(|waiting| Item::Event(waiting.complete(&self.transaction.record))).collect()
        })
    }

    fn hold_time(&self) -> HoldTime {
        match self.phase {
            Phase::BeforeHead => HoldTime::UntilHead,
            Phase::Open => HoldTime::UntilEnd,
            Phase::Finished => HoldTime::Briefly,
        }
    }

    /// Takes the parked errors, and gives them the current name and status of the request. Later errors
    /// no longer wait for the head.
    #[inline]
    pub(super) fn take_parked(&mut self, client: &Client) -> Option<Vec<Item>> {
        if self.phase == Phase::BeforeHead {
            self.phase = Phase::Open;
        }
        if self.parked.is_empty() {
            return None;
        }
        // The next request reuses the vector's capacity.
        let waiting = client.take_held(self.parked.drain(..));
        self.transaction.await_none();
        let record = &self.transaction.record;
        Some(waiting.into_iter().map(|waiting| Item::Event(waiting.complete(record))).collect())
    }

    /// Adds a copy of the scope to an event.
    fn with_scope(&self, mut captured: CapturedEvent, client: &Client) -> Box<EventRecord> {
        let mut scope = client.take_record();
        self.transaction.record.copy_scope_to(&mut scope);
        if let Some(log) = &captured.log {
            // An event's own log line is not one of the steps that led to it.
            scope.breadcrumbs.remove_log(log.metadata, &log.fields);
        }
        if let Some(inner) = captured.inner_request {
            self.transaction.record.copy_inner_request_to(inner, &mut scope);
        }
        if let Some(nested) = captured.nested.take() {
            scope.set = *nested;
        }
        if let Some(noted) = captured.notes.set.take() {
            scope.set.add(*noted);
        }
        let truncated = captured.truncated();
        scope.cut_texts += truncated;
        client.count_truncated(truncated.into());
        client.count_dropped_breadcrumbs(scope.breadcrumbs.dropped.into());
        Box::new(EventRecord { captured, scope })
    }
}

/// Sends events that waited, if there are any. They are counted already.
#[inline]
pub(super) fn send(client: &Client, events: Option<Vec<Item>>) {
    if let Some(events) = events {
        for event in events {
            client.enqueue(event);
        }
    }
}
