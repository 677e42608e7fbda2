//! One rule at work.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};

use super::AlertRule;
use super::durations::{Durations, Tally, nanos};
use super::issues::Issues;
use super::rule::Condition;
use crate::protocol::Level;

/// At most this many issues are remembered.
const KNOWN_ISSUES: usize = 10_000;
/// So many issues have a pause of their own.
const PAUSED_ISSUES: usize = 1_000;

/// A rule, and what it has seen.
#[derive(Debug)]
pub(crate) struct AlertWatch {
    pub(crate) rule: AlertRule,
    seen: Seen,
    /// The condition is true, and this was said.
    is_said: bool,
    /// When it was said the last time, in nanoseconds.
    last: Option<u64>,
}

#[derive(Debug)]
enum Seen {
    Durations(Durations),
    Issues(Issues),
    /// When the latest errors were captured: one more than the rule allows.
    Times(VecDeque<u64>),
}

/// Where an error or a request comes from.
pub(crate) struct Observed<'a> {
    /// A monotonic time in nanoseconds.
    pub(crate) now: u64,
    /// The route of the request or the name of the job.
    pub(crate) route: &'a dyn fmt::Display,
    pub(crate) tag: &'a dyn Fn(&str) -> Option<&'a str>,
}

/// What an alert says about its numbers. Empty for rules about single errors.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding(pub(crate) String);

impl AlertWatch {
    pub(crate) fn new(rule: AlertRule) -> Self {
        let seen = match rule.condition {
            Condition::ApdexBelow { satisfied, .. } => {
                Seen::Durations(Durations::new(rule.within, [satisfied, satisfied.saturating_mul(4)]))
            }
            Condition::EachError => Seen::Issues(Issues::new(PAUSED_ISSUES)),
            Condition::ErrorsAbove(_) => Seen::Times(VecDeque::new()),
            Condition::NewIssue => Seen::Issues(Issues::new(KNOWN_ISSUES)),
            Condition::PercentileAbove { limit, .. } => Seen::Durations(Durations::new(rule.within, [limit, limit])),
        };
        Self { rule, seen, is_said: false, last: None }
    }

    /// Sees an error of this level and issue.
    pub(crate) fn see_error(&mut self, observed: &Observed<'_>, level: Level, issue: impl FnOnce() -> u64) -> Option<Finding> {
        if level < self.rule.level.unwrap_or(Level::Error) || !self.applies(observed) {
            return None;
        }
        let now = observed.now;
        match (&mut self.seen, self.rule.condition) {
            (Seen::Issues(issues), condition) => {
                let issue = issue();
                let pause = if condition == Condition::NewIssue { u64::MAX } else { nanos(self.rule.again_after) };
                if issues.time_of(issue).is_some_and(|last| now.saturating_sub(last) < pause) {
                    return None;
                }
                issues.note(issue, now);
                Some(Finding(String::new()))
            }
            (Seen::Times(times), Condition::ErrorsAbove(count)) => {
                let window = nanos(self.rule.within);
                let is_above = |times: &VecDeque<u64>| {
                    times.len() > count as usize && times.front().is_some_and(|first| now.saturating_sub(*first) < window)
                };
                let was_above = is_above(times);
                times.push_back(now);
                if times.len() > count as usize + 1 {
                    times.pop_front();
                }
                let is_above = is_above(times);
                self.is_due(was_above, is_above, now).then(|| Finding(format!("there were {}", u64::from(count) + 1)))
            }
            _ => None,
        }
    }

    /// Sees the end of a request, or of a job, after so many nanoseconds.
    pub(crate) fn see_duration(&mut self, observed: &Observed<'_>, duration: u64, is_request: bool) -> Option<Finding> {
        // A job may take hours. It counts only if the rule is about it.
        if !(is_request || self.rule.route.is_some()) || !self.applies(observed) {
            return None;
        }
        let Seen::Durations(durations) = &mut self.seen else { return None };
        let (before, tally) = (durations.until(observed.now), durations.add(observed.now, duration));
        let (was_true, is_true) = (self.holds(before), self.holds(tally));
        self.is_due(was_true, is_true, observed.now).then(|| {
            let ([above, _], requests) = (tally.above, tally.requests);
            let plural = if requests == 1 { "" } else { "s" };
            Finding(match self.rule.condition {
                Condition::ApdexBelow { .. } => format!("it is {:.2} for {requests} request{plural}", tally.apdex()),
                _ => format!("{above} of {requests} request{plural} took longer"),
            })
        })
    }

    /// Whether the condition holds for the requests of a window.
    fn holds(&self, tally: Tally) -> bool {
        let is_true = match self.rule.condition {
            Condition::ApdexBelow { score, .. } => tally.apdex() < score,
            Condition::PercentileAbove { percentile, .. } => tally.is_above(percentile),
            _ => false,
        };
        let is_enough = tally.requests >= u64::from(self.rule.at_least.max(1));
        is_true && is_enough
    }

    /// Whether to say now that the condition is true. Before this error or request it was `was_true`: time may have
    /// made it false without another one.
    fn is_due(&mut self, was_true: bool, is_true: bool, now: u64) -> bool {
        self.is_said &= was_true;
        let is_early = self.last.is_some_and(|last| now.saturating_sub(last) < nanos(self.rule.again_after));
        if !is_true || self.is_said || is_early {
            return false;
        }
        self.is_said = true;
        self.last = Some(now);
        true
    }

    fn applies(&self, observed: &Observed<'_>) -> bool {
        self.rule.tags.iter().all(|(name, value)| (observed.tag)(name) == Some(value))
            && self.rule.route.as_ref().is_none_or(|route| is_equal(observed.route, route))
    }
}

/// Compares without an allocation.
fn is_equal(shown: &dyn fmt::Display, text: &str) -> bool {
    struct Rest<'a>(&'a str);
    impl fmt::Write for Rest<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let mut rest = Rest(text);
    write!(rest, "{shown}").is_ok() && rest.0.is_empty()
}
