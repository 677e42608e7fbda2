//! The record: a handful of vectors, and one arena for texts and encoded fields.

use std::borrow::Cow;
#[cfg(profiles)]
use std::sync::Arc;

use tracing::Metadata;

use super::cut::whole_words;
use super::slice::{readable, slice};
use super::{
    Breadcrumbs, CUT_MARK, FIELD_LIMIT, FieldReader, FieldValue, FieldWriter, HeaderLengths, InnerRequest, Key, LateFields, Moment,
    OwnSpanRecord, Parent, RareFacts, RequestFacts, ResponseFacts, RowNumbers, ScopeData, Slice, SpanPolls, SpanRecord, TraceFacts,
};
#[cfg(profiles)]
use crate::profiling::TransactionProfile;
#[cfg(profiles)]
use crate::protocol::EventId;
use crate::protocol::{SpanLink, SpanStatus, TransactionSource};

/// Fields beyond this many bytes per request are dropped and counted: a recording loop must not grow
/// for ever.
pub(super) const ARENA_LIMIT: usize = 1 << 20;
/// Extra room for names, so that a transaction keeps its name even if fields fill the arena.
pub(super) const NAMES_RESERVE: usize = 64 * 1024;

/// Everything recorded about one request or job.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) trace: TraceFacts,
    pub(crate) op: &'static str,
    pub(crate) origin: &'static str,
    /// The transaction's name: the route (the method is prepended later), or as `source` says.
    pub(crate) name: Option<Slice>,
    /// The complete name, if no method is put before it: of a gRPC call, or of the inner request that
    /// this copy of a scope belongs to.
    pub(crate) full_name: Option<Slice>,
    /// The route's template, which shows the names of the path parameters. The name of the transaction may differ.
    pub(crate) route: Option<Slice>,
    pub(crate) source: TransactionSource,
    /// The first span that is not middleware names the transaction; nearly always the handler.
    pub(crate) is_named_by_handler: bool,
    /// The application named it explicitly while it ran.
    pub(super) is_named_by_hand: bool,
    pub(crate) start: Moment,
    pub(crate) end: Moment,
    /// The same moment as `start` on the wall clock, in nanoseconds since the epoch.
    pub(crate) started_at: u64,
    pub(crate) status: Option<SpanStatus>,
    pub(crate) has_request: bool,
    pub(crate) request: RequestFacts,
    pub(crate) response: ResponseFacts,
    /// What the application set on the scope.
    pub(crate) set: ScopeData,
    pub(crate) breadcrumbs: Breadcrumbs,
    /// Why the transaction is sent although it was not sampled.
    pub(crate) kept: Option<&'static str>,
    pub(crate) spans: Vec<SpanRecord>,
    pub(crate) own_spans: Vec<OwnSpanRecord>,
    pub(crate) span_polls: Vec<SpanPolls>,
    /// Rows of `own_spans` whose spans were replaced; they are free for reuse.
    pub(crate) free_own: Vec<u32>,
    /// Where the next search for a replaceable span starts.
    pub(super) next_candidate: usize,
    pub(crate) dropped_spans: u32,
    /// Fields and texts for which the arena had no room.
    pub(crate) dropped_fields: u32,
    /// Texts of the request and names that were cut, and headers that were left out.
    pub(crate) cut_texts: u32,
    /// Nanoseconds that the request waited for the inner service to be ready, before the call.
    pub(crate) queued: u64,
    /// Ids of open `tracing` spans, with their rows.
    pub(crate) live: Vec<(u64, u32)>,
    /// The `tracing` span that is the transaction itself, by its id.
    pub(crate) of_span: Option<(u64, &'static Metadata<'static>)>,
    /// Open spans of `tracing` that are not recorded and began directly inside one of our own, with
    /// the row of ours. The Registry does not know it.
    pub(super) unrecorded: Vec<(u64, u32)>,
    /// Requests that another layer serves inside this one.
    pub(super) inner_requests: Vec<InnerRequest>,
    pub(super) late: Vec<LateFields>,
    /// None until the first part was sent.
    pub(super) streamed: Option<Box<RowNumbers>>,
    pub(crate) rare: Option<Box<RareFacts>>,
    #[cfg(profiles)]
    pub(crate) profile: Option<Arc<TransactionProfile>>,
    /// The profile of the session that runs.
    #[cfg(profiles)]
    pub(crate) profiler_id: Option<EventId>,
    pub(super) header_lengths: Vec<HeaderLengths>,
    pub(super) arena: Vec<u8>,
    /// The arena up to here belongs to the scope; after it come the spans' fields.
    pub(super) scope_end: usize,
}

impl Record {
    /// Clears the record for the next request; vectors keep their memory.
    pub(crate) fn clear(&mut self) {
        self.trace.baggage.clear();
        self.trace.parent = None;
        self.trace.is_baggage_cut = false;
        self.name = None;
        self.full_name = None;
        self.route = None;
        self.source = TransactionSource::Route;
        self.is_named_by_handler = false;
        self.is_named_by_hand = false;
        self.status = None;
        self.has_request = false;
        self.request = RequestFacts::default();
        self.response = ResponseFacts::default();
        self.set.clear();
        self.breadcrumbs.clear();
        self.kept = None;
        self.spans.clear();
        self.own_spans.clear();
        self.span_polls.clear();
        self.free_own.clear();
        self.next_candidate = 0;
        self.dropped_spans = 0;
        self.dropped_fields = 0;
        self.cut_texts = 0;
        self.queued = 0;
        self.live.clear();
        self.of_span = None;
        self.unrecorded.clear();
        self.inner_requests.clear();
        self.late.clear();
        self.streamed = None;
        self.rare = None;
        #[cfg(profiles)]
        {
            self.profile = None;
            self.profiler_id = None;
        }
        self.header_lengths.clear();
        self.arena.clear();
        self.scope_end = 0;
        // After a request with an enormous tree, the memory is freed.
        if self.arena.capacity() > 64 * 1024 {
            self.arena = Vec::new();
            self.spans = Vec::new();
            self.own_spans = Vec::new();
            self.late = Vec::new();
        }
    }

    /// Copies all that belongs to the scope into `target`, which has been cleared.
    ///
    /// Spans and late fields are not copied.
    pub(crate) fn copy_scope_to(&self, target: &mut Self) {
        target.trace.clone_from(&self.trace);
        target.op = self.op;
        target.origin = self.origin;
        target.start = self.start;
        target.end = self.end;
        target.started_at = self.started_at;
        target.status = self.status;
        #[cfg(profiles)]
        {
            target.profiler_id = self.profiler_id;
        }
        target.has_request = self.has_request;
        target.request = self.request.clone();
        target.response = self.response;
        self.set.copy_to(&mut target.set);
        self.breadcrumbs.copy_to(&mut target.breadcrumbs);
        target.arena.extend_from_slice(self.arena.get(..self.scope_end).unwrap_or_default());
        target.scope_end = target.arena.len();
        target.header_lengths.clone_from(&self.header_lengths);
        target.cut_texts = self.cut_texts;
        // A name that was set late lies after the scope's part of the arena.
        self.copy_name_to(target);
    }

    /// Copies the name into a copy of this scope that was made earlier.
    pub(crate) fn copy_name_to(&self, target: &mut Self) {
        target.source = self.source;
        target.name = self.name.map(|name| target.text(self.bytes(name)));
        target.full_name = self.full_name.and(target.name);
        target.route = self.route.map(|route| target.text(self.bytes(route)));
    }

    /// Returns the approximate size of the record in bytes.
    pub(crate) fn size(&self) -> usize {
        #[cfg(profiles)]
        let of_profile = self.profile.as_ref().map_or(0, |profile| profile.size());
        #[cfg(not(profiles))]
        let of_profile = 0;
        size_of::<Self>()
            + of_profile
            + self.arena.len()
            + self.spans.len() * size_of::<SpanRecord>()
            + self.own_spans.len() * size_of::<OwnSpanRecord>()
            + self.breadcrumbs.size()
            + self.set.size()
            + self.rare.as_ref().map_or(0, |rare| rare.size())
    }

    /// The memory that an empty record keeps, in bytes: that of its large buffers.
    #[inline]
    pub(crate) fn retained(&self) -> usize {
        size_of::<Self>()
            + self.arena.capacity()
            + self.spans.capacity() * size_of::<SpanRecord>()
            + self.own_spans.capacity() * size_of::<OwnSpanRecord>()
    }

    /// Stores a text in the arena, cut at [`FIELD_LIMIT`].
    ///
    /// Returns an empty slice if the arena is full.
    #[inline]
    pub(crate) fn text(&mut self, bytes: &[u8]) -> Slice {
        let limit = ARENA_LIMIT + NAMES_RESERVE;
        let text = if bytes.len() > FIELD_LIMIT { self.cut_text(bytes, limit) } else { self.append(bytes, limit) };
        if text.len == 0 {
            self.dropped_fields += u32::from(!bytes.is_empty());
        }
        text
    }

    #[cold]
    fn cut_text(&mut self, bytes: &[u8], limit: usize) -> Slice {
        self.cut_texts += 1;
        let kept = whole_words(bytes.get(..FIELD_LIMIT - CUT_MARK.len()).unwrap_or_default());
        self.append(&[kept, CUT_MARK.as_bytes()].concat(), limit)
    }

    /// Notes that members of the baggage were not read, or not passed on. They count once.
    #[cold]
    pub(crate) fn note_cut_baggage(&mut self) {
        self.cut_texts += u32::from(!self.trace.is_baggage_cut);
        self.trace.is_baggage_cut = true;
    }

    /// Marks everything in the arena so far as part of the scope.
    pub(crate) fn seal_scope(&mut self) {
        self.scope_end = self.arena.len();
    }

    /// Stores encoded fields in the arena, or drops and counts them if it is full.
    #[inline]
    pub(crate) fn fields(&mut self, encoded: &[u8]) -> Slice {
        let fields = self.append(encoded, ARENA_LIMIT);
        if fields.len == 0 && !encoded.is_empty() {
            self.count_dropped(encoded);
        }
        fields
    }

    #[cold]
    fn count_dropped(&mut self, encoded: &[u8]) {
        let count = u32::try_from(FieldReader::new(encoded).count()).unwrap_or(u32::MAX);
        self.dropped_fields = self.dropped_fields.saturating_add(count);
    }

    #[inline]
    pub(super) fn append(&mut self, bytes: &[u8], limit: usize) -> Slice {
        if self.arena.len() + bytes.len() > limit {
            return Slice::default();
        }
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        slice(start, bytes.len())
    }

    /// Adds fields to a span that began earlier, or to the root.
    pub(crate) fn late_fields(&mut self, span: Parent, encoded: &[u8]) {
        if encoded.is_empty() {
            return;
        }
        let fields = self.fields(encoded);
        self.add_late(span, fields);
    }

    /// The same, for fields that `write` writes directly into the arena. Returns how many texts were cut.
    pub(crate) fn write_late(&mut self, span: Parent, write: impl FnOnce(&mut FieldWriter<'_>)) -> u64 {
        let start = self.arena.len();
        let mut writer = FieldWriter::new(&mut self.arena);
        write(&mut writer);
        let truncated = writer.truncated();
        if self.arena.len() > ARENA_LIMIT {
            let without_room = self.arena.split_off(start);
            self.count_dropped(&without_room);
            return 0;
        }
        self.add_late(span, slice(start, self.arena.len() - start));
        truncated
    }

    /// Changes what few transactions have. `change` returns `false` if there was no room for all of it.
    pub(crate) fn change_rare(&mut self, change: impl FnOnce(&mut RareFacts) -> bool) {
        let has_room = change(self.rare.get_or_insert_default());
        self.dropped_fields = self.dropped_fields.saturating_add(u32::from(!has_room));
    }

    /// Returns the links of a span or the root.
    pub(crate) fn links(&self, of: Parent) -> impl Iterator<Item = &SpanLink> {
        self.rare.as_deref().into_iter().flat_map(move |rare| rare.links(of))
    }

    fn add_late(&mut self, span: Parent, fields: Slice) {
        if fields.len == 0 {
            return;
        }
        self.late.push(LateFields { span, fields });
        if let Parent::Span(index) = span
            && let Some(row) = self.row_mut(index)
        {
            row.has_late_fields = true;
        }
    }

    /// Returns the bytes of a slice.
    pub(crate) fn bytes(&self, slice: Slice) -> &[u8] {
        let start = slice.start as usize;
        self.arena.get(start..start + slice.len as usize).unwrap_or_default()
    }

    /// Returns the text of a slice; invalid UTF-8 is replaced with U+FFFD.
    pub(crate) fn str(&self, slice: Slice) -> Cow<'_, str> {
        readable(self.bytes(slice))
    }

    /// Returns all fields of the span at a place, in the order they were recorded.
    pub(crate) fn span_fields(&self, index: usize) -> impl Iterator<Item = (Key<'_>, FieldValue<'_>)> {
        let (first, has_late) = self.spans.get(index).map(|span| (span.fields, span.has_late_fields)).unwrap_or_default();
        let place = Parent::Span(self.number_of(index));
        FieldReader::new(self.bytes(first)).chain(has_late.then(|| self.late_of(place)).into_iter().flatten())
    }

    /// Returns the fields recorded on the root.
    pub(crate) fn root_fields(&self) -> impl Iterator<Item = (Key<'_>, FieldValue<'_>)> {
        self.late_of(Parent::Root)
    }

    fn late_of(&self, span: Parent) -> impl Iterator<Item = (Key<'_>, FieldValue<'_>)> {
        self.late.iter().filter(move |late| late.span == span).flat_map(|late| FieldReader::new(self.bytes(late.fields)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FieldWriter, SpanName};
    use super::*;
    use crate::protocol::SpanId;

    #[test]
    fn fields_stop_at_the_limit_of_the_arena() {
        let mut record = Record::default();
        let mut fields = Vec::new();
        let mut writer = FieldWriter::new(&mut fields);
        for index in 0..13 {
            writer.text(Key::Index(index), &"x".repeat(8000));
        }

        for _ in 0..50 {
            record.late_fields(Parent::Root, &fields);
        }

        assert!(record.size() < 2 * ARENA_LIMIT);
        assert_eq!(record.dropped_fields as usize, 13 * 50 - record.root_fields().count());
        assert!(record.dropped_fields > 0);
    }

    #[test]
    fn a_copy_of_the_scope_has_the_late_name_but_no_spans() {
        let mut record = Record::default();
        record.seal_scope();
        record.fields(b"span fields");
        let name = record.text(b"/users/{id}");
        record.name = Some(name);

        let mut copy = Record::default();
        record.copy_scope_to(&mut copy);

        assert_eq!(copy.name.map(|name| copy.str(name).into_owned()).as_deref(), Some("/users/{id}"));
        assert_eq!(copy.arena.len(), "/users/{id}".len());
    }

    #[test]
    fn a_large_record_frees_its_memory() {
        let span = SpanRecord {
            id: SpanId::new(),
            parent: Parent::Root,
            name: SpanName::Own(0),
            start: Moment::default(),
            end: Moment::default(),
            fields: Slice::default(),
            status: None,
            is_held: false,
            is_left_out: false,
            has_late_fields: false,
            is_query_late: false,
        };
        let mut record = Record::default();
        for _ in 0..10_000 {
            record.spans.push(span);
            record.late_fields(Parent::Root, &[0; 100]);
        }

        record.clear();
        let of_large = record.arena.capacity() + record.spans.capacity() + record.late.capacity();
        record.fields(&[0; 1000]);
        record.clear();

        assert_eq!(of_large, 0);
        assert!(record.arena.capacity() >= 1000, "what is small serves again");
    }

    #[test]
    fn names_have_room_behind_fields_that_fill_the_arena() {
        let mut record = Record::default();
        while record.fields(&[0]).len > 0 {}

        record.name_by_user("checkout");

        assert_eq!(record.name.map(|name| record.str(name).into_owned()).as_deref(), Some("checkout"));
    }
}
