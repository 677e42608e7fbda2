//! Sends parts of a long request or job while it runs.

use std::sync::MutexGuard;

use super::state::{LiveScope, ScopeState};
use crate::client::Client;
use crate::exporter::Item;
use crate::protocol::TraceLifecycle;
use crate::record::Record;

/// The item that a finished request or job is sent as.
pub(super) fn finished(client: &Client, record: Box<Record>) -> Item {
    if is_streamed(client) { Item::Spans(record) } else { Item::Transaction(record) }
}

/// Whether requests and jobs are sent as spans.
pub(super) fn is_streamed(client: &Client) -> bool {
    client.settings().is_some_and(|settings| settings.delivery.trace_lifecycle == TraceLifecycle::Stream)
}

impl LiveScope {
    /// Sends the spans that have ended, if a part is due. Each code that ends a span calls it.
    #[inline]
    pub(crate) fn stream(&self, state: MutexGuard<'_, ScopeState>) {
        if state.transaction.streams {
            self.send_part(state);
        }
    }

    #[cold]
    fn send_part(&self, mut state: MutexGuard<'_, ScopeState>) {
        let Some(settings) = self.client.settings().filter(|_| !self.is_left_out()) else { return };
        if !state.transaction.is_part_due() {
            return;
        }
        // All parts must have the same sampling context.
        state.freeze(settings);
        let part = state.transaction.take_part();
        // The exporter may log while it takes the part, and a log locks the state.
        drop(state);
        if let Some(part) = part {
            self.client.submit(Item::Spans(part));
        }
    }
}
