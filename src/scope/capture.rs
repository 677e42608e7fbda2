//! Errors and messages: captured once, parked until the response head, merged if they are the same.

use std::borrow::Cow;
use std::error::Error;

use super::current;
use super::handle::Scope;
use super::nested;
use super::state::{Announcement, LiveScope, Phase, ScopeState};
use crate::client::{Client, default_client};
use crate::event::{CallStack, CapturedEvent, ChainMessages, EventRecord, ReportedFailure, WaitingEvent};
use crate::exporter::Item;
use crate::protocol::{EventId, Exception, Level};
use crate::record::Parent;
use crate::unwind::{self, Payload};

/// At most this many errors of a request wait for the response head; further ones are sent at once.
const PARKED_LIMIT: usize = 8;

impl LiveScope {
    /// Captures an error or a message in this scope.
    ///
    /// Returns the id of the event that is sent. If the same failure is already parked, that is the
    /// earlier event's id.
    pub(crate) fn capture(&self, mut captured: CapturedEvent, span: Parent) -> EventId {
        let is_failure = captured.level >= Level::Error;
        captured.nested = nested::of(self).map(|nested| Box::new(nested.data()));
        let mut state = self.lock();
        state.has_failed |= is_failure;
        state.has_crashed |= is_failure && !captured.handled;
        if let Some(panic) = captured.exceptions.first().filter(|_| captured.is_panic()) {
            state.panic.clone_from(&panic.value);
        }
        // The event contains the span's id, so the span's slot must not be reused at the span
        // limit.
        state.transaction.record.hold(span);
        captured.span = state.transaction.span_id(span);
        captured.inner_request = state.transaction.record.inner_request_around(span);
        if let Some(announced) = state.announced_id(&captured.exceptions, captured.inner_request) {
            captured.event_id = announced;
            // Used once: another request may respond with a clone of the same error.
            state.announced.retain(|announcement| announcement.event_id != announced);
        }
        if !state.parked.is_empty()
            && let Some(event_id) = self.client.held_failure(&state.parked_around(captured.inner_request), &captured)
        {
            let lost = self.client.merge_held(event_id, captured);
            drop(state);
            // Dropped without the lock: this may drop the user's error, whose `Drop` may log.
            drop(lost);
            return event_id;
        }
        let event_id = captured.event_id;
        if is_failure {
            state.first_error.get_or_insert(event_id);
            state.transaction.record.note_inner_error(span, event_id);
        }
        let parks = !captured.at_once && is_failure && state.phase == Phase::BeforeHead && state.parked.len() < PARKED_LIMIT;
        if parks {
            let is_nested = captured.nested.is_some();
            state.parked_inside.extend(captured.inner_request.map(|inner| (event_id, inner)));
            let event = state.with_scope(captured, &self.client);
            state.parked.push(event_id);
            self.client.hold(WaitingEvent::new(event, is_nested));
            return event_id;
        }
        if is_failure && state.is_job {
            if state.reported.len() >= PARKED_LIMIT {
                state.reported.pop_front();
            }
            state.reported.push_back((ReportedFailure::new(&captured), event_id));
        }
        let event = state.with_scope(captured, &self.client);
        drop(state);
        self.client.submit(Item::Event(event));
        event_id
    }

    /// Captures the error that a job returned, unless the job has captured it before.
    pub(crate) fn capture_returned(&self, captured: CapturedEvent) -> EventId {
        let mut state = self.lock();
        state.has_failed = true;
        let known = state.reported.iter().rev().find(|(failure, _)| failure.is(&captured.exceptions)).map(|(_, id)| *id);
        drop(state);
        known.unwrap_or_else(|| self.capture(captured, Parent::Root))
    }

    /// Captures a panic that leaves the work, and that the panic hook did not see.
    ///
    /// A panic of a bound task was reported there, and may go on here: `resume_unwind`.
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

    /// The id that a failure's event will have, for a caller that needs it before the capture.
    ///
    /// `span` is where the caller is.
    pub(crate) fn announce(&self, chain: &[Exception], span: Parent) -> EventId {
        let mut state = self.lock();
        let inner_request = state.transaction.record.inner_request_around(span);
        let parked = if state.parked.is_empty() { None } else { self.client.held_chain(&state.parked_around(inner_request), chain) };
        if let Some(known) = parked.or_else(|| state.announced_id(chain, inner_request)) {
            return known;
        }
        let event_id = EventId::new();
        if state.announced.len() < PARKED_LIMIT {
            state.announced.push(Announcement { messages: ChainMessages::of(chain), event_id, inner_request });
        }
        event_id
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
    fn announced_id(&self, chain: &[Exception], inner_request: Option<u32>) -> Option<EventId> {
        let record = &self.transaction.record;
        let is_same =
            |announced: &&Announcement| announced.messages.are_of(chain) && record.is_inside(announced.inner_request, inner_request);
        self.announced.iter().find(is_same).map(|announced| announced.event_id)
    }

    /// The parked errors that an error inside an inner request may repeat: those of the requests
    /// around it or inside it, and not those of others beside it.
    fn parked_around(&self, inner_request: Option<u32>) -> Cow<'_, [EventId]> {
        if self.parked_inside.is_empty() {
            return Cow::Borrowed(&self.parked);
        }
        let inside = |id: &EventId| self.parked_inside.iter().find(|(parked, _)| parked == id).map(|(_, inner)| *inner);
        let record = &self.transaction.record;
        Cow::Owned(self.parked.iter().copied().filter(|id| record.is_inside(inside(id), inner_request)).collect())
    }

    /// Takes the parked errors, with the request's name and status of now. Later errors are not
    /// parked.
    #[inline]
    pub(super) fn take_parked(&mut self, client: &Client) -> Option<Vec<Item>> {
        if self.phase == Phase::BeforeHead {
            self.phase = Phase::Open;
        }
        if self.parked.is_empty() {
            return None;
        }
        let record = &self.transaction.record;
        self.parked_inside.clear();
        // The next request reuses the vector's capacity.
        let waiting = client.take_held(self.parked.drain(..));
        Some(waiting.into_iter().map(|waiting| Item::Event(waiting.complete(record))).collect())
    }

    /// Adds a copy of the scope to an event.
    fn with_scope(&self, mut captured: CapturedEvent, client: &Client) -> Box<EventRecord> {
        let mut scope = client.take_record();
        self.transaction.record.copy_scope_to(&mut scope);
        if let Some(inner) = captured.inner_request {
            self.transaction.record.copy_inner_request_to(inner, &mut scope);
        }
        if let Some(nested) = captured.nested.take() {
            scope.set = *nested;
        }
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

/// Captures an error with at most ten of its sources and the stack trace of this call.
///
/// Inside a request the event waits for the response head. If the same failure is captured here and
/// returned with [`CaptureError`](crate::CaptureError), it is one event. Outside a request the
/// event is sent at once, with the process-wide tags.
///
/// Returns the id of the event, which is nil while monitoring is off. For `anyhow` and boxed errors
/// pass `&*error`.
///
/// # Examples
///
/// ```
/// let error: std::num::ParseIntError = "x".parse::<i32>().unwrap_err();
/// let id = tower_sentry::capture_error(&error);
/// assert!(id.is_nil()); // no client
/// ```
#[track_caller]
pub fn capture_error(error: &(dyn Error + 'static)) -> EventId {
    match Scope::entered() {
        Some(scope) => scope.capture_error(error),
        None if default_client().is_enabled() => Scope::current().capture_error(error),
        None => EventId::nil(),
    }
}

/// Captures a message.
///
/// # Examples
///
/// ```
/// use tower_sentry::Level;
///
/// tower_sentry::capture_message(Level::Warning, "unusual activity");
/// ```
#[track_caller]
pub fn capture_message(level: Level, message: impl Into<String>) -> EventId {
    Scope::current().capture_message(level, message)
}

/// Captures an error or message that belongs to no request.
pub(crate) fn capture_outside(client: Client, captured: CapturedEvent) {
    LiveScope::detached(client).capture(captured, Parent::Root);
}

/// Captures a panic in the current scope, or in a detached scope outside any request.
pub(crate) fn capture_panic(payload: &Payload, stack: CallStack) {
    if !current::is_set() {
        unwind::mark_reported_outside(payload);
    }
    unwind::mark_reported(payload);
    Scope::current().capture(CapturedEvent::panic(payload, stack));
}
