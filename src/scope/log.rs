//! The trace, span and user of a log.

use tracing::Metadata;

use super::nested;
use super::state::{LiveScope, ScopeState};
use crate::fork::Lazy;
use crate::protocol::{SpanId, TraceId};
use crate::record::{LogLine, LogRecord, Parent, ScopeData, clock};

/// The trace, the span and the user of a log.
pub(crate) struct LogPlace {
    trace_id: TraceId,
    span: Option<SpanId>,
    user: Option<String>,
    /// Its text stays in the process.
    pub(crate) is_sensitive: bool,
}

impl LiveScope {
    /// The place of a log that was written inside `span`.
    pub(crate) fn log_place(&self, state: &mut ScopeState, span: Parent) -> LogPlace {
        let of = |set: &ScopeData| set.user.as_ref().and_then(|user| user.id.clone());
        let user = nested::of(self).map_or_else(|| of(&state.transaction.record.set), |nested| of(&nested.lock()));
        // The log contains the span's id, so the span's slot must not be reused at the span limit.
        state.transaction.record.hold(span);
        let span = Some(state.transaction.span_id(span));
        let record = &state.transaction.record;
        LogPlace { trace_id: record.trace.trace_id, span, user, is_sensitive: record.request.is_sensitive }
    }
}

impl LogPlace {
    /// The place of a log outside any request.
    ///
    /// Servers reject a log without a trace, so all of these share one trace per process.
    pub(crate) fn outside() -> Self {
        static PROCESS: Lazy<TraceId> = Lazy::new(TraceId::new);
        Self { trace_id: *PROCESS, span: None, user: None, is_sensitive: false }
    }

    /// A log that was written at this place.
    pub(crate) fn line(&self, metadata: &'static Metadata<'static>, fields: Vec<u8>) -> LogLine {
        let log = LogRecord { metadata, fields };
        LogLine { at: clock::wall(), log, trace_id: self.trace_id, span: self.span, user: self.user.clone(), suppressed: None }
    }
}
