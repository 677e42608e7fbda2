//! Errors and messages: captured once, parked until the response head, merged if they are the same.

use std::error::Error;
use std::sync::Arc;

use super::state::{Phase, Shared, State};
use super::{Scope, current, nested};
use crate::client::{Client, default_client};
use crate::event;
use crate::event::{Backtrace, Captured, EventRecord, MENTIONED};
use crate::exporter::Item;
use crate::protocol::{Category, DiscardReason, EventId, Exception, Level, SpanId};
use crate::record::{LogRecord, Parent, clock};

/// At most this many errors of a request wait for the response head; further ones are sent at once.
const PARKED_LIMIT: usize = 8;

/// An error that waits for the response head. A copy of the scope is added when it is sent.
pub(super) type Parked = Captured;

/// What identifies a sent failure: the messages of its error chain, or the text of its log.
pub(super) struct Failure {
    chain: Vec<Option<String>>,
    text: Option<String>,
}

impl Failure {
    fn of(captured: &Captured) -> Self {
        let chain: Vec<_> = captured.exceptions.iter().map(|exception| exception.value.clone()).collect();
        Self { text: captured.message.clone().filter(|_| chain.is_empty()), chain }
    }

    /// Whether `chain` describes this failure.
    fn is(&self, chain: &[Exception]) -> bool {
        let is_chain = !self.chain.is_empty() && self.chain.iter().eq(chain.iter().map(|exception| &exception.value));
        let outermost = chain.first().and_then(|exception| exception.value.as_deref()).filter(|text| text.len() >= MENTIONED);
        is_chain || self.text.as_deref().zip(outermost).is_some_and(|(text, outermost)| text.contains(outermost))
    }
}

/// An error or message, before it is known which scope captures it.
pub(crate) struct Capture {
    event_id: EventId,
    level: Level,
    message: Option<String>,
    /// Whether the message is appended to the transaction's name.
    follows_name: bool,
    exceptions: Vec<Exception>,
    mechanism: &'static str,
    handled: bool,
    addresses: Vec<usize>,
    backtrace: Option<Arc<dyn Backtrace>>,
    log: Option<LogRecord>,
    /// Whether to send at once instead of parking, because the process may be about to die.
    at_once: bool,
}

impl Capture {
    /// An error that the user captures explicitly, with the stack of this call.
    pub(crate) fn error(error: &(dyn Error + 'static)) -> Self {
        let addresses = if current_client().is_enabled() { event::addresses() } else { Vec::new() };
        Self { exceptions: event::chain(error, None), addresses, ..Self::new(Level::Error, "generic") }
    }

    /// A message.
    pub(crate) fn message(level: Level, message: String) -> Self {
        Self { message: Some(message), ..Self::new(level, "generic") }
    }

    /// A panic, as the panic hook sees it.
    pub(crate) fn panic(message: &str, addresses: Vec<usize>) -> Self {
        let mechanism = "panic";
        Self {
            exceptions: event::panic(message),
            handled: false,
            addresses,
            at_once: true,
            ..Self::new(event::level(mechanism), mechanism)
        }
    }

    /// A log event, with an error's chain if it has one.
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

    /// An error that a job returned. It counts as unhandled, since no code in the job handled it.
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
    /// Captures an error or a message in this scope.
    ///
    /// Returns the id of the event that is sent. If the same failure is already parked, that is the
    /// earlier event's id.
    pub(crate) fn capture(&self, capture: Capture, span: Parent) -> EventId {
        let at_once = capture.at_once;
        let is_failure = capture.level >= Level::Error;
        let nested = nested::of(self).map(|nested| Box::new(nested.data()));
        let mut state = self.lock();
        state.has_failed |= is_failure;
        state.has_error |= is_failure && !capture.exceptions.is_empty();
        state.has_crashed |= is_failure && !capture.handled;
        // The event contains the span's id, so the span's slot must not be reused at the span
        // limit.
        state.transaction.record.hold(span);
        let mut captured = Captured { nested, ..capture.into_captured(state.transaction.span_id(span)) };
        if let Some(announced) = state.announced_id(&captured.exceptions) {
            captured.event_id = announced;
            // Used once: another request may respond with a clone of the same error.
            state.announced.retain(|(_, id)| *id != announced);
        }
        if let Some(known) = state.parked.iter_mut().find(|known| known.is_same_failure(&captured)) {
            let (event_id, lost) = (known.event_id, known.merge(captured));
            drop(state);
            // Dropped without the lock: this may drop the user's error, whose `Drop` may log.
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

    /// Captures the error that a job returned, unless the job has captured it before.
    pub(crate) fn capture_returned(&self, capture: Capture) -> EventId {
        let mut state = self.lock();
        state.has_failed = true;
        let told = state.told.iter().rev().find(|(failure, _)| failure.is(&capture.exceptions)).map(|(_, id)| *id);
        drop(state);
        told.unwrap_or_else(|| self.capture(capture, Parent::Root))
    }

    /// Captures a failed response for which no error was captured.
    ///
    /// At most 10 a second (burst 100); further ones are counted as dropped.
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

    /// The id that a failure's event will have, for a caller that needs it before the capture.
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

    /// Stores the response's status.
    pub(crate) fn note_status(&self, status: u16) {
        self.lock().transaction.record.response.status = Some(status);
    }

    /// The response head is ready: sends the parked errors.
    pub(crate) fn release(&self, status: u16) {
        let mut state = self.lock();
        state.transaction.record.response.status = Some(status);
        let parked = state.take_parked(&self.client);
        drop(state);
        submit(&self.client, parked);
    }
}

impl State {
    /// Takes the parked errors, each with a copy of the scope. Later errors are not parked.
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
        // The next request reuses the vector's capacity.
        self.parked = parked;
        Some(events)
    }

    /// Adds a copy of the scope to an event.
    fn with_scope(&self, mut captured: Captured, client: &Client) -> Box<EventRecord> {
        let mut scope = client.take_record();
        self.transaction.record.copy_scope_to(&mut scope);
        if let Some(nested) = captured.nested.take() {
            scope.set = *nested;
        }
        Box::new(EventRecord { captured, scope })
    }
}

/// Sends the events, if there are any.
#[inline]
pub(super) fn submit(client: &Client, events: Option<Vec<Item>>) {
    if let Some(events) = events {
        for event in events {
            client.submit(event);
        }
    }
}

/// The client of the current scope, or the default client.
fn current_client() -> Client {
    current::with(|entered| entered.scope.client.clone()).unwrap_or_else(default_client)
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

/// Captures an error or message that belongs to no request.
pub(crate) fn capture_outside(client: Client, capture: Capture) {
    Shared::detached(client).capture(capture, Parent::Root);
}

/// Captures a panic in the current scope, or in a detached scope outside any request.
pub(crate) fn capture_panic(message: &str, addresses: Vec<usize>) {
    Scope::current().capture(Capture::panic(message, addresses));
}
