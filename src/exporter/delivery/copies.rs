//! Copies of the envelopes: for local sinks, and for the OpenTelemetry collector.

use std::time::Instant;

use super::super::outbound::Outbound;
use super::Delivery;

impl Delivery {
    /// Sends a copy of an envelope to each local sink, and gives one to the collector.
    pub(in crate::exporter) fn show(&mut self, outbound: &mut Outbound, now: Instant) {
        for sink in &mut self.sinks {
            sink.show(&mut self.gzip, &mut outbound.envelope);
        }
        if let Some(collector) = &mut self.collector {
            collector.add(outbound, now);
        }
    }

    /// Sends the copies that are due to the collector. A flush sends all.
    pub(in crate::exporter) fn send_copies(&mut self, now: Instant, is_asked: bool) {
        if let Some(collector) = &mut self.collector {
            collector.go_on(&mut self.gzip, now, is_asked);
        }
    }
}
