//! Events that wait for the response head of their request, or for a later report of their failure.

use std::sync::Arc;

use super::captured::{Backtrace, CapturedEvent, EventRecord};
use crate::protocol::EventId;
use crate::record::Record;

/// An event that waits, with the data of the scope at its capture.
#[derive(Debug)]
pub(crate) struct WaitingEvent {
    event: Box<EventRecord>,
    /// Whether the data is that of a nested scope.
    is_nested: bool,
}

impl WaitingEvent {
    pub(crate) fn new(event: Box<EventRecord>, is_nested: bool) -> Self {
        Self { event, is_nested }
    }

    pub(crate) fn event(&self) -> &EventRecord {
        &self.event
    }

    /// Merges a later report of the same failure. If `is_shorter` is true, the later report has the longer chain.
    ///
    /// Returns a value of the user that is not kept: drop it while no lock is held.
    pub(crate) fn merge(&mut self, other: CapturedEvent, is_shorter: bool) -> Option<Arc<dyn Backtrace>> {
        let EventRecord { captured, scope } = &mut *self.event;
        let lost = captured.merge(other, is_shorter);
        if let Some(nested) = captured.nested.take().filter(|_| !self.is_nested) {
            scope.set = *nested;
            self.is_nested = true;
        }
        if let Some(mut noted) = captured.notes.set.take() {
            // The bytes of files were counted at the first report.
            noted.clear_attachments();
            scope.set.add(*noted);
        }
        lost
    }

    /// Replaces the id by one that was handed out.
    pub(crate) fn set_id(&mut self, event_id: EventId) {
        self.event.captured.event_id = event_id;
    }

    /// Adds the current name, status and response of its request or inner request.
    pub(crate) fn complete(mut self, record: &Record) -> Box<EventRecord> {
        let EventRecord { captured, scope } = &mut *self.event;
        if let Some(span) = captured.inner_request {
            record.copy_inner_request_to(span, scope);
        } else {
            record.copy_name_to(scope);
            scope.response = record.response;
            scope.set.copy_response_body(&record.set);
        }
        self.event
    }

    /// Ends the wait before the head, without the name and the status.
    pub(crate) fn into_event(self) -> Box<EventRecord> {
        self.event
    }
}
