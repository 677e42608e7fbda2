//! The trace, span and user of a log or a metric.

use tracing::Metadata;

use super::nested;
use super::state::{LiveScope, ScopeState};
use crate::fork::Lazy;
use crate::protocol::{SpanId, TraceId};
use crate::record::{LogLine, LogRecord, MetricRecord, Parent, Sample, ScopeData, clock};

/// The trace, the span and the user of a log or a metric.
pub(crate) struct TracePlace {
    trace_id: TraceId,
    span: Option<SpanId>,
    user: Option<String>,
    /// Logs and metrics of this place are not sent.
    pub(crate) is_sensitive: bool,
}

impl LiveScope {
    /// The place of a log or a metric inside `span`.
    pub(crate) fn trace_place(&self, state: &mut ScopeState, span: Parent) -> TracePlace {
        let of = |set: &ScopeData| set.user.as_ref().and_then(|user| user.id.clone());
        let user = nested::of(self).map_or_else(|| of(&state.transaction.record.set), |nested| of(&nested.lock()));
        // A log or metric contains the span's id, so the span's slot must not be reused at the span limit.
        state.transaction.record.hold(span);
        let span = Some(state.transaction.span_id(span));
        let record = &state.transaction.record;
        TracePlace { trace_id: record.trace.trace_id, span, user, is_sensitive: record.request.is_sensitive }
    }
}

impl TracePlace {
    /// The place of a log or a metric outside any request.
    ///
    /// Servers reject a log or a metric without a trace, so all of these share one trace per process.
    pub(crate) fn outside() -> Self {
        static PROCESS: Lazy<TraceId> = Lazy::new(TraceId::new);
        Self { trace_id: *PROCESS, span: None, user: None, is_sensitive: false }
    }

    /// A log that was written at this place.
    pub(crate) fn line(&self, metadata: &'static Metadata<'static>, fields: Vec<u8>) -> LogLine {
        let log = LogRecord { metadata, fields };
        LogLine { at: clock::wall(), log, trace_id: self.trace_id, span: self.span, user: self.user.clone(), suppressed: None }
    }

    /// A metric that was captured at this place, `at` nanoseconds after the epoch.
    pub(super) fn metric(&self, sample: Sample, at: u64) -> MetricRecord {
        MetricRecord { at, sample, trace_id: self.trace_id, span: self.span, user: self.user.clone(), suppressed: None }
    }
}
