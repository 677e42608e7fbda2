//! Which spans give way: at the span limit, and if they are too short to be sent.

use std::time::Duration;

use super::{LateFields, Parent, Record, SpanName, SpanRecord};

/// Rows checked for each span beyond the limit; more would slow a request with 100,000 spans down.
const CANDIDATES: usize = 8;

impl Record {
    /// Returns the place of a span that may be replaced.
    ///
    /// Among the next eight spans, it is the shortest that is finished, successful and childless.
    /// Returns `None` if there is no such span: slow ones, failed ones and parents stay.
    pub(crate) fn replaceable_span(&mut self) -> Option<usize> {
        let count = self.spans.len();
        let mut shortest: Option<(usize, u64)> = None;
        for place in (0..CANDIDATES.min(count)).map(|step| (self.next_candidate + step) % count) {
            let Some(row) = self.spans.get(place).filter(|row| row.is_expendable()) else { continue };
            let took = row.end.nanos_since(row.start);
            if shortest.is_none_or(|(_, shortest)| took < shortest) {
                shortest = Some((place, took));
            }
        }
        self.next_candidate = (self.next_candidate + CANDIDATES) % count.max(1);
        shortest.map(|(place, _)| place)
    }

    /// Replaces a span with another one.
    #[cold]
    pub(crate) fn replace_span(&mut self, place: usize, span: SpanRecord) {
        self.hold(span.parent);
        let Some(row) = self.spans.get_mut(place) else { return };
        let replaced = std::mem::replace(row, span);
        if let SpanName::Own(own) = replaced.name {
            self.free_own.push(own);
        }
        let number = self.number_of(place);
        if replaced.has_late_fields {
            self.late.retain(|LateFields { span, .. }| *span != Parent::Span(number));
        }
        self.span_polls.retain(|polled| polled.span != number);
    }

    /// Marks a span that something refers to, or may: it keeps its place until the end.
    #[inline]
    pub(crate) fn hold(&mut self, span: Parent) {
        if let Parent::Span(index) = span
            && let Some(row) = self.row_mut(index)
        {
            row.is_held = true;
        }
    }

    /// Marks short spans, which are left out, and returns how many.
    ///
    /// A span is left out if it is finished, successful, childless and shorter than `shortest`.
    pub(crate) fn leave_out_short_spans(&mut self, shortest: Duration) -> u64 {
        let mut left_out = 0;
        for span in self.spans.iter_mut().filter(|span| span.is_expendable()) {
            span.is_left_out = u128::from(span.end.nanos_since(span.start)) < shortest.as_nanos();
            left_out += u64::from(span.is_left_out);
        }
        left_out
    }
}
