//! A running transaction: its record, and the state that the record does not keep.

use std::time::Duration;

use tracing::Metadata;

use super::{BreadcrumbSource, Key, MiddlewareTimes, Moment, OwnSpanRecord, Parent, Polls, Record, SpanName, SpanPolls, SpanRecord, clock};
use crate::protocol::{SpanId, SpanStatus};

/// The protocol's limit for how long a span that has ended waits for others.
const PART_AFTER: Duration = Duration::from_secs(5);
/// Near the span limit, a part is worth its while if this share of the rows has ended. As many places are still free
/// then: spans begin between two that end, and must not replace those that have ended.
const PART_SHARE: usize = 8;

/// A running transaction.
#[derive(Debug)]
pub(crate) struct LiveTransaction {
    pub(crate) record: Box<Record>,
    /// Whether spans are recorded.
    pub(crate) is_recording: bool,
    /// Whether parts of it are sent while it runs.
    pub(crate) streams: bool,
    /// When the last part was taken out. Unknown before the first one.
    pub(super) part_at: Moment,
    /// The rows of inner requests whose status errors wait for. They stay while others are sent.
    pub(super) awaited: Vec<u32>,
    pub(crate) spans_limit: usize,
    pub(crate) breadcrumbs_limit: usize,
}

impl LiveTransaction {
    /// Returns a transaction that has not begun and records nothing.
    pub(crate) fn idle(record: Box<Record>) -> Self {
        Self {
            record,
            is_recording: false,
            streams: false,
            part_at: Moment::default(),
            awaited: Vec::new(),
            spans_limit: 0,
            breadcrumbs_limit: 0,
        }
    }

    /// Begins the transaction now.
    pub(crate) fn begin(&mut self, op: &'static str, origin: &'static str) {
        let record = &mut self.record;
        record.op = op;
        record.origin = origin;
        record.start = clock::now();
        record.started_at = clock::wall();
        self.part_at = Moment::default();
    }

    /// Begins a span and returns its row.
    ///
    /// At the limit, one span is counted as dropped: the new one replaces a less important one, or
    /// is not recorded. Returns `None` if the span is not recorded.
    #[inline]
    pub(crate) fn start_span(&mut self, name: SpanName, parent: Parent, fields: &[u8]) -> Option<u32> {
        if !self.is_recording {
            return None;
        }
        let is_full = self.record.spans.len() >= self.spans_limit;
        let replaced = if is_full { Some(self.replaceable_span()?) } else { None };
        let fields = self.record.fields(fields);
        let span = SpanRecord {
            id: SpanId::new(),
            parent,
            name,
            start: clock::now(),
            end: Moment::default(),
            fields,
            status: None,
            is_held: false,
            is_left_out: false,
            has_late_fields: false,
            is_query_late: false,
        };
        if let Some(place) = replaced {
            self.record.replace_span(place, span);
            return Some(self.record.number_of(place));
        }
        Some(self.record.begin_span(span))
    }

    /// Counts a span beyond the limit, and finds the one that gives way.
    #[cold]
    fn replaceable_span(&mut self) -> Option<usize> {
        self.record.dropped_spans += 1;
        self.record.replaceable_span()
    }

    /// Begins one of our own spans, whose description is stored in the record.
    pub(crate) fn start_own_span(&mut self, op: &'static str, origin: &'static str, description: &str, parent: Parent) -> Option<u32> {
        let free = self.record.free_own.pop();
        let row = free.map_or_else(|| u32::try_from(self.record.own_spans.len()), Ok).ok()?;
        let Some(index) = self.start_span(SpanName::Own(row), parent, &[]) else {
            self.record.free_own.extend(free);
            return None;
        };
        let own =
            OwnSpanRecord { op, origin, description: self.record.text(description.as_bytes()), middleware: MiddlewareTimes::default() };
        match self.record.own_spans.get_mut(row as usize) {
            Some(slot) => *slot = own,
            None => self.record.own_spans.push(own),
        }
        Some(index)
    }

    /// Begins a span of `tracing`, which is found by its id until it ends.
    #[inline]
    pub(crate) fn start_traced_span(&mut self, id: u64, metadata: &'static Metadata<'static>, parent: Parent, fields: &[u8]) -> bool {
        let Some(index) = self.start_span(SpanName::Callsite(metadata), parent, fields) else { return false };
        self.record.live.push((id, index));
        true
    }

    /// Adds a span that ends now and took `elapsed`.
    pub(crate) fn add_ended_span(&mut self, metadata: &'static Metadata<'static>, parent: Parent, fields: &[u8], elapsed: Duration) {
        if self.is_query_itself(parent) {
            return;
        }
        let Some(index) = self.start_span(SpanName::Callsite(metadata), parent, fields) else { return };
        let begin = self.record.start;
        if let Some(span) = self.record.row_mut(index) {
            span.end = span.start;
            // A span cannot begin before its request.
            span.start = span.end.before(elapsed).max(begin);
        }
    }

    /// Whether the span is a query itself: sea-orm opens a span around the query that sqlx reports,
    /// and one of them is enough.
    fn is_query_itself(&self, span: Parent) -> bool {
        let Parent::Span(index) = span else { return false };
        let Some(row) = self.record.place_of(index) else { return false };
        let Some(SpanRecord { name: SpanName::Callsite(metadata), .. }) = self.record.spans.get(row) else { return false };
        let has_value = |name: &str| {
            let place = metadata.fields().field(name).and_then(|field| u8::try_from(field.index()).ok());
            place.is_some_and(|place| self.record.span_fields(row).any(|(key, _)| key == Key::Index(place)))
        };
        has_value("db.statement") || has_value("db.query.text")
    }

    /// Ends a span of `tracing`.
    #[inline]
    pub(crate) fn end_traced_span(&mut self, id: u64, unwinds: bool) {
        // The youngest span nearly always ends first, so the search starts there.
        let live = &mut self.record.live;
        if let Some(place) = live.iter().rposition(|(live, _)| *live == id) {
            let (_, index) = live.swap_remove(place);
            self.end_span(index, unwinds.then_some(SpanStatus::InternalError));
        } else {
            self.record.unrecorded.retain(|(other, _)| *other != id);
        }
    }

    /// Remembers the span of ours around a `tracing` span that is not recorded.
    pub(crate) fn note_unrecorded(&mut self, id: u64, around: u32) {
        self.record.hold(Parent::Span(around));
        self.record.unrecorded.push((id, around));
    }

    /// Returns the row of a live span of `tracing`, or of the span of ours that it is inside of.
    pub(crate) fn row_around(&self, id: u64) -> Option<u32> {
        let around = || self.record.unrecorded.iter().rev().find(|(other, _)| *other == id).map(|(_, row)| *row);
        self.traced_row(id).or_else(around)
    }

    /// Records that a span of `tracing` is entered: a poll begins.
    pub(crate) fn enter_span(&mut self, id: u64) {
        let Some(span) = self.traced_row(id).filter(|_| self.is_recording) else { return };
        let polls = &mut self.record.span_polls;
        match polls.iter_mut().rev().find(|polled| polled.span == span) {
            Some(polled) => polled.entered = clock::now(),
            None => polls.push(SpanPolls { span, polls: Polls::default(), entered: clock::now() }),
        }
    }

    /// Records that a span of `tracing` is exited: the poll ends.
    pub(crate) fn exit_span(&mut self, id: u64) {
        let Some(span) = self.traced_row(id) else { return };
        if let Some(polled) = self.record.span_polls.iter_mut().rev().find(|polled| polled.span == span)
            && polled.entered.is_known()
        {
            polled.polls.add(clock::now().nanos_since(std::mem::take(&mut polled.entered)));
        }
    }

    /// Adds fields to a live span of `tracing`.
    #[expect(clippy::inline_always, reason = "one caller takes nearly all fields; a call of its own costs it 12 instructions")]
    #[inline(always)]
    pub(crate) fn add_fields(&mut self, id: u64, fields: &[u8]) {
        if let Some(index) = self.traced_row(id) {
            self.record.late_fields(Parent::Span(index), fields);
        } else if self.is_span(id) {
            self.record.late_fields(Parent::Root, fields);
        }
    }

    /// Whether this span of `tracing` is the transaction itself.
    pub(crate) fn is_span(&self, id: u64) -> bool {
        self.record.of_span.is_some_and(|(span, _)| span == id)
    }

    /// Returns the row of a live span of `tracing`.
    #[inline]
    pub(crate) fn traced_row(&self, id: u64) -> Option<u32> {
        self.record.live.iter().rev().find(|(live, _)| *live == id).map(|(_, index)| *index)
    }

    #[inline]
    pub(crate) fn end_span(&mut self, index: u32, status: Option<SpanStatus>) {
        let place = self.record.place_of(index);
        if let Some(span) = place.and_then(|place| self.record.spans.get_mut(place)) {
            span.end = clock::now();
            span.status = status.or(span.status);
            if let SpanName::Own(own) = span.name
                && let Some(own) = self.record.own_spans.get_mut(own as usize)
            {
                span.end = own.middleware.end(span.start, span.end);
            }
        }
    }

    /// Records that a middleware calls its inner service. Returns the span around the middleware.
    pub(crate) fn begin_inner(&mut self, index: u32, is_own_time: bool) -> Option<Parent> {
        let parent = self.record.row(index)?.parent;
        self.middleware(index)?.begin_inner(clock::now(), is_own_time);
        Some(parent)
    }

    /// Records that the inner service of a middleware has ended.
    pub(crate) fn end_inner(&mut self, index: u32) {
        if let Some(times) = self.middleware(index) {
            times.end_inner(clock::now());
        }
    }

    /// Whether a span's inner service was called.
    pub(crate) fn reached_inner(&mut self, index: u32) -> bool {
        self.middleware(index).is_some_and(|times| times.inner_start.is_known())
    }

    fn middleware(&mut self, index: u32) -> Option<&mut MiddlewareTimes> {
        let SpanName::Own(own) = self.record.row(index)?.name else { return None };
        self.record.own_spans.get_mut(own as usize).map(|own| &mut own.middleware)
    }

    /// Marks a span as failed, unless it has a status already.
    pub(crate) fn fail_span(&mut self, span: Parent) {
        let Parent::Span(index) = span else { return };
        if let Some(span) = self.record.row_mut(index) {
            span.status.get_or_insert(SpanStatus::InternalError);
        }
    }

    pub(crate) fn span_id(&self, span: Parent) -> SpanId {
        self.record.id_of(span)
    }

    /// Whether spans have ended that must be sent now: the first of them waited long enough, or there is no room
    /// for more.
    pub(crate) fn is_part_due(&self) -> bool {
        let spans = &self.record.spans;
        let share = self.spans_limit.div_ceil(PART_SHARE);
        let ended = || spans.iter().filter(|span| span.end.is_known()).count();
        if spans.len() + share >= self.spans_limit && ended() >= share {
            return true;
        }
        let since = if self.part_at.is_known() { self.part_at } else { self.record.start };
        u128::from(clock::now().nanos_since(since)) >= PART_AFTER.as_nanos()
    }

    /// Takes out the spans that have ended, to be sent. None if there are none.
    pub(crate) fn take_part(&mut self) -> Option<Box<Record>> {
        self.part_at = clock::now();
        self.record.take_ended(&self.awaited)
    }

    pub(crate) fn add_breadcrumb(&mut self, source: BreadcrumbSource, fields: &[u8]) {
        let at = if self.breadcrumbs_limit == 0 { Moment::default() } else { clock::now() };
        let freed = self.record.breadcrumbs.push(source, at, fields, self.breadcrumbs_limit);
        if freed > 0 {
            self.record.set.release(freed);
        }
    }

    /// Ends the transaction at `at`, or now if that is unknown; open spans end with it.
    pub(crate) fn end(&mut self, status: SpanStatus, at: Moment) {
        self.record.end = match (at.is_known(), self.is_recording) {
            (true, _) => at,
            (false, true) => clock::now(),
            // The end of a transaction that is not recorded is never used.
            (false, false) => self.record.start,
        };
        self.record.status = Some(status);
        self.record.live.clear();
        self.record.unrecorded.clear();
        self.is_recording = false;
        self.streams = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> LiveTransaction {
        let mut transaction = LiveTransaction::idle(Box::default());
        transaction.begin("http.server", "auto.http.tower");
        LiveTransaction { is_recording: true, spans_limit: 3, ..transaction }
    }

    #[test]
    fn spans_beyond_the_limit_are_counted() {
        let mut transaction = started();

        let begun = (0..5).filter_map(|_| transaction.start_own_span("function", "manual", "work", Parent::Root)).count();

        assert_eq!((begun, transaction.record.dropped_spans), (3, 2), "those that are open stay");
    }

    #[test]
    fn nothing_is_recorded_after_the_end() {
        let mut transaction = started();

        transaction.end(SpanStatus::Ok, Moment::default());

        assert_eq!(transaction.start_own_span("function", "manual", "late", Parent::Root), None);
        assert!(transaction.record.end >= transaction.record.start);
    }

    #[test]
    fn a_transaction_ends_at_the_end_of_its_work() {
        let mut transaction = started();
        let at = transaction.record.start;

        transaction.end(SpanStatus::Ok, at);

        assert_eq!(transaction.record.end, at, "and not when it is put away");
    }
}
