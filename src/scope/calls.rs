//! The functions with which user code and the panic hook capture something, inside a request or not.

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

/// Captures an `eyre` report. It does the same as [`capture_error`].
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

/// Captures a message: an event with a text and a level, and without an error.
///
/// Texts of more than 8 KiB are cut. Messages of level error and fatal mark the request or job as failed.
/// Each place in the code that captures messages is one issue, whatever the text is; see
/// [`default_fingerprint`](crate::ConfigBuilder::default_fingerprint). Outside a request, the message has the
/// process-wide tags.
///
/// Returns the id of the event, which is nil while monitoring is off.
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

/// Captures an event that you have built: an event of another program, for example, or one with your own frames.
///
/// For errors use [`capture_error`], which reads the chain and the place.
///
/// The current scope adds its request, user, tags, contexts and breadcrumbs to the event:
///
/// - A value that you have set replaces that of the scope. The exception is a level that was set on the scope.
/// - Contexts, tags and further data are merged by name. Your breadcrumbs follow those of the scope.
/// - `release`, `environment` and the sampling of the trace in the envelope are those of the client.
///
/// Hooks, limits, sampling and redaction apply as to any event. On a
/// [sensitive](crate::incoming::RouteOptions::sensitive) route, only the id and the level of the event are sent.
///
/// Returns the id of `event`, under which it is sent. The id is nil while monitoring is off.
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
