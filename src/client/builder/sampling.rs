//! Settings of sampling: which transactions are sent, and what callers and failures may add.

use super::ConfigBuilder;
use crate::sampling::TrustParent;

impl ConfigBuilder {
    /// The share of transactions to send, from `0.0` to `1.0`.
    ///
    /// A parent's decision is followed as [`trust_parent`](Self::trust_parent) allows. Failed
    /// requests are kept if [`keep_failed`](Self::keep_failed) is on. With a rate of `0.0` no
    /// transaction is sent, whatever these two say. Errors are not sampled. Defaults to `0.1`.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if `rate` is outside `0.0..=1.0` or not a number.
    pub fn traces_sample_rate(self, rate: f64) -> Self {
        self.set("traces_sample_rate", |settings| settings.sampling.traces_sample_rate = rate)
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

    /// How many unsampled transactions a second are sent because they failed.
    ///
    /// Ten seconds' worth may be sent at once. The rest is counted as dropped. `0.0` keeps none, and
    /// `f64::INFINITY` all. Defaults to 10.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if the number is negative or not a number.
    pub fn keep_failed_budget(self, per_second: f64) -> Self {
        self.set("keep_failed_budget", |settings| settings.sampling.keep_failed_budget = per_second)
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
        self.set("failure_budget", |settings| settings.sampling.failure_budget = per_second)
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
    /// `0` sends only the events that say how many there were, and `u32::MAX` all. Defaults to 10.
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
        self.set("max_events_per_issue", |settings| settings.delivery.flood.events = in_a_minute)
    }

    /// How many [structured logs](Self::enable_logs) of one place in the code are sent in a minute.
    ///
    /// It works like [`max_events_per_issue`](Self::max_events_per_issue). The log that waits has the
    /// attributes `tower_sentry.suppressed`, `tower_sentry.suppressed_from` and
    /// `tower_sentry.suppressed_to`. `u32::MAX` means no limit. Defaults to 10,000.
    pub fn max_logs_per_callsite(self, in_a_minute: u32) -> Self {
        self.set("max_logs_per_callsite", |settings| settings.delivery.flood.logs = in_a_minute)
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
        self.set("parent_budget", |settings| settings.sampling.parent_budget = per_second)
    }
}
