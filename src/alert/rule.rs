//! What an alert is about.

use std::fmt;
use std::time::Duration;

use crate::protocol::Level;

/// The window of rules that count errors.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// The window of rules about durations.
const FIVE_MINUTES: Duration = Duration::from_secs(5 * 60);
/// The most errors that a rule counts. It keeps the time of each of them.
const MOST_ERRORS: u32 = 100_000;

/// A condition, and what it applies to. Pass it to [`ConfigBuilder::on_alert`](crate::ConfigBuilder::on_alert).
///
/// | rule | fires |
/// |---|---|
/// | [`new_issue`](Self::new_issue) | at the first error of each issue |
/// | [`each_error`](Self::each_error) | at each error, for one issue at most once in 30 minutes |
/// | [`errors_above`](Self::errors_above) | when an hour has more than `count` errors |
/// | [`percentile_above`](Self::percentile_above) | when the percentile of 5 minutes is above `limit` |
/// | [`apdex_below`](Self::apdex_below) | when the Apdex of 5 minutes is below `score` |
///
/// The last three fire once, when the condition becomes true. They fire again if it was false in between,
/// and at least [`again_after`](Self::again_after) has passed.
///
/// Errors are events of the level [`Error`](Level::Error) or above, messages included. They are counted
/// where they are captured: also those that `max_events_per_issue`, `error_sample_rate` or a budget then
/// leaves out, and before `before_send`. Errors that you ignore and reports that are merged do not count.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_sentry::alert::AlertRule;
///
/// let rule = AlertRule::errors_above(20).within(Duration::from_secs(60)).route("POST /checkout/{id}");
///
/// assert_eq!(rule.to_string(), "more than 20 errors in 1m, route POST /checkout/{id}");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a rule has no effect until `ConfigBuilder::on_alert` gets it"]
pub struct AlertRule {
    pub(super) condition: Condition,
    pub(super) level: Option<Level>,
    pub(super) tags: Vec<(String, String)>,
    environment: Option<String>,
    pub(super) route: Option<String>,
    pub(super) within: Duration,
    pub(super) again_after: Duration,
    pub(super) at_least: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Condition {
    ApdexBelow { score: f64, satisfied: Duration },
    EachError,
    ErrorsAbove(u32),
    NewIssue,
    PercentileAbove { percentile: f64, limit: Duration },
}

impl AlertRule {
    /// An issue that this process has not seen before.
    ///
    /// Issues are as in Sentry's list, as far as the process can know them: by types, the place in the
    /// code, and the route. The latest 10,000 issues are known. After a restart each issue
    /// is new once.
    pub fn new_issue() -> Self {
        Self::of(Condition::NewIssue, HOUR)
    }

    /// Each error, for example with a [tag](Self::tag).
    ///
    /// One issue fires at most once in [`again_after`](Self::again_after). This is remembered for the latest
    /// 1,000 issues.
    pub fn each_error() -> Self {
        Self::of(Condition::EachError, HOUR)
    }

    /// More than `count` errors in an hour, or in the time that [`within`](Self::within) sets.
    ///
    /// The count is exact at each error: the window ends with the error that is captured. `count` is at
    /// most 100,000.
    pub fn errors_above(count: u32) -> Self {
        Self::of(Condition::ErrorsAbove(count), HOUR)
    }

    /// A percentile of the durations of all requests is above `limit`: `0.95` for the P95.
    ///
    /// It is checked at the end of each request, also of those that are not sampled. The window is the
    /// last five minutes, unless [`within`](Self::within) sets another one, and the percentile is exact.
    /// With fewer requests than [`at_least`](Self::at_least), it does not fire. Jobs count only if
    /// [`route`](Self::route) names one.
    pub fn percentile_above(percentile: f64, limit: Duration) -> Self {
        Self::of(Condition::PercentileAbove { percentile, limit }, FIVE_MINUTES)
    }

    /// The Apdex of all requests is below `score`.
    ///
    /// Requests of at most `satisfied` count as 1, those of at most four times that as 0.5, slower ones as
    /// 0, and the score is the mean. This is the definition of the
    /// [Apdex specification](https://www.apdex.org). Windows are those of
    /// [`percentile_above`](Self::percentile_above).
    pub fn apdex_below(score: f64, satisfied: Duration) -> Self {
        Self::of(Condition::ApdexBelow { score, satisfied }, FIVE_MINUTES)
    }

    fn of(condition: Condition, within: Duration) -> Self {
        let again_after = Duration::from_secs(30 * 60);
        Self { condition, level: None, tags: Vec::new(), environment: None, route: None, within, again_after, at_least: 20 }
    }

    /// Only errors of this level or above. Defaults to [`Level::Error`].
    pub fn level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// Only if this tag has this value. Several tags must all match.
    ///
    /// Tags of the scope count, and those of the client. The scope's win.
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((name.into(), value.into()));
        self
    }

    /// Only if the client has this environment. Defaults to any.
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Only requests of this route, such as `GET /users/{id}`, or jobs of this name. Defaults to all.
    pub fn route(mut self, route: impl Into<String>) -> Self {
        self.route = Some(route.into());
        self
    }

    /// The length of the window in which errors or requests are counted, from a second to a week.
    ///
    /// For durations, it moves by a 300th of its length.
    pub fn within(mut self, window: Duration) -> Self {
        self.within = window;
        self
    }

    /// The shortest time between two alerts of this rule, or of one issue for
    /// [`each_error`](Self::each_error). Defaults to 30 minutes, as in Sentry's issue alerts.
    pub fn again_after(mut self, pause: Duration) -> Self {
        self.again_after = pause;
        self
    }

    /// The least number of requests in the window of a rule about durations. Defaults to 20.
    ///
    /// With fewer, the P95 is nearly the slowest request.
    pub fn at_least(mut self, requests: u32) -> Self {
        self.at_least = requests;
        self
    }

    /// Whether it is about durations, and not about errors.
    pub(crate) fn is_about_durations(&self) -> bool {
        matches!(self.condition, Condition::ApdexBelow { .. } | Condition::PercentileAbove { .. })
    }

    /// Whether it counts for a client of this environment.
    pub(crate) fn is_for(&self, environment: &str) -> bool {
        self.environment.as_ref().is_none_or(|wanted| wanted == environment)
    }

    /// What makes the rule invalid.
    pub(crate) fn fault(&self) -> Option<String> {
        let fault = |expected: &str, found: &dyn fmt::Display| Some(format!("expected {expected}, found '{found}'"));
        let week = Duration::from_secs(7 * 24 * 60 * 60);
        if !(Duration::from_secs(1)..=week).contains(&self.within) {
            return fault("a window from a second to a week", &format_args!("{:?}", self.within));
        }
        if self.is_about_durations() && self.level.is_some() {
            return fault("no level in a rule about durations", self);
        }
        match self.condition {
            Condition::ErrorsAbove(count) if count > MOST_ERRORS => fault("at most 100,000 errors", &count),
            Condition::PercentileAbove { percentile, .. } if !(percentile > 0.0 && percentile < 1.0) => {
                fault("a percentile above 0.0 and below 1.0", &percentile)
            }
            Condition::ApdexBelow { score, .. } if !(score > 0.0 && score <= 1.0) => fault("an Apdex above 0.0 and at most 1.0", &score),
            Condition::ApdexBelow { satisfied, .. } if satisfied.is_zero() => fault("a duration above zero", &"0s"),
            _ => None,
        }
    }
}

impl fmt::Display for AlertRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = humantime::format_duration(self.within);
        match self.condition {
            Condition::ApdexBelow { score, satisfied } => write!(f, "Apdex below {score} at {satisfied:?} in {within}")?,
            Condition::EachError => f.write_str("error")?,
            Condition::ErrorsAbove(count) => write!(f, "more than {count} errors in {within}")?,
            Condition::NewIssue => f.write_str("new issue")?,
            Condition::PercentileAbove { percentile, limit } => write!(f, "P{} above {limit:?} in {within}", percentile * 100.0)?,
        }
        if let Some(level) = self.level {
            write!(f, ", level {level}")?;
        }
        for (name, value) in &self.tags {
            write!(f, ", tag {name}={value}")?;
        }
        if let Some(environment) = &self.environment {
            write!(f, ", environment {environment}")?;
        }
        if let Some(route) = &self.route {
            write!(f, ", route {route}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_says_what_it_is_about() {
        let rows = [
            (AlertRule::new_issue(), "new issue"),
            (AlertRule::errors_above(100), "more than 100 errors in 1h"),
            (
                AlertRule::each_error().environment("production").tag("domain", "payment").level(Level::Fatal),
                "error, level fatal, tag domain=payment, environment production",
            ),
            (AlertRule::percentile_above(0.95, Duration::from_secs(2)), "P95 above 2s in 5m"),
            (AlertRule::percentile_above(0.999, Duration::from_millis(250)).route("GET /"), "P99.9 above 250ms in 5m, route GET /"),
            (AlertRule::apdex_below(0.9, Duration::from_millis(300)), "Apdex below 0.9 at 300ms in 5m"),
        ];

        for (rule, text) in rows {
            assert_eq!((rule.to_string(), rule.fault()), (text.to_owned(), None));
        }
    }

    #[test]
    fn a_rule_that_cannot_fire_or_always_fires_is_refused() {
        let second = Duration::from_secs(1);
        let rows = [
            (AlertRule::errors_above(100_001), "expected at most 100,000 errors, found '100001'"),
            (AlertRule::new_issue().within(Duration::ZERO), "expected a window from a second to a week, found '0ns'"),
            (AlertRule::errors_above(1).within(Duration::MAX), "expected a window from a second to a week, found"),
            (AlertRule::percentile_above(95.0, second), "expected a percentile above 0.0 and below 1.0, found '95'"),
            (AlertRule::percentile_above(f64::NAN, second), "expected a percentile above 0.0 and below 1.0, found 'NaN'"),
            (AlertRule::apdex_below(0.0, second), "expected an Apdex above 0.0 and at most 1.0, found '0'"),
            (AlertRule::apdex_below(0.9, Duration::ZERO), "expected a duration above zero, found '0s'"),
            (
                AlertRule::percentile_above(0.5, second).level(Level::Error),
                "expected no level in a rule about durations, found 'P50 above 1s in 5m, level error'",
            ),
        ];

        for (rule, fault) in rows {
            let found = rule.fault().unwrap_or_default();
            assert!(found.starts_with(fault), "{rule}: {found}");
        }
    }
}
