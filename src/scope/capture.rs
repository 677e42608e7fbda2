//! Errors and messages: captured once, parked until the response says how it went, merged when they tell of the same failure.

use std::error::Error;
use std::sync::Arc;

use super::state::{Phase, Shared, State};
use super::{Scope, current, nested};
use crate::client::{Client, default_client};
use crate::exception;
use crate::export::Item;
use crate::protocol::{Category, DiscardReason, EventId, Exception, Level, SpanId};
use crate::record::{Backtrace, Captured, EventRecord, LogRecord, MENTIONED, Parent};
use crate::trace::clock;

/// Errors that wait in one request; the next ones go at once.
const PARKED_LIMIT: usize = 8;

/// An error that waits for the head of the response. Its scope is joined to it when it goes.
pub(super) type Parked = Captured;

/// What of a failure is remembered, to know it again: the messages of its chain, or the text of its log.
pub(super) struct Failure {
    chain: Vec<Option<String>>,
    text: Option<String>,
}

impl Failure {
    fn of(captured: &Captured) -> Self {
        let chain: Vec<_> = captured.exceptions.iter().map(|exception| exception.value.clone()).collect();
        Self { text: captured.message.clone().filter(|_| chain.is_empty()), chain }
    }

    /// Whether it is the one that this chain tells of.
    fn is(&self, chain: &[Exception]) -> bool {
        let is_chain = !self.chain.is_empty() && self.chain.iter().eq(chain.iter().map(|exception| &exception.value));
        let outermost = chain.first().and_then(|exception| exception.value.as_deref()).filter(|text| text.len() >= MENTIONED);
        is_chain || self.text.as_deref().zip(outermost).is_some_and(|(text, outermost)| text.contains(outermost))
    }
}

/// What is captured, before it is known where.
pub(crate) struct Capture {
    event_id: EventId,
    level: Level,
    message: Option<String>,
    /// The message goes on where the transaction's name ends.
    follows_name: bool,
    exceptions: Vec<Exception>,
    mechanism: &'static str,
    handled: bool,
    addresses: Vec<usize>,
    backtrace: Option<Arc<dyn Backtrace>>,
    log: Option<LogRecord>,
    /// The process may be about to die: nothing is parked.
    at_once: bool,
}

impl Capture {
    /// An error that was caught by hand. Its place is here.
    pub(crate) fn error(error: &(dyn Error + 'static)) -> Self {
        let addresses = if current_client().is_enabled() { exception::addresses() } else { Vec::new() };
        Self { exceptions: exception::chain(error, None), addresses, ..Self::new(Level::Error, "generic") }
    }

    /// A message.
    pub(crate) fn message(level: Level, message: String) -> Self {
        Self { message: Some(message), ..Self::new(level, "generic") }
    }

    /// A panic that is being unwound.
    pub(crate) fn panic(message: &str, addresses: Vec<usize>) -> Self {
        let mechanism = "panic";
        Self {
            exceptions: exception::panic(message),
            handled: false,
            addresses,
            at_once: true,
            ..Self::new(exception::level(mechanism), mechanism)
        }
    }

    /// An event of a log, perhaps with the chain of an error.
    pub(crate) fn log(log: LogRecord, message: Option<String>, exceptions: Vec<Exception>) -> Self {
        Self { log: Some(log), message, exceptions, ..Self::new(Level::Error, "tracing") }
    }

    /// An error that came with a response.
    pub(crate) fn response(
        event_id: EventId,
        exceptions: Vec<Exception>,
        addresses: Vec<usize>,
        backtrace: Option<Arc<dyn Backtrace>>,
    ) -> Self {
        Self { event_id, exceptions, addresses, backtrace, ..Self::new(Level::Error, "auto.http.tower") }
    }

    /// What a piece of work returned: nobody in it has handled that.
    pub(crate) fn work(exceptions: Vec<Exception>, mechanism: &'static str) -> Self {
        Self { exceptions, handled: false, ..Self::new(Level::Error, mechanism) }
    }

    fn new(level: Level, mechanism: &'static str) -> Self {
        Self {
            event_id: EventId::new(),
            level,
            message: None,
            follows_name: false,
            exceptions: Vec::new(),
            mechanism,
            handled: true,
            addresses: Vec::new(),
            backtrace: None,
            log: None,
            at_once: false,
        }
    }

    fn into_captured(self, span: SpanId) -> Captured {
        Captured {
            event_id: self.event_id,
            at: clock::wall(),
            level: self.level,
            log: self.log,
            message: self.message,
            follows_name: self.follows_name,
            exceptions: self.exceptions,
            mechanism: self.mechanism,
            handled: self.handled,
            addresses: self.addresses,
            backtrace: self.backtrace,
            span,
            nested: None,
        }
    }
}

impl State {
    fn announced_id(&self, chain: &[Exception]) -> Option<EventId> {
        let is_it =
            |values: &[Option<String>]| values.len() == chain.len() && values.iter().zip(chain).all(|(ours, theirs)| *ours == theirs.value);
        self.announced.iter().find(|(values, _)| !chain.is_empty() && is_it(values)).map(|(_, id)| *id)
    }
}

impl Shared {
    /// Captures here. Returns the id that the server will know, also when this turns out to be a failure that is known already.
    pub(crate) fn capture(&self, capture: Capture, span: Parent) -> EventId {
        let at_once = capture.at_once;
        let is_failure = capture.level >= Level::Error;
        let nested = nested::of(self).map(|nested| Box::new(nested.data()));
        let mut state = self.lock();
        state.has_failed |= is_failure;
        state.has_error |= is_failure && !capture.exceptions.is_empty();
        state.has_crashed |= is_failure && !capture.handled;
        // Its id is told: no other span may take its place.
        state.transaction.record.hold(span);
        let mut captured = Captured { nested, ..capture.into_captured(state.transaction.span_id(span)) };
        if let Some(announced) = state.announced_id(&captured.exceptions) {
            captured.event_id = announced;
            // Once: another request may be answered with a clone of the same error.
            state.announced.retain(|(_, id)| *id != announced);
        }
        if let Some(known) = state.parked.iter_mut().find(|known| known.is_same_failure(&captured)) {
            let (event_id, lost) = (known.event_id, known.merge(captured));
            drop(state);
            // It may be the last handle of an error of the user's, whose drop may log.
            drop(lost);
            return event_id;
        }
        let event_id = captured.event_id;
        if is_failure {
            state.first_error.get_or_insert(event_id);
        }
        let parks = !at_once && is_failure && state.phase == Phase::BeforeHead && state.parked.len() < PARKED_LIMIT;
        if parks {
            state.parked.push(captured);
            return event_id;
        }
        if is_failure && state.is_job {
            if state.told.len() >= PARKED_LIMIT {
                state.told.pop_front();
            }
            state.told.push_back((Failure::of(&captured), event_id));
        }
        let event = state.with_scope(captured, &self.client);
        drop(state);
        self.client.submit(Item::Event(event));
        event_id
    }

    /// Captures what a job returned, unless it has told of that already.
    pub(crate) fn capture_returned(&self, capture: Capture) -> EventId {
        let mut state = self.lock();
        state.has_failed = true;
        let told = state.told.iter().rev().find(|(failure, _)| failure.is(&capture.exceptions)).map(|(_, id)| *id);
        drop(state);
        told.unwrap_or_else(|| self.capture(capture, Parent::Root))
    }

    /// Captures that the response says the service failed, where nothing has said why. At most ten a
    /// second, then counted as dropped.
    pub(crate) fn capture_failure(&self, what: impl FnOnce() -> String) {
        if self.lock().first_error.is_some() {
            return;
        }
        if !self.client.may_tell_of_failure(clock::nanos(clock::now())) {
            return self.client.discard(DiscardReason::SampleRate, Category::Error, 1);
        }
        let capture = Capture { message: Some(what()), follows_name: true, ..Capture::new(Level::Error, "auto.http.tower") };
        self.capture(capture, Parent::Root);
    }

    /// The id of the event that a failure will be, for whoever tells it before it is captured.
    pub(crate) fn announce(&self, chain: &[Exception]) -> EventId {
        let mut state = self.lock();
        let parked = state.parked.iter().find(|known| known.tells_of(chain)).map(|known| known.event_id);
        if let Some(known) = parked.or_else(|| state.announced_id(chain)) {
            return known;
        }
        let event_id = EventId::new();
        if state.announced.len() < PARKED_LIMIT {
            state.announced.push((chain.iter().map(|exception| exception.value.clone()).collect(), event_id));
        }
        event_id
    }

    /// The response's status is known.
    pub(crate) fn note_status(&self, status: u16) {
        self.lock().transaction.record.response.status = Some(status);
    }

    /// The response's head is there: lets the parked errors go.
    pub(crate) fn release(&self, status: u16) {
        let mut state = self.lock();
        state.transaction.record.response.status = Some(status);
        let parked = state.take_parked(&self.client);
        drop(state);
        submit(&self.client, parked);
    }
}

impl State {
    /// The parked errors with their scope; from now on none is parked.
    #[inline]
    pub(super) fn take_parked(&mut self, client: &Client) -> Option<Vec<Item>> {
        if self.phase == Phase::BeforeHead {
            self.phase = Phase::Open;
        }
        if self.parked.is_empty() {
            return None;
        }
        let mut parked = std::mem::take(&mut self.parked);
        let events = parked.drain(..).map(|captured| Item::Event(self.with_scope(captured, client))).collect();
        // The room serves the next request as well.
        self.parked = parked;
        Some(events)
    }

    /// Gives an event its copy of the scope.
    fn with_scope(&self, mut captured: Captured, client: &Client) -> Box<EventRecord> {
        let mut scope = client.take_record();
        self.transaction.record.copy_scope_to(&mut scope);
        if let Some(nested) = captured.nested.take() {
            scope.set = *nested;
        }
        Box::new(EventRecord { captured, scope })
    }
}

/// Hands events over, if there are any.
#[inline]
pub(super) fn submit(client: &Client, events: Option<Vec<Item>>) {
    if let Some(events) = events {
        for event in events {
            client.submit(event);
        }
    }
}

/// The client that serves what happens here.
fn current_client() -> Client {
    current::with(|entered| entered.scope.client.clone()).unwrap_or_else(default_client)
}

/// Captures an error with its chain of sources, at most ten, and the place of this call.
///
/// Inside a request the event waits for the head of the response: the same failure, captured here and returned with
/// [`CaptureError`](crate::CaptureError), is one event. Outside a request it goes out at once with the process-wide tags. The id is what
/// the server will know the event by; it is nil while monitoring is off. For `anyhow` and boxed errors pass `&*error`.
///
/// # Examples
///
/// ```
/// let error: std::num::ParseIntError = "x".parse::<i32>().unwrap_err();
/// let id = tower_sentry::capture_error(&error);
/// assert!(id.is_nil()); // no client
/// ```
pub fn capture_error(error: &(dyn Error + 'static)) -> EventId {
    match current::handle() {
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
pub fn capture_message(level: Level, message: impl Into<String>) -> EventId {
    Scope::current().capture_message(level, message)
}

/// Captures what belongs to no request.
pub(crate) fn capture_outside(client: Client, capture: Capture) {
    Shared::detached(client).capture(capture, Parent::Root);
}

/// Captures for a process that has no request here: with `client`, or the current scope where there is one.
pub(crate) fn capture_panic(message: &str, addresses: Vec<usize>) {
    Scope::current().capture(Capture::panic(message, addresses));
}
