//! Settings of sampling: which transactions are sent, and what callers and failures may add.

use std::sync::Arc;

use super::ConfigBuilder;
use crate::client::preset::Preset;
use crate::protocol::TraceLifecycle;
use crate::sampling::{Rate, SamplerContext, Slow, TracesSampler, TracesTarget, TrustParent};
use crate::status_codes::StatusCodes;

impl ConfigBuilder {
    /// The share of transactions to send, from `0.0` to `1.0`.
    ///
    /// A parent's decision is followed as [`trust_parent`](Self::trust_parent) allows. Failed
    /// requests are kept if [`keep_failed`](Self::keep_failed) is on. With a rate of `0.0`,
    /// neither of them sends a transaction. Errors are not sampled. Defaults to `0.1`.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if `rate` is outside `0.0..=1.0` or not a number.
    pub fn traces_sample_rate(self, rate: f64) -> Self {
        self.set("traces_sample_rate", |settings| settings.live.traces_sample_rate = rate)
    }

    /// The share of transactions to send if nothing else sets it, from `0.0` to `1.0`.
    ///
    /// [`traces_sample_rate`](Self::traces_sample_rate) takes precedence, and so does `SENTRY_TRACES_SAMPLE_RATE` if the
    /// [environment](Self::from_env) is read. A [`preset`](Self::preset) does not. Use it for an application that records more
    /// than others by default, and whose operator can still change that. Defaults to none.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if `rate` is outside `0.0..=1.0` or not a number.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// let config = |variables: &[(&'static str, &'static str)]| {
    ///     Config::builder().from_vars(variables.iter().copied()).default_traces_sample_rate(1.0).build()
    /// };
    ///
    /// assert!(config(&[])?.to_string().contains("traces_sample_rate       1 "));
    /// assert!(config(&[("SENTRY_TRACES_SAMPLE_RATE", "0.2")])?.to_string().contains("traces_sample_rate       0.2 "));
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn default_traces_sample_rate(mut self, rate: f64) -> Self {
        self.texts.default_traces_sample_rate = Some(rate);
        self
    }

    /// A function that chooses the share of transactions to send, for each request and job.
    ///
    /// It sees the method, the route, headers and extensions of a request, or the name of a job, and
    /// what the caller has decided. It returns a [`Rate`], a number, a `bool`, or an `Option` of these:
    /// `None` means as without the function. It runs for each request before the handler, so it must be
    /// quick. The rate of a [route](crate::incoming::RouteOptions::sample_rate) or
    /// [job](crate::job::TransactionBuilder::sample_rate) takes precedence, and the function is not
    /// called. If it panics, or returns a number that is not from `0.0` to `1.0`, a warning is logged,
    /// and the request is sampled as without it. Defaults to none.
    ///
    /// Any client can write a header. A header that raises the rate should contain a secret.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    /// use tower_sentry::sampling::Rate;
    ///
    /// let config = Config::builder()
    ///     .traces_sampler(|context| match context.route() {
    ///         Some(route) if route.starts_with("/admin/") => Rate::Fixed(1.0),
    ///         Some("/search") => Rate::Inherited(0.01),
    ///         _ => Rate::Unchanged,
    ///     })
    ///     .build()?;
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn traces_sampler<R: Into<Rate>>(self, choose: impl Fn(&SamplerContext<'_>) -> R + Send + Sync + 'static) -> Self {
        self.set("traces_sampler", |settings| settings.sampling.traces_sampler = Some(TracesSampler::new(choose)))
    }

    /// A number of transactions to send, instead of a share.
    ///
    /// Each route and job has a rate of its own, which follows its traffic: one with a hundred times the requests
    /// of another gets ten times as many transactions. Each is seen about once a minute, however rare it
    /// is beside the others. The rates are computed once a second. A surplus of at most a minute's worth, and a
    /// deficit of at most ten seconds' worth, are made up. Each transaction has
    /// its rate, so that counts can be estimated.
    ///
    /// The target applies if nothing else decides: not to the rates of
    /// [routes](crate::incoming::RouteOptions::sample_rate) and jobs, of a
    /// [`traces_sampler`](Self::traces_sampler), and not to decisions of callers. What is
    /// [kept](Self::keep_failed) because it failed or was slow comes on top. It is the target of one process: divide it by the
    /// number of replicas. [`traces_sample_rate`](Self::traces_sample_rate) has no effect then, except that
    /// `0.0` sends nothing. At most 2,048 routes and jobs have a rate of their own; further ones share one.
    /// Defaults to none. A [`Budget`](crate::sampling::Budget) beside it is a hard limit.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if the number is not more than 0, or infinite.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    /// use tower_sentry::sampling::TracesTarget;
    ///
    /// let config = Config::builder().traces_target(TracesTarget::per_second(5.0)).build()?;
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn traces_target(self, target: TracesTarget) -> Self {
        self.set("traces_target", |settings| settings.sampling.traces_target = Some(target))
    }

    /// Whether requests and jobs are sent as transactions at their end, or as spans, some of them while they run.
    ///
    /// With [`TraceLifecycle::Stream`], a job of ten hours shows its spans while it runs: when a span ends, all
    /// ended ones are sent if the last part was sent five seconds ago, or if seven eighths of [`max_spans`](Self::max_spans) are
    /// in use. What has been sent needs no memory, and no place at the span limit. A request that takes less than five
    /// seconds is sent as a whole at its end. Only sampled ones are sent early: what is [kept](Self::keep_failed) because it
    /// failed or was slow is known at its end.
    ///
    /// sentry.io shows such spans, and so do few other servers: self-hosted Sentry depends on its release, Bugsink and
    /// `GlitchTip` store none, and Spotlight does not list them. What else changes:
    ///
    /// - The facts of a request (headers, user, tags, contexts, measurements) are attributes of its own span.
    /// - [`before_send_span`](Self::before_send_span) sees the span of the request or job too, with these attributes. If the
    ///   hook drops it, it is sent without its contents. The spans below another one that is dropped move up, if they
    ///   are sent together with it.
    /// - [`before_send_transaction`](Self::before_send_transaction) is not called. A warning says so.
    /// - [`ignore_transaction_statuses`](Self::ignore_transaction_statuses) leaves out only the spans that were not sent before.
    /// - Everything counts as spans: in [`Stats`](crate::Stats), in rate limits and in client reports. Of a
    ///   [`Budget`](crate::sampling::Budget) for transactions, each part of a long request spends one.
    /// - `otlp` is an error of [`build`](Self::build): a collector gets whole transactions. `profiles_sample_rate` has no effect, and a
    ///   warning says so; sessions can be profiled.
    /// - A query that is repeated is found among the spans that are sent together.
    ///
    /// Defaults to [`TraceLifecycle::Static`]. The guide's page on [spans](crate::guide::spans#sent-while-they-run) says
    /// when to choose which.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    /// use tower_sentry::protocol::TraceLifecycle;
    ///
    /// let config = Config::builder().trace_lifecycle(TraceLifecycle::Stream).build()?;
    /// assert!(config.to_string().contains("trace_lifecycle          stream "));
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn trace_lifecycle(self, lifecycle: TraceLifecycle) -> Self {
        self.set("trace_lifecycle", |settings| settings.delivery.trace_lifecycle = lifecycle)
    }

    /// The share of events to send, from `0.0` to `1.0`: errors, panics and messages.
    ///
    /// Chance decides for each event. Those that are not sent are dropped and counted with the reason
    /// [`SampleRate`](crate::protocol::DiscardReason::SampleRate). An event that says how many others of
    /// its issue [were left out](Self::max_events_per_issue) is always sent. Defaults to `1.0`; a flood
    /// of one error needs no lower rate.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if `rate` is outside `0.0..=1.0` or not a number.
    pub fn error_sample_rate(self, rate: f64) -> Self {
        self.set("error_sample_rate", |settings| settings.live.error_sample_rate = rate)
    }

    /// Settings for an environment. What you set in code, and what the environment sets, takes
    /// precedence.
    ///
    /// See [`Preset`] for what it changes. The line that is logged at the start names it. Defaults to
    /// none.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::{Config, Preset};
    ///
    /// let preset = if cfg!(debug_assertions) { Preset::Development } else { Preset::Production };
    /// let config = Config::builder().preset(preset).from_env().build()?;
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn preset(self, preset: Preset) -> Self {
        self.set("preset", |settings| settings.preset = Some(preset))
    }

    /// Whether to send the transaction of a failed request even if it was not sampled.
    ///
    /// A request has failed if its status is a [failed one](Self::failed_status_codes), if an error
    /// was captured in it, or if it panicked. [`keep_failed_budget`](Self::keep_failed_budget) limits
    /// how many are sent. To make this possible, spans are recorded in every request and discarded at
    /// its end if they are not sent. Defaults to `true`.
    ///
    /// With `false`, only the ids, route and URL of an unsampled request are recorded. Its events
    /// then carry neither headers nor breadcrumbs.
    pub fn keep_failed(self, keep: bool) -> Self {
        self.set("keep_failed", |settings| settings.sampling.keep_failed = keep)
    }

    /// The status codes whose transactions are not sent: 404, for example.
    ///
    /// They are not kept either, whatever [`keep_failed`](Self::keep_failed) says, and are counted with
    /// the reason [`EventProcessor`](crate::protocol::DiscardReason::EventProcessor). Their errors are
    /// still reported; see [`ignore_error_statuses`](Self::ignore_error_statuses). Defaults to none.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if a number is outside 100 to 999, or a range is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// let config = Config::builder().ignore_transaction_statuses([404, 405]).build()?;
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn ignore_transaction_statuses(self, codes: impl Into<StatusCodes>) -> Self {
        self.set("ignore_transaction_statuses", |settings| settings.sampling.ignored_statuses = Some(Arc::new(codes.into())))
    }

    /// How many unsampled transactions a second are sent because they failed, or because
    /// [`Scope::keep`](crate::Scope::keep) chose them.
    ///
    /// Ten seconds' worth may be sent at once. The rest is counted as dropped. `0.0` keeps none, and
    /// `f64::INFINITY` all. Defaults to 10.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if the number is negative or not a number.
    pub fn keep_failed_budget(self, per_second: f64) -> Self {
        self.set("keep_failed_budget", |settings| settings.live.keep_failed_budget = per_second)
    }

    /// Which requests and jobs are sent because they were slow, even if they were not sampled.
    ///
    /// [`keep_slow_budget`](Self::keep_slow_budget) limits how many. With
    /// [`keep_failed(false)`](Self::keep_failed), unsampled requests are not recorded, so none is kept.
    /// Defaults to those that take ten times as long as the median of their route, and at least a second.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if the number of [`Slow::TimesMedian`] is below 1 or infinite.
    pub fn keep_slow(self, slow: Slow) -> Self {
        self.set("keep_slow", |settings| settings.sampling.keep_slow = slow)
    }

    /// How many unsampled transactions a second are sent because they were slow.
    ///
    /// Ten seconds' worth may be sent at once. The rest is counted as dropped. `0.0` keeps none, and
    /// `f64::INFINITY` all. Defaults to 10.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if the number is negative or not a number.
    pub fn keep_slow_budget(self, per_second: f64) -> Self {
        self.set("keep_slow_budget", |settings| settings.live.keep_slow_budget = per_second)
    }

    /// Whether fewer transactions are recorded while the delivery is behind.
    ///
    /// It is behind if the server cannot be reached and there is no [spool](Self::spool_dir), if a rate
    /// limit for transactions is in force, or if the queue is at least half full for ten seconds. Each second
    /// of this halves the sample rate, at most ten times, also for the decisions of callers. Then the
    /// full rate applies again. What is not sampled because of this is counted with the reason
    /// [`Backpressure`](crate::protocol::DiscardReason::Backpressure).
    ///
    /// Meanwhile, unsampled requests are recorded as with [`keep_failed(false)`](Self::keep_failed):
    /// their events have neither headers nor breadcrumbs, and those that are kept because they failed
    /// have no spans. Errors and logs are not reduced. Defaults to `true`.
    pub fn backpressure(self, is_on: bool) -> Self {
        self.set("backpressure", |settings| settings.sampling.backpressure = is_on)
    }

    /// How many events a second say only that a response failed.
    ///
    /// These are the events of failed responses, services and bodies without a captured error. Ten
    /// seconds' worth may be sent at once. The rest is counted as dropped. `0.0` sends none, and
    /// `f64::INFINITY` all. Captured errors are not limited. Defaults to 10.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if the number is negative or not a number.
    pub fn failure_budget(self, per_second: f64) -> Self {
        self.set("failure_budget", |settings| settings.live.failure_budget = per_second)
    }

    /// How many events of one issue are sent in a minute.
    ///
    /// The minute begins with the first of them. Beyond the limit, one more event waits until the minute
    /// ends, or until a flush or the shutdown. It says how many others were left out, and over what
    /// time: in its tag `tower_sentry.suppressed`, and in `suppressed`, `suppressed_from` and
    /// `suppressed_to` of its context `tower_sentry`. The others are dropped, and counted with the reason
    /// [`Backpressure`](crate::protocol::DiscardReason::Backpressure). Events of other issues are not
    /// affected.
    ///
    /// An issue is what has one fingerprint: yours ([`Scope::set_fingerprint`](crate::Scope::set_fingerprint)),
    /// or the [default](Self::default_fingerprint). `before_send` runs later, so a fingerprint from it
    /// does not count. At most 1,000 issues are limited at a time; the minute of the oldest then ends
    /// early. An event that waits has no attachments, and all that wait have at most 1 MiB.
    ///
    /// `0` sends only the events that say how many there were, and `u32::MAX` all. Defaults to 10,000:
    /// each failure is an event, unless something is out of control. With a plan that counts events, 10 is
    /// enough to see an issue.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// let config = Config::builder().max_events_per_issue(20).build()?;
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn max_events_per_issue(self, in_a_minute: u32) -> Self {
        self.set("max_events_per_issue", |settings| settings.live.max_events_per_issue = in_a_minute)
    }

    /// How many [structured logs](Self::enable_logs) of one place in the code are sent in a minute.
    ///
    /// It works like [`max_events_per_issue`](Self::max_events_per_issue). The log that waits has the
    /// attributes `tower_sentry.suppressed`, `tower_sentry.suppressed_from` and
    /// `tower_sentry.suppressed_to`. `u32::MAX` means no limit. Defaults to 10,000.
    pub fn max_logs_per_callsite(self, in_a_minute: u32) -> Self {
        self.set("max_logs_per_callsite", |settings| settings.live.max_logs_per_callsite = in_a_minute)
    }

    /// How many [metrics](crate::metrics) of one name are sent in a minute.
    ///
    /// It works like [`max_logs_per_callsite`](Self::max_logs_per_callsite): the metric that waits has the same
    /// attributes. `u32::MAX` means no limit. Defaults to 100,000.
    pub fn max_metrics_per_name(self, in_a_minute: u32) -> Self {
        self.set("max_metrics_per_name", |settings| settings.live.max_metrics_per_name = in_a_minute)
    }

    /// How far the sampling decisions of callers are followed.
    ///
    /// If only your own services can call this one, say [`TrustParent::Always`]: a trace that one
    /// service samples is then complete. Defaults to [`TrustParent::WithinBudget`], because any
    /// client of a public service can write these headers. See the guide's page on
    /// [sampling](crate::guide::sampling#callers).
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::{Config, TrustParent};
    ///
    /// // Behind a gateway that removes `sentry-trace`, `traceparent` and `baggage` of clients.
    /// let internal = Config::builder().trust_parent(TrustParent::Always).build()?;
    /// // Open to all, with a browser application that samples 50 page loads a second.
    /// let public = Config::builder().parent_budget(50.0).build()?;
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn trust_parent(self, trust: TrustParent) -> Self {
        self.set("trust_parent", |settings| settings.sampling.trust_parent = trust)
    }

    /// How many transactions a second callers may add to your own rate.
    ///
    /// It has an effect with [`TrustParent::WithinBudget`] and [`TrustParent::SameOrganization`].
    /// Ten seconds' worth, and at least 100, may be added at once. Beyond the budget, a request is
    /// not sampled. `f64::INFINITY` means no limit. Defaults to 10.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if the number is negative or not a number.
    pub fn parent_budget(self, per_second: f64) -> Self {
        self.set("parent_budget", |settings| settings.live.parent_budget = per_second)
    }
}
