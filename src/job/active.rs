//! Work while it runs: its scope is current in each poll, and its transaction ends exactly once.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use tracing::Span;

use super::info::JobInfo;
use crate::client::Client;
use crate::event::{CallStack, CapturedEvent, Outcome};
use crate::protocol::SpanStatus;
use crate::record::{FieldWriter, Key, Moment, Parent, ResponseFacts};
use crate::scope::{Active, Ending, LiveScope, Scope, Work, begin_work, current, read_error};

/// The transaction of a piece of work.
pub(super) struct ActiveJob {
    active: Active,
    /// The span that adds the trace id to the log lines of other subscribers.
    log_span: Option<Span>,
    is_session: bool,
    reports: bool,
    mechanism: &'static str,
    /// The call that starts the work, if that is known. It is the only known place of an error that the
    /// work returns.
    started_at: Option<&'static Location<'static>>,
}

impl ActiveJob {
    pub(super) fn begin(client: &Client, info: JobInfo, mechanism: &'static str, started_at: Option<&'static Location<'static>>) -> Self {
        let reports = info.reports();
        let JobInfo { name, op, incoming, sample_rate, attempt, attributes, is_session, has_log_span, .. } = info;
        let incoming = incoming.or_else(|| Scope::entered()?.as_incoming());
        let work = Work { name: &name, op, own_op: None, origin: mechanism, incoming, sample_rate };
        let scope = begin_work(client, work, |record| {
            let mut fields = Vec::new();
            let mut writer = FieldWriter::new(&mut fields);
            for (name, value) in &attributes {
                writer.attribute(Key::Name(name), value);
            }
            if let Some((attempt, _)) = attempt {
                writer.u64(Key::Name("messaging.message.retry.count"), attempt.saturating_sub(1).into());
                record.set.set_tag("job.attempt".into(), attempt.to_string());
            }
            record.late_fields(Parent::Root, &fields);
        });
        // Inside the scope: a task that carries the span belongs to the job.
        let span = |scope: &Arc<LiveScope>| {
            let trace_id = scope.trace_id();
            current::enter(scope, None, || tracing::info_span!(target: "tower_sentry", "job", %trace_id))
        };
        let log_span = scope.as_ref().filter(|_| has_log_span).map(span);
        Self { active: scope.map_or_else(Active::default, Active::root), log_span, is_session, reports, mechanism, started_at }
    }

    /// Runs a part of the work with its scope current.
    pub(super) fn enter<R>(&mut self, work: impl FnOnce() -> R) -> R {
        match &self.log_span {
            Some(span) if !self.active.is_over() => self.active.enter(|| span.in_scope(work)),
            _ => self.active.enter(work),
        }
    }

    /// Drops the work with its scope current.
    pub(super) fn leave(&mut self, end: impl FnOnce()) {
        match &self.log_span {
            Some(span) => self.active.leave(|| span.in_scope(end)),
            None => self.active.leave(end),
        }
    }

    /// Ends the work with a result that says whether it failed.
    pub(super) fn end<Kind>(&mut self, outcome: &impl Outcome<Kind>) {
        if let Some(scope) = self.active.scope()
            && let Some(error) = outcome.error()
        {
            let stack = self.started_at.map(CallStack::at).unwrap_or_default();
            let chain = read_error(&scope.client, &error, &scope.debug_output());
            let returned = CapturedEvent::returned(chain, self.mechanism, stack);
            if self.reports {
                scope.capture(returned, Parent::Root);
            } else {
                scope.withdraw(returned);
            }
        }
        let has_failed = outcome.error().is_some();
        self.finish(if has_failed { SpanStatus::InternalError } else { SpanStatus::Ok }, has_failed);
    }

    /// Ends work that cannot fail.
    pub(super) fn succeed(&mut self) {
        self.finish(SpanStatus::Ok, false);
    }

    fn finish(&mut self, status: SpanStatus, has_failed: bool) {
        // Dropped before the transaction ends, because the span holds the scope too.
        self.log_span = None;
        let is_session = self.is_session;
        self.active.finish(Ending { status, response: ResponseFacts::default(), at: Moment::default(), has_failed, is_session });
    }
}

impl Drop for ActiveJob {
    fn drop(&mut self) {
        if self.active.has_unwound() {
            if let Some(scope) = self.active.scope() {
                scope.mark_crashed();
            }
            return self.finish(SpanStatus::InternalError, true);
        }
        self.finish(SpanStatus::Cancelled, false);
    }
}

impl fmt::Debug for ActiveJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveJob").field("has_ended", &self.active.is_over()).finish_non_exhaustive()
    }
}
