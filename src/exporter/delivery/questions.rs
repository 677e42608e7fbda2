//! What the worker asks the delivery.

use std::time::{Duration, Instant};

use super::super::collector::Collector;
use super::super::sinks::Sink;
use super::Delivery;
use crate::protocol::Category;

impl Delivery {
    /// Holds up what waits.
    #[cfg(test)]
    pub(in crate::exporter) fn begin_pace(&mut self, now: Instant) {
        self.pace.begin(now);
    }

    /// Whether what has waited since an outage is held up.
    pub(in crate::exporter) fn is_paced(&self) -> bool {
        self.pace.is_on()
    }

    /// How long to wait at most for a place: attempts may turn out to hang.
    pub(in crate::exporter) fn recheck(&self) -> Duration {
        self.flow.long()
    }

    /// When the next retry is due, if one waits.
    pub(in crate::exporter) fn retry_due(&self, now: Instant) -> Option<Instant> {
        self.retry.due(now)
    }

    /// When the spool needs a look: all of it, or only for what may be sent again.
    pub(in crate::exporter) fn spool_due(&self) -> impl Iterator<Item = Instant> {
        self.backlog.next_due().into_iter().chain(self.spools_from)
    }

    /// Whether a rate limit of the server applies to a category.
    pub(in crate::exporter) fn is_closed(&self, category: Category, now: Instant) -> bool {
        self.limits.is_closed(category, now)
    }

    /// Whether envelopes can only wait in memory now, or are dropped; and whether the queue is half full.
    pub(in crate::exporter) fn troubles(&self, now: Instant) -> (bool, bool) {
        let is_unwell = self.limits.is_closed(self.of_requests, now) || self.backoff.is_failing() && !self.backlog.is_well();
        (is_unwell, !self.shared.queue.has_much_room())
    }

    /// Whether others than the server get an envelope of a category, even if the server limits it.
    pub(in crate::exporter) fn has_copies(&self, category: Category) -> bool {
        self.shows_locally() || self.collector.is_some() && category == Category::Transaction
    }

    /// When the collector needs a look.
    pub(in crate::exporter) fn copies_due(&self, now: Instant) -> Option<Instant> {
        self.collector.as_ref().and_then(|collector| collector.next_look(now))
    }

    /// The spans that the collector has not got yet.
    pub(in crate::exporter) fn copied_spans(&self) -> u64 {
        self.collector.as_ref().map_or(0, Collector::spans)
    }

    /// Whether a local sink shows envelopes even if the server limits them.
    pub(in crate::exporter) fn shows_locally(&self) -> bool {
        !self.sinks.is_empty()
    }

    /// Whether there is a receiver for client reports.
    pub(in crate::exporter) fn reports_losses(&self) -> bool {
        self.server.is_some()
    }

    /// Whether nothing is in flight or waits for a retry, copies included.
    pub(in crate::exporter) fn is_idle(&self) -> bool {
        self.retry.is_empty()
            && self.flights.is_empty()
            && self.sinks.iter().all(Sink::is_idle)
            && self.collector.iter().all(Collector::is_idle)
    }

    /// Whether no envelope waits for a retry.
    pub(in crate::exporter) fn has_no_backlog(&self) -> bool {
        self.retry.is_empty()
    }

    /// Whether an envelope of a category is in flight.
    pub(in crate::exporter) fn is_sending(&self, category: Category) -> bool {
        self.flights.is_sending(category)
    }

    /// The smallest item number that is in flight or waits for a retry, also on the way to the collector.
    pub(in crate::exporter) fn oldest(&self) -> Option<u64> {
        let copies = self.collector.iter().filter_map(Collector::oldest);
        self.retry.oldest().into_iter().chain(self.flights.oldest()).chain(copies).min()
    }
}
