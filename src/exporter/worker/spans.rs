//! Sends the spans of a record, in as many envelopes as they need.

use std::time::Instant;

use super::super::item::Item;
use super::super::outbound::Outbound;
use super::super::spans::SealedSpans;
use super::Worker;
use crate::protocol::DiscardReason;
use crate::record::Record;
use crate::unwind;

impl Worker<'_> {
    pub(super) fn send_spans(&mut self, number: u64, mut record: Box<Record>, now: Instant) {
        // Code of the user is run here, so contain what it does.
        let sealed = unwind::catch(|| self.pipeline.seal_spans(&mut record, || self.delivery.take_buffer()));
        match sealed.unwrap_or(Err(DiscardReason::InternalSdkError)) {
            Ok(SealedSpans { outbound, removed, failed }) => {
                self.shared.ledger.lose_spans(removed, DiscardReason::BeforeSend);
                self.shared.ledger.lose_spans(failed, DiscardReason::InternalSdkError);
                for outbound in outbound {
                    self.hand_over(Outbound { numbers: vec![number], ..outbound }, now);
                }
                self.shared.recycle(Item::Spans(record));
            }
            Err(reason) => {
                let item = Item::Spans(record);
                self.shared.lose(&item, reason);
                self.shared.recycle(item);
            }
        }
    }
}
