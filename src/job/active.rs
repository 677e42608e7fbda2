//! Work while it runs: its scope is current in each poll, and its transaction ends exactly once.

use std::fmt;
use std::panic::Location;

use super::info::JobInfo;
use crate::client::Client;
use crate::event::{CallStack, CapturedEvent, Outcome};
use crate::protocol::SpanStatus;
use crate::record::{FieldWriter, Key, Moment, Parent, ResponseFacts};
use crate::sampling::SampledWork;
use crate::scope::{Active, Ending, Extent, LiveScope, Scope, continue_or_begin, read_error};

/// The transaction of a piece of work.
pub(super) struct ActiveJob {
    active: Active,
    reports: bool,
    mechanism: &'static str,
    /// Where the code starts the work, if that is known. An error that it returns has no other
    /// place.
    started_at: Option<&'static Location<'static>>,
}

impl ActiveJob {
    pub(super) fn begin(client: &Client, info: JobInfo, mechanism: &'static str, started_at: Option<&'static Location<'static>>) -> Self {
        let Some(settings) = client.settings() else {
            return Self { active: Active::default(), reports: false, mechanism, started_at };
        };
        let reports = info.reports();
        let JobInfo { incoming, .. } = info;
        let incoming = incoming.or_else(|| Scope::entered()?.as_incoming());
        let scope = LiveScope::open(client, settings, false, |transaction| {
            transaction.begin(info.op, mechanism);
            let work = SampledWork::Job { name: &info.name, op: info.op };
            let rate = client.in_force().map_or(0.0, |in_force| in_force.rate());
            let decision = continue_or_begin(client, incoming, info.sample_rate, rate, work, &mut transaction.record);
            transaction.record.name_by_task(&info.name);
            transaction.record.seal_scope();
            let mut fields = Vec::new();
            let mut writer = FieldWriter::new(&mut fields);
            for (name, value) in &info.attributes {
                writer.attribute(Key::Name(name), value);
            }
            if let Some((attempt, _)) = info.attempt {
                writer.u64(Key::Name("messaging.message.retry.count"), attempt.saturating_sub(1).into());
                transaction.record.set.set_tag("job.attempt".into(), attempt.to_string());
            }
            transaction.record.late_fields(Parent::Root, &fields);
            (decision, Extent::of(decision, settings))
        });
        Self { active: Active::root(scope), reports, mechanism, started_at }
    }

    /// Runs a part of the work with its scope current.
    pub(super) fn enter<R>(&mut self, work: impl FnOnce() -> R) -> R {
        self.active.enter(work)
    }

    /// Drops the work with its scope current.
    pub(super) fn leave(&mut self, end: impl FnOnce()) {
        self.active.leave(end);
    }

    /// The work has ended with a result that says whether it failed.
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

    /// The work has ended, and it cannot fail.
    pub(super) fn succeed(&mut self) {
        self.finish(SpanStatus::Ok, false);
    }

    fn finish(&mut self, status: SpanStatus, has_failed: bool) {
        self.active.finish(Ending { status, response: ResponseFacts::default(), at: Moment::default(), has_failed, is_session: false });
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
