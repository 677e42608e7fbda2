//! What user code and the panic hook call to capture something, inside a request or not.

use super::current;
use super::handle::Scope;
use super::state::LiveScope;
use crate::client::{Client, default_client};
use crate::event::{CallStack, CapturableError, CapturedEvent};
use crate::protocol::{Event, EventId, Level};
use crate::record::Parent;
use crate::unwind::{self, Payload};

/// Captures an error with at most ten of its sources and the stack trace of this call.
///
/// Inside a request the event waits for the response head, and inside a job for at most two seconds.
/// If the same failure is captured here and returned, for example with
/// [`CaptureError`](crate::CaptureError), it is one event. Two calls from one line are two failures.
/// Outside a request the event is sent at once, with the process-wide tags.
///
/// Returns the id of the event, which is nil while monitoring is off. If the failure was reported
/// before, that is the earlier event's id.
///
/// `error` may also be an `anyhow::Error`, an `eyre::Report`, a `Box<dyn Error>` or a `dyn Error`, see
/// [`CapturableError`]. The stack trace inside an `anyhow` or `eyre` error is not read here, because that
/// can take half a second: [`CaptureError`](crate::CaptureError) has it.
///
/// # Examples
///
/// ```
/// let error: std::num::ParseIntError = "x".parse::<i32>().unwrap_err();
/// let id = tower_sentry::capture_error(&error);
/// assert!(id.is_nil()); // no client
/// ```
#[track_caller]
pub fn capture_error<E, Kind>(error: &E) -> EventId
where
    E: CapturableError<Kind> + ?Sized,
{
    match Scope::entered() {
        Some(scope) => scope.capture_error(error),
        None if default_client().is_enabled() => Scope::current().capture_error(error),
        None => EventId::nil(),
    }
}

/// Captures an `anyhow` error: [`capture_error`] under the name that `sentry-anyhow` has.
///
/// # Examples
///
/// ```
/// let error = anyhow::anyhow!("no stock").context("the order could not be placed");
/// tower_sentry::capture_anyhow(&error);
/// ```
#[cfg(feature = "anyhow")]
#[track_caller]
pub fn capture_anyhow(error: &anyhow::Error) -> EventId {
    capture_error(error)
}

/// Captures an `eyre` report: [`capture_error`] with a name of its own.
///
/// # Examples
///
/// ```
/// let report = eyre::eyre!("no stock").wrap_err("the order could not be placed");
/// tower_sentry::capture_eyre(&report);
/// ```
#[cfg(feature = "eyre")]
#[track_caller]
pub fn capture_eyre(report: &eyre::Report) -> EventId {
    capture_error(report)
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

/// Captures an event that you have built, for what no other capture can say: an event of another program, or
/// one with frames of your own.
///
/// It gets the request, the user, the tags, the contexts and the breadcrumbs of the current scope. What you
/// have set stands in place of that; contexts, tags and further data are merged by name, breadcrumbs
/// follow those of the scope, and a level that was set on the scope wins. Hooks, limits, sampling and
/// redaction apply as to any event; on a [sensitive](crate::incoming::RouteOptions::sensitive) route nothing
/// of it leaves but its id and its level. It is sent under the id it has, which is returned; the id is nil while monitoring
/// is off. `release`, `environment` and the sampling of the trace in the envelope stay those of the client.
///
/// Errors are better captured with [`capture_error`]: it reads the chain and the place.
///
/// # Examples
///
/// ```
/// use tower_sentry::Level;
/// use tower_sentry::protocol::Event;
///
/// let mut event = Event::new(Level::Warning);
/// event.logentry = Some("the cache is cold".into());
/// event.logger = Some("cache".to_owned());
/// event.tags.insert("cache".to_owned(), "prices".to_owned());
/// tower_sentry::capture_event(event);
/// ```
#[track_caller]
pub fn capture_event(event: Event) -> EventId {
    Scope::current().capture_event(event)
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
