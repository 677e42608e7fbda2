//! Turns `tracing` events into Sentry events.

use std::error::Error;
use std::fmt;

use tracing::Event;
use tracing::field::{Field, Visit};

use crate::client::Client;
use crate::event::{self, CapturedEvent, ErrorChain, FailureIdentity, GivenError};
use crate::record::{LogRecord, target};
use crate::scope::{EventMapper, current, map_event, read_error};

/// tower-http's `TraceLayer` logs every failed response, which our layer sees itself.
const OF_RESPONSES: &str = "tower_http::trace";
/// Its `CatchPanicLayer` logs every panic, which the panic hook sees unless another hook replaced it.
const OF_PANICS: &str = "tower_http::catch_panic";

/// Returns the capture for an event, or `None` if the event only repeats a failure
/// we see elsewhere.
///
/// `fields` holds the event's fields in the encoding of the record, and `spans` returns the ids of
/// the spans around it.
pub(super) fn capture(
    event: &Event<'_>,
    client: &Client,
    mapper: Option<&EventMapper>,
    fields: Vec<u8>,
    spans: impl FnOnce() -> Vec<u64>,
) -> Option<CapturedEvent> {
    let metadata = event.metadata();
    let is_of = |known: &str| target(metadata, &fields).starts_with(known);
    if is_of(OF_RESPONSES) {
        return None;
    }
    let mut found = Found { client, message: None, text: None, chain: None, texts: 0 };
    event.record(&mut found);
    if is_of(OF_PANICS) && is_panic_known(found.message.as_deref().unwrap_or_default()) {
        return None;
    }
    let log = LogRecord { metadata, fields };
    let chain =
        found.chain.unwrap_or_else(|| ErrorChain { identity: FailureIdentity::of_log(&log, found.texts, spans), ..ErrorChain::default() });
    let mut captured = CapturedEvent::log(log, found.message.or(found.text), chain);
    if let Some(mapper) = mapper {
        captured.notes.add(map_event(client, mapper, event));
    }
    Some(captured)
}

/// Whether the panic that `CatchPanicLayer` logs in this message is reported elsewhere.
///
/// Outside a scope, the panic has passed our layer, which reports it. Inside a scope, it is known if the
/// latest captured panic has the same text. Another text may be that of a panic that no hook saw.
fn is_panic_known(message: &str) -> bool {
    let text = message.strip_prefix("Service panicked: ");
    current::with(|entered| entered.scope.has_crashed_with(text)).unwrap_or(true)
}

/// The fields that describe the error.
struct Found<'a> {
    client: &'a Client,
    /// The message of the event.
    message: Option<String>,
    /// The text of an error field, as `#[instrument(err)]` records it.
    text: Option<String>,
    /// The chain of an error field.
    chain: Option<ErrorChain>,
    /// The fields whose text may be that of an error, one bit each.
    texts: u32,
}

impl Found<'_> {
    fn add_text(&mut self, field: &Field) {
        self.texts |= 1_u32.checked_shl(u32::try_from(field.index()).unwrap_or(u32::MAX)).unwrap_or(0);
    }

    fn read(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = Some(event::shown(value)),
            "error" | "err" | "exception" => self.text = Some(event::shown(value)),
            _ => {}
        }
    }
}

impl Visit for Found<'_> {
    fn record_error(&mut self, _: &Field, error: &(dyn Error + 'static)) {
        if self.chain.is_none() {
            let debug = current::with(|entered| entered.scope.debug_output()).unwrap_or_default();
            self.chain = Some(read_error(self.client, &GivenError::Boxed(error, None), &debug));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        // The text of another field may equal that of an error by chance.
        if field.name() == "message" || event::is_error_field(field.name()) {
            self.add_text(field);
        }
        self.read(field, &format_args!("{value}"));
    }

    /// A value written with `%` or `?`, or a message with arguments.
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add_text(field);
        self.read(field, value);
    }
}
