//! Events that wait for the response head of their request.

use std::sync::Arc;

use super::captured::{Backtrace, CapturedEvent, EventRecord};
use crate::record::Record;

/// An event that waits for the response head. Its data is that of the moment of its capture.
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

    /// Merges another report of the same failure.
    ///
    /// Returns a value of the user's that is not kept: drop it while no lock is held.
    pub(crate) fn merge(&mut self, other: CapturedEvent) -> Option<Arc<dyn Backtrace>> {
        let EventRecord { captured, scope } = &mut *self.event;
        let lost = captured.merge(other);
        if let Some(nested) = captured.nested.take().filter(|_| !self.is_nested) {
            scope.set = *nested;
            self.is_nested = true;
        }
        lost
    }

    /// Adds the name and the status, of the moment at which it is sent, of its request or inner request.
    pub(crate) fn complete(mut self, record: &Record) -> Box<EventRecord> {
        let EventRecord { captured, scope } = &mut *self.event;
        if let Some(span) = captured.inner_request {
            record.copy_inner_request_to(span, scope);
        } else {
            record.copy_name_to(scope);
            scope.response = record.response;
        }
        self.event
    }

    /// Ends the wait before the head.
    pub(crate) fn into_event(self) -> Box<EventRecord> {
        self.event
    }
}
