//! Turns `tracing` events of level ERROR into Sentry events.

use std::error::Error;
use std::fmt;

use tracing::Event;
use tracing::field::{Field, Visit};

use crate::event::{self, CapturedEvent};
use crate::protocol::Exception;
use crate::record::LogRecord;

/// tower-http's `TraceLayer` logs every failed response, which our layer sees itself.
///
/// Its `CatchPanicLayer` logs every panic, which the panic hook sees.
const KNOWN_OTHERWISE: [&str; 2] = ["tower_http::trace", "tower_http::catch_panic"];

/// Returns the capture for an event of level ERROR, or `None` if the event only repeats a failure
/// we see elsewhere.
///
/// `fields` holds the event's fields in the encoding of the record.
pub(super) fn capture(event: &Event<'_>, fields: Vec<u8>) -> Option<CapturedEvent> {
    let metadata = event.metadata();
    if KNOWN_OTHERWISE.iter().any(|target| metadata.target().starts_with(target)) {
        return None;
    }
    let mut found = Found::default();
    event.record(&mut found);
    Some(CapturedEvent::log(LogRecord { metadata, fields }, found.message.or(found.text), found.chain))
}

/// The fields that describe the error.
#[derive(Default)]
struct Found {
    /// The message of the event.
    message: Option<String>,
    /// The text of an error field, as `#[instrument(err)]` records it.
    text: Option<String>,
    /// The chain of an error field.
    chain: Vec<Exception>,
}

impl Visit for Found {
    fn record_error(&mut self, _: &Field, error: &(dyn Error + 'static)) {
        if self.chain.is_empty() {
            self.chain = event::chain(error, None);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = Some(event::shown(value)),
            "error" | "err" | "exception" => self.text = Some(event::shown(value)),
            _ => {}
        }
    }
}
