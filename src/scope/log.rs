//! Where a log belongs.

use std::sync::OnceLock;

use tracing::Metadata;

use super::state::State;
use crate::protocol::{SpanId, TraceId};
use crate::record::{LogLine, LogRecord, Parent};
use crate::trace::clock;

/// The trace, the span and the user of a log.
pub(crate) struct LogPlace {
    trace_id: TraceId,
    span: Option<SpanId>,
    user: Option<String>,
}

impl State {
    /// Where a log belongs that comes out of `span`.
    pub(crate) fn log_place(&self, span: Parent) -> LogPlace {
        let record = &self.transaction.record;
        let user = record.set.user.as_ref().and_then(|user| user.id.clone());
        LogPlace { trace_id: record.trace.trace_id, span: Some(self.transaction.span_id(span)), user }
    }
}

impl LogPlace {
    /// Of no request: a server takes no log without a trace, so all of them share one of the process.
    pub(crate) fn outside() -> Self {
        static PROCESS: OnceLock<TraceId> = OnceLock::new();
        Self { trace_id: *PROCESS.get_or_init(TraceId::new), span: None, user: None }
    }

    /// A log that comes from here.
    pub(crate) fn line(&self, metadata: &'static Metadata<'static>, fields: Vec<u8>) -> LogLine {
        let log = LogRecord { metadata, fields };
        LogLine { at: clock::wall(), log, trace_id: self.trace_id, span: self.span, user: self.user.clone() }
    }
}
