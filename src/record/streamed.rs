//! Parts of a long request or job, which are sent while it runs.

use super::flat::{ARENA_LIMIT, NAMES_RESERVE};
use super::{LateFields, OwnSpanRecord, Parent, Record, RowNumbers, Slice, SpanName, SpanRecord};
use crate::protocol::SpanId;

impl Record {
    /// Whether a part was taken out, or this is one.
    pub(crate) fn is_streamed(&self) -> bool {
        self.streamed.is_some()
    }

    /// Whether the request or job has ended. A part that was taken out before has not.
    pub(crate) fn has_ended(&self) -> bool {
        self.status.is_some()
    }

    /// The number of the row that is added now.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "there are at most a thousand rows")]
    pub(super) fn begin_row(&mut self) -> u32 {
        match &mut self.streamed {
            None => self.spans.len() as u32,
            Some(streamed) => streamed.begin_row(),
        }
    }

    /// The place of a row. None if it has left.
    #[inline]
    pub(crate) fn place_of(&self, number: u32) -> Option<usize> {
        match &self.streamed {
            None => Some(number as usize),
            Some(streamed) => streamed.place(number),
        }
    }

    /// The number of the row at a place.
    #[inline]
    pub(crate) fn number_of(&self, place: usize) -> u32 {
        match &self.streamed {
            None => u32::try_from(place).unwrap_or(u32::MAX),
            Some(streamed) => streamed.numbers.get(place).copied().unwrap_or(u32::MAX),
        }
    }

    /// A row by its number.
    #[inline]
    pub(crate) fn row(&self, number: u32) -> Option<&SpanRecord> {
        self.spans.get(self.place_of(number)?)
    }

    #[inline]
    pub(crate) fn row_mut(&mut self, number: u32) -> Option<&mut SpanRecord> {
        let place = self.place_of(number)?;
        self.spans.get_mut(place)
    }

    /// The id of a span, also if it has left.
    pub(crate) fn id_of(&self, span: Parent) -> SpanId {
        let Parent::Span(number) = span else { return self.trace.root };
        let sent = || self.streamed.as_ref().and_then(|streamed| streamed.sent_id(number));
        self.row(number).map(|row| row.id).or_else(sent).unwrap_or(self.trace.root)
    }

    /// Moves the spans that have ended into a record of their own, with a copy of the scope. None if there are none.
    ///
    /// What belongs to the root stays: it is sent at the end. The rows in `awaited` stay as well.
    #[cold]
    pub(super) fn take_ended(&mut self, awaited: &[u32]) -> Option<Box<Self>> {
        let leaves = |number: u32, row: &SpanRecord| row.end.is_known() && !awaited.contains(&number);
        if !self.spans.iter().enumerate().any(|(place, row)| leaves(self.number_of(place), row)) {
            return None;
        }
        let rows = u32::try_from(self.spans.len()).unwrap_or(u32::MAX);
        let mut streamed = self
            .streamed
            .take()
            .unwrap_or_else(|| Box::new(RowNumbers { numbers: (0..rows).collect(), next: rows, ..RowNumbers::default() }));
        let mut part = Box::<Self>::default();
        // No span has breadcrumbs or files.
        let breadcrumbs = std::mem::take(&mut self.breadcrumbs);
        self.copy_scope_to(&mut part);
        part.set.clear_attachments();
        self.breadcrumbs = breadcrumbs;

        let numbers = std::mem::take(&mut streamed.numbers);
        let rows: Vec<(u32, SpanRecord)> = numbers.into_iter().zip(std::mem::take(&mut self.spans)).collect();
        let (ended, open): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(number, row)| leaves(*number, row));
        let has_left = |number: u32| ended.binary_search_by_key(&number, |(number, _)| *number).is_ok();
        let mut of_part = RowNumbers { next: streamed.next, ..RowNumbers::default() };
        for parent in ended.iter().filter_map(|(_, row)| match row.parent {
            Parent::Span(number) if !has_left(number) => Some(number),
            _ => None,
        }) {
            let of_open = || open.binary_search_by_key(&parent, |(number, _)| *number).ok().and_then(|place| open.get(place));
            let id = of_open().map(|(_, row)| row.id).or_else(|| streamed.sent_id(parent));
            if let Some(id) = id {
                of_part.sent.insert(parent, id);
            }
        }
        for (number, row) in ended.iter().filter(|(_, row)| row.is_held) {
            streamed.note_sent(*number, row.id);
        }
        let texts = self.take_texts();
        if let Some(rare) = &mut self.rare {
            part.rare = rare.take_links(|span| matches!(span, Parent::Span(number) if has_left(number)));
        }
        for polled in std::mem::take(&mut self.span_polls) {
            if has_left(polled.span) { part.span_polls.push(polled) } else { self.span_polls.push(polled) }
        }
        for LateFields { span, fields } in std::mem::take(&mut self.late) {
            let target = match span {
                Parent::Span(number) if has_left(number) => &mut *part,
                _ => &mut *self,
            };
            let fields = target.move_in(&texts, fields);
            target.late.push(LateFields { span, fields });
        }
        self.inner_requests.retain(|inner| !has_left(inner.span));
        let own_spans = std::mem::take(&mut self.own_spans);
        self.free_own.clear();
        self.next_candidate = 0;
        for (number, row) in ended {
            of_part.numbers.push(number);
            part.move_row(row, &own_spans, &texts);
        }
        for (number, row) in open {
            streamed.numbers.push(number);
            self.move_row(row, &own_spans, &texts);
        }
        part.streamed = Some(Box::new(of_part));
        self.streamed = Some(streamed);
        Some(part)
    }

    /// Empties the arena except for the scope's part, and returns what it was. Names stay.
    fn take_texts(&mut self) -> Vec<u8> {
        let scope = self.arena.get(..self.scope_end).unwrap_or_default().to_vec();
        let texts = std::mem::replace(&mut self.arena, scope);
        let [name, full_name, route] = [self.name, self.full_name, self.route].map(|name| {
            let name = name?;
            let range = name.start as usize..(name.start + name.len) as usize;
            Some(if range.end <= self.scope_end { name } else { self.add_bytes(texts.get(range).unwrap_or_default()) })
        });
        (self.name, self.full_name, self.route) = (name, full_name, route);
        texts
    }

    /// Adds bytes that were in an arena before.
    fn add_bytes(&mut self, bytes: &[u8]) -> Slice {
        self.append(bytes, ARENA_LIMIT + NAMES_RESERVE)
    }

    /// Adds a row of another record with what belongs to it.
    fn move_row(&mut self, mut row: SpanRecord, own_spans: &[OwnSpanRecord], texts: &[u8]) {
        row.fields = self.move_in(texts, row.fields);
        if let SpanName::Own(own) = row.name
            && let Some(own) = own_spans.get(own as usize)
        {
            row.name = SpanName::Own(u32::try_from(self.own_spans.len()).unwrap_or(u32::MAX));
            let description = self.move_in(texts, own.description);
            self.own_spans.push(OwnSpanRecord { description, ..*own });
        }
        self.spans.push(row);
    }

    /// Copies a text of another arena. Both have the same limit, so there is room.
    fn move_in(&mut self, texts: &[u8], slice: Slice) -> Slice {
        let start = slice.start as usize;
        self.add_bytes(texts.get(start..start + slice.len as usize).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::super::LiveTransaction;
    use super::*;

    fn started(spans_limit: usize) -> LiveTransaction {
        let mut transaction = LiveTransaction::idle(Box::default());
        transaction.begin("task", "manual");
        transaction.record.name_by_task("nightly");
        transaction.record.seal_scope();
        LiveTransaction { is_recording: true, streams: true, spans_limit, ..transaction }
    }

    #[cfg(feature = "test")]
    fn names(record: &Record) -> Vec<String> {
        let own = |row: &SpanRecord| match row.name {
            SpanName::Own(own) => record.str(record.own_spans[own as usize].description).into_owned(),
            SpanName::Callsite(metadata) => metadata.name().to_owned(),
        };
        record.spans.iter().map(own).collect()
    }

    #[cfg(feature = "test")]
    #[test]
    fn rows_keep_their_numbers_and_their_parents_while_others_leave() {
        use std::time::Duration;

        use super::super::clock;
        use crate::protocol::SpanStatus;

        clock::take_in_hand(true);
        let mut transaction = started(1000);
        let begin = |transaction: &mut LiveTransaction, name: &str, parent| transaction.start_own_span("function", "manual", name, parent);
        let outer = begin(&mut transaction, "outer", Parent::Root).unwrap();
        let first = begin(&mut transaction, "first", Parent::Span(outer)).unwrap();
        let inside = begin(&mut transaction, "inside", Parent::Span(first)).unwrap();
        transaction.end_span(inside, None);
        transaction.end_span(first, Some(SpanStatus::Ok));
        assert!(!transaction.is_part_due(), "it is not yet long");
        clock::advance(Duration::from_secs(5));
        assert!(transaction.is_part_due());
        let first_id = transaction.span_id(Parent::Span(first));

        let part = transaction.take_part().unwrap();
        let second = begin(&mut transaction, "second", Parent::Span(outer)).unwrap();
        let late = begin(&mut transaction, "late", Parent::Span(first)).unwrap();
        transaction.end_span(second, None);
        transaction.end_span(late, None);
        let rest = transaction.take_part().unwrap();
        transaction.end_span(outer, None);

        assert_eq!(
            (names(&part), names(&rest), names(&transaction.record)),
            (vec!["first".to_owned(), "inside".to_owned()], vec!["second".to_owned(), "late".to_owned()], vec!["outer".to_owned()])
        );
        let outer_id = transaction.record.spans[0].id;
        let parents = |record: &Record| record.spans.iter().map(|row| record.id_of(row.parent)).collect::<Vec<_>>();
        assert_eq!(parents(&part), [outer_id, first_id]);
        assert_eq!(parents(&rest), [outer_id, first_id], "the parent has left, and is still known");
        assert_eq!(part.str(part.name.unwrap()), "nightly");
        assert!(transaction.record.spans[0].end.is_known(), "an open span is found by its number");
        clock::take_in_hand(false);
    }

    #[test]
    fn a_record_that_streams_for_ever_does_not_grow() {
        let mut transaction = started(1000);
        let mut left = 0;
        let mut sizes = Vec::new();
        for round in 0..50_000_u32 {
            let parent = transaction.start_own_span("function", "manual", "a step with a name", Parent::Root).unwrap();
            let inner = transaction.start_own_span("db.query", "manual", "SELECT 1", Parent::Span(parent)).unwrap();
            transaction.end_span(inner, None);
            transaction.end_span(parent, None);
            if transaction.is_part_due() {
                left += transaction.take_part().unwrap().spans.len();
                sizes.push(transaction.record.retained() + transaction.record.size());
            }
            assert!(transaction.record.spans.len() <= 1000, "round {round}");
        }

        assert_eq!((left + transaction.record.spans.len(), transaction.record.dropped_spans), (100_000, 0));
        assert!(sizes.len() >= 100 && sizes.iter().all(|size| *size < 64 * 1024), "{:?}", sizes.iter().max());
    }
}
