//! Errors that wait for the response head.

use std::sync::Arc;

use crate::event::{Backtrace, CapturedEvent, EventRecord};
use crate::record::Record;

/// An error that waits for the response head. Its data is that of the moment of its capture.
pub(super) struct Parked {
    pub(super) event: Box<EventRecord>,
    /// Whether the data is that of a nested scope.
    pub(super) is_nested: bool,
}

impl Parked {
    /// Merges another report of the same failure.
    ///
    /// Returns a value of the user's that is not kept: drop it while no lock is held.
    pub(super) fn merge(&mut self, other: CapturedEvent) -> Option<Arc<dyn Backtrace>> {
        let EventRecord { captured, scope } = &mut *self.event;
        let lost = captured.merge(other);
        if let Some(nested) = captured.nested.take().filter(|_| !self.is_nested) {
            scope.set = *nested;
            self.is_nested = true;
        }
        lost
    }

    /// Adds the request's name and status of the moment at which it is sent.
    pub(super) fn complete(self, record: &Record) -> Box<EventRecord> {
        let mut event = self.event;
        record.copy_name_to(&mut event.scope);
        event.scope.response = record.response;
        event
    }
}
