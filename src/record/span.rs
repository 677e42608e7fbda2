//! Spans as rows of fixed size.

use tracing::Metadata;

use super::{Moment, Polls, Slice};
use crate::protocol::{EventId, SpanId, SpanStatus, TransactionSource};

/// The parent of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Parent {
    #[default]
    Root,
    Span(u32),
}

/// The name of a span.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SpanName {
    /// The span has a `tracing` callsite.
    Callsite(&'static Metadata<'static>),
    /// The span is our own: an index into `own_spans`.
    Own(u32),
}

impl SpanName {
    /// Returns the callsite, if there is one.
    #[inline]
    pub(crate) fn metadata(self) -> Option<&'static Metadata<'static>> {
        match self {
            Self::Callsite(metadata) => Some(metadata),
            Self::Own(_) => None,
        }
    }
}

/// The details of our own spans (not `tracing`'s).
///
/// They are kept apart from the rows to keep those small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnSpanRecord {
    pub(crate) op: &'static str,
    pub(crate) origin: &'static str,
    pub(crate) description: Slice,
    /// Of a middleware's span.
    pub(crate) middleware: MiddlewareTimes,
}

/// What a middleware did around its inner service, which it may call several times.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MiddlewareTimes {
    /// When the inner service was first called. Unknown if it was not.
    pub(crate) inner_start: Moment,
    /// When it last ended.
    inner_end: Moment,
    /// Nanoseconds of the middleware's own, between the calls and after the last one.
    after: u64,
    /// The span is only as long as the middleware's own time.
    is_own_time: bool,
}

impl MiddlewareTimes {
    /// The inner service is called.
    pub(super) fn begin_inner(&mut self, now: Moment, is_own_time: bool) {
        if self.inner_start.is_known() {
            self.after += now.nanos_since(std::mem::take(&mut self.inner_end));
        } else {
            (self.inner_start, self.is_own_time) = (now, is_own_time);
        }
    }

    /// The inner service has ended, or is dropped.
    pub(super) fn end_inner(&mut self, now: Moment) {
        self.inner_end = now;
    }

    /// The span ends at `end`. Returns the end to record.
    #[inline]
    pub(super) fn end(&mut self, start: Moment, end: Moment) -> Moment {
        if !self.inner_end.is_known() {
            return end;
        }
        self.after += end.nanos_since(self.inner_end);
        if !self.is_own_time {
            return end;
        }
        start.after(self.inner_start.nanos_since(start) + self.after)
    }

    /// Nanoseconds before the first call of the inner service and after it, in a span that has ended.
    ///
    /// None if the inner service was not seen to start and to end.
    pub(crate) fn around(&self, start: Moment) -> Option<(u64, u64)> {
        self.inner_end.is_known().then(|| (self.inner_start.nanos_since(start), self.after))
    }
}

/// The origin of the spans of inner requests.
pub(crate) const INNER_REQUEST: &str = "auto.http.tower";

/// A request inside another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct InnerRequest {
    /// The row of its span, whose description is its name.
    pub(super) span: u32,
    pub(super) source: TransactionSource,
    /// Whether its route is not known yet.
    pub(super) is_unmatched: bool,
    /// Known once it has a response head.
    pub(super) status: Option<u16>,
    pub(super) grpc_status: Option<u8>,
    /// The first error that was captured inside it.
    pub(super) first_error: Option<EventId>,
}

/// One span.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is read alone, and a row stays small")]
pub(crate) struct SpanRecord {
    pub(crate) id: SpanId,
    pub(crate) parent: Parent,
    pub(crate) name: SpanName,
    pub(crate) start: Moment,
    /// Unknown while the span is open.
    pub(crate) end: Moment,
    pub(crate) fields: Slice,
    /// Set by events inside the span; used if no field gives a status.
    pub(crate) status: Option<SpanStatus>,
    /// Something refers to this span, or may.
    pub(crate) is_held: bool,
    /// The span is too short to be sent.
    pub(crate) is_left_out: bool,
    /// Some of its fields were recorded late.
    pub(crate) has_late_fields: bool,
    /// A field that was set on its handle may make it a query.
    pub(crate) is_query_late: bool,
}

impl SpanRecord {
    /// Whether it is finished, successful and childless, so that it may be left out.
    pub(super) fn is_expendable(&self) -> bool {
        self.end.is_known() && !self.is_held && self.status.is_none_or(|status| status == SpanStatus::Ok)
    }
}

/// Fields that were recorded after the span began.
#[derive(Clone, Copy, Debug)]
pub(super) struct LateFields {
    pub(super) span: Parent,
    pub(super) fields: Slice,
}

/// Poll statistics of a `tracing` span; recorded only with `poll_times`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanPolls {
    pub(crate) span: u32,
    pub(crate) polls: Polls,
    /// When the span was last entered.
    pub(crate) entered: Moment,
}
