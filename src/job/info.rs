//! The description of a job before it runs.

use std::borrow::Cow;
use std::time::Duration;

use crate::diagnostics;
use crate::propagation::{self, Carrier, Incoming};
use crate::protocol::AttributeValue;

/// The description of a job before it runs.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use tower_sentry::job::JobInfo;
///
/// struct Email { id: u64, attempt: u32, headers: HashMap<String, String> }
///
/// fn describe(job: &Email) -> JobInfo {
///     JobInfo::new("email.send").queue("mail").id(job.id).attempt(job.attempt, 3).continue_trace(&job.headers)
/// }
/// # describe(&Email { id: 7, attempt: 1, headers: HashMap::new() });
/// ```
#[derive(Clone, Debug)]
#[must_use = "it describes a job for a layer"]
pub struct JobInfo {
    pub(super) name: Cow<'static, str>,
    pub(super) op: &'static str,
    pub(super) incoming: Option<Incoming>,
    pub(super) sample_rate: Option<f64>,
    pub(super) attempt: Option<(u32, u32)>,
    pub(super) reports_every_attempt: bool,
    pub(super) is_session: bool,
    pub(super) has_log_span: bool,
    pub(super) attributes: Vec<(&'static str, AttributeValue<'static>)>,
}

impl JobInfo {
    /// Describes a job of this name.
    ///
    /// The server keeps every name forever, so a name must not contain ids.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            op: "queue.process",
            incoming: None,
            sample_rate: None,
            attempt: None,
            reports_every_attempt: true,
            is_session: false,
            has_log_span: false,
            attributes: Vec::new(),
        }
    }

    /// Sets the kind of work as Sentry names it. Defaults to `queue.process`.
    pub fn op(mut self, op: &'static str) -> Self {
        self.op = op;
        self
    }

    /// Sets the queue that the job came from (`messaging.destination.name`). Defaults to none.
    pub fn queue(self, name: impl Into<String>) -> Self {
        self.attribute("messaging.destination.name", name.into())
    }

    /// Sets the job's id in the queue (`messaging.message.id`). Defaults to none.
    #[expect(clippy::needless_pass_by_value, reason = "numbers and ids are handed over as they are")]
    pub fn id(self, id: impl ToString) -> Self {
        self.attribute("messaging.message.id", id.to_string())
    }

    /// Sets the queue's system, such as `redis` (`messaging.system`). Defaults to none.
    pub fn system(self, name: impl Into<String>) -> Self {
        self.attribute("messaging.system", name.into())
    }

    /// Sets the number of this attempt, counted from 1, and the maximum number of attempts.
    ///
    /// The number is recorded as the tag `job.attempt`. Without this call, each run counts as the last
    /// attempt; see [`report_last_attempt_only`](crate::job::JobLayer::report_last_attempt_only).
    pub fn attempt(mut self, attempt: u32, of: u32) -> Self {
        self.attempt = Some((attempt, of));
        self
    }

    /// Sets the share of such transactions to send, from `0.0` to `1.0`.
    ///
    /// It replaces the client's rate, and the decision of a continued trace is ignored. A rate
    /// outside the range is ignored with a warning. Defaults to the client's rate.
    pub fn sample_rate(mut self, rate: f64) -> Self {
        self.sample_rate = Some(rate).filter(|rate| (0.0..=1.0).contains(rate));
        if self.sample_rate.is_none() {
            diagnostics::warn(&format!("the sample rate of '{}' is ignored: expected a number from 0.0 to 1.0, found {rate}", self.name));
        }
        self
    }

    /// Continues the trace of the sender, which is read from the job's headers.
    ///
    /// The sender writes it with [`Scope::inject`](crate::Scope::inject). Without a trace in the headers, the
    /// job belongs to the trace of the request or job that it runs in, or else begins a new trace.
    pub fn continue_trace(mut self, headers: &(impl Carrier + ?Sized)) -> Self {
        self.incoming = propagation::incoming_from(headers);
        self
    }

    /// Whether the job is a session, so that the health of the release counts it as it counts a request.
    ///
    /// A panic makes it a crashed session, and a returned or captured error an errored one. Sessions need a
    /// release. [`auto_session_tracking(false)`](crate::ConfigBuilder::auto_session_tracking) turns them off.
    /// Defaults to `false`.
    pub fn session(mut self, counts: bool) -> Self {
        self.is_session = counts;
        self
    }

    /// Sets the size of the message, in bytes (`messaging.message.body.size`).
    pub fn body_size(self, bytes: u64) -> Self {
        self.attribute("messaging.message.body.size", bytes)
    }

    /// Sets how long the job waited in the queue (`messaging.message.receive.latency`, in milliseconds).
    pub fn latency(self, waited: Duration) -> Self {
        self.attribute("messaging.message.receive.latency", u64::try_from(waited.as_millis()).unwrap_or(u64::MAX))
    }

    /// Sets any other attribute. [`AttributeValue`] lists the types of values.
    #[expect(single_use_lifetimes, reason = "an elided one is unstable here")]
    pub fn attribute<'v>(mut self, name: &'static str, value: impl Into<AttributeValue<'v>>) -> Self {
        self.attributes.push((name, value.into().into_owned()));
        self
    }

    /// Whether an error of this attempt is reported.
    pub(super) fn reports(&self) -> bool {
        self.reports_every_attempt || self.attempt.is_none_or(|(attempt, of)| attempt >= of)
    }
}
