//! The numbers of rows, once some have left.

use std::collections::{BTreeMap, VecDeque};

use crate::protocol::SpanId;

/// Spans that were sent and that something may still refer to. Of more, the oldest are forgotten: what begins
/// below them then begins below the root.
const SENT_LIMIT: usize = 1000;

/// What a record knows about its parts.
///
/// Until the first part, the number of a row is its place. After that, each row keeps its number while others
/// leave: parents, handles and open spans name rows by their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct RowNumbers {
    /// The numbers of the rows, in the same order. They ascend.
    pub(super) numbers: Vec<u32>,
    /// The number of the next row.
    pub(super) next: u32,
    /// The ids of spans that have left, by their numbers.
    pub(super) sent: BTreeMap<u32, SpanId>,
    /// The same numbers, in the order in which they left.
    pub(super) order: VecDeque<u32>,
}

impl RowNumbers {
    /// Adds a row and returns its number.
    #[cold]
    pub(super) fn begin_row(&mut self) -> u32 {
        let number = self.next;
        self.numbers.push(number);
        self.next = number.saturating_add(1);
        number
    }

    pub(super) fn place(&self, number: u32) -> Option<usize> {
        self.numbers.binary_search(&number).ok()
    }

    pub(super) fn sent_id(&self, number: u32) -> Option<SpanId> {
        self.sent.get(&number).copied()
    }

    pub(super) fn note_sent(&mut self, number: u32, id: SpanId) {
        if self.sent.len() >= SENT_LIMIT {
            let oldest = self.order.pop_front();
            oldest.and_then(|oldest| self.sent.remove(&oldest));
        }
        self.sent.insert(number, id);
        self.order.push_back(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_thousand_spans_that_left_are_known() {
        let mut rows = RowNumbers::default();
        for number in 0..1500 {
            rows.note_sent(number, SpanId::new());
        }

        assert_eq!((rows.sent.len(), rows.order.len()), (SENT_LIMIT, SENT_LIMIT));
        assert!(rows.sent_id(499).is_none() && rows.sent_id(500).is_some() && rows.sent_id(1499).is_some());
    }
}
