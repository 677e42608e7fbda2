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
    /// When a middleware's inner service started and ended.
    pub(crate) inner: (Moment, Moment),
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
