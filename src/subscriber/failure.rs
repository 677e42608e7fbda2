//! Events of level ERROR as events of Sentry.

use std::error::Error;
use std::fmt;

use tracing::Event;
use tracing::field::{Field, Visit};

use crate::exception;
use crate::protocol::Exception;
use crate::record::LogRecord;
use crate::scope::Capture;

/// tower-http's `TraceLayer` logs each failed response, and its `CatchPanicLayer` each panic. The layer sees the one, the panic hook the other.
const KNOWN_OTHERWISE: [&str; 2] = ["tower_http::trace", "tower_http::catch_panic"];

/// What an event of level ERROR captures; nothing where it only repeats what the layer knows.
/// `fields` are its fields as they are recorded.
pub(super) fn capture(event: &Event<'_>, fields: Vec<u8>) -> Option<Capture> {
    let metadata = event.metadata();
    if KNOWN_OTHERWISE.iter().any(|target| metadata.target().starts_with(target)) {
        return None;
    }
    let mut found = Found::default();
    event.record(&mut found);
    Some(Capture::log(LogRecord { metadata, fields }, found.message.or(found.text), found.chain))
}

/// What of the fields tells more than their names.
#[derive(Default)]
struct Found {
    /// The message of the event.
    message: Option<String>,
    /// The text of an error that is a field, as `#[instrument(err)]` gives it.
    text: Option<String>,
    /// The chain of an error that is a field.
    chain: Vec<Exception>,
}

impl Visit for Found {
    fn record_error(&mut self, _: &Field, error: &(dyn Error + 'static)) {
        if self.chain.is_empty() {
            self.chain = exception::chain(error, None);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = Some(exception::shown(value)),
            "error" | "err" | "exception" => self.text = Some(exception::shown(value)),
            _ => {}
        }
    }
}
