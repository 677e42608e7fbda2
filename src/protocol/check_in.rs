//! Check-ins: the runs of cron jobs.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{EventId, TraceId};

/// Reports that a run of a cron job has started or ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "as the protocol names it")]
pub(crate) struct CheckIn {
    /// The id of the run, the same at its start and its end.
    pub check_in_id: EventId,
    /// The slug of the job: at most 50 characters of `a-z 0-9 _ -`.
    pub monitor_slug: String,
    /// The state of the run.
    pub status: CheckInStatus,
    /// The duration of the run, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// The version of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The environment of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The job's schedule.
    ///
    /// It is sent at the start of each run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor_config: Option<Monitor>,
    /// The trace of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contexts: Option<CheckInContexts>,
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CheckInStatus {
    /// The run has started.
    InProgress,
    /// The run succeeded.
    Ok,
    /// The run failed.
    Error,
}

/// The contexts of a [`CheckIn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CheckInContexts {
    /// The trace.
    pub trace: CheckInTrace,
}

/// The trace of a [`CheckIn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CheckInTrace {
    /// The id of the trace.
    pub trace_id: TraceId,
}

impl CheckInContexts {
    /// Contexts for a run in this trace.
    pub(crate) const fn of(trace_id: TraceId) -> Self {
        Self { trace: CheckInTrace { trace_id } }
    }
}

/// The schedule of a cron job, and how long a run may take.
///
/// The server creates a monitor from it. It raises an issue if a run is missed, takes too long or
/// fails.
///
/// # Examples
///
/// ```
/// use tower_sentry::protocol::Monitor;
///
/// let nightly = Monitor::crontab("5 2 * * *").timezone("Europe/Berlin").checkin_margin(5).max_runtime(30);
/// assert_eq!(serde_json::to_value(&nightly).unwrap()["schedule"]["value"], "5 2 * * *");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Monitor {
    /// The schedule.
    pub schedule: Schedule,
    /// How many minutes late a run may start before it counts as missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkin_margin: Option<u32>,
    /// How many minutes a run may take before it counts as failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_runtime: Option<u32>,
    /// The time zone of the schedule, by its name in the tz database.
    ///
    /// Defaults to UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The number of consecutive failures that creates an issue.
    ///
    /// Defaults to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_issue_threshold: Option<u32>,
    /// The number of consecutive successes that resolves the issue.
    ///
    /// Defaults to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_threshold: Option<u32>,
}

/// When a cron job runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Schedule {
    /// A crontab line: minute, hour, day, month, weekday.
    #[non_exhaustive]
    Crontab {
        /// The line.
        value: String,
    },
    /// A fixed interval.
    #[non_exhaustive]
    Interval {
        /// The number of units between two runs.
        value: u32,
        /// The unit.
        unit: IntervalUnit,
    },
}

impl Schedule {
    /// What is wrong with the schedule. None if a server may accept it.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Crontab { value } if is_crontab(value) => None,
            Self::Crontab { .. } => Some("expected five fields: minute, hour, day, month and weekday"),
            Self::Interval { value: 0, .. } => Some("expected an interval of at least 1"),
            Self::Interval { .. } => None,
        }
    }
}

/// Whether this may be a crontab line. Extensions of fields (`L`, `W`, `#`) and names are not judged.
fn is_crontab(line: &str) -> bool {
    const SHORTHANDS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
    const RANGES: [RangeInclusive<u32>; 5] = [0..=59, 0..=23, 1..=31, 1..=12, 0..=7];
    let line = line.trim();
    if line.starts_with('@') {
        return SHORTHANDS.contains(&line);
    }
    let fields: Vec<&str> = line.split_whitespace().collect();
    fields.len() == RANGES.len() && fields.iter().zip(&RANGES).all(|(field, range)| field.split(',').all(|part| is_part(part, range)))
}

/// Whether this is a part of a field: `*`, `5`, `1-5`, `*/10`, `mon`.
fn is_part(part: &str, range: &RangeInclusive<u32>) -> bool {
    let is_value = |value: &str| match value.parse::<u32>() {
        Ok(number) => range.contains(&number),
        Err(_) => value.starts_with(|letter: char| letter.is_ascii_alphabetic()) || value.contains(['L', 'W', '#']),
    };
    let (values, step) = part.split_once('/').unwrap_or((part, "1"));
    let is_step = step.parse::<u32>().is_ok_and(|step| step > 0);
    is_step && (matches!(values, "*" | "?") || values.splitn(2, '-').all(is_value))
}

/// The unit of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "users name them, and the protocol's list is closed")]
pub enum IntervalUnit {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
    /// 7 days.
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

impl Monitor {
    /// A schedule given as a crontab line: five fields, or a shorthand such as `@daily`.
    ///
    /// If it is neither, the check-ins are sent nevertheless, and a warning says what is wrong.
    #[must_use]
    pub fn crontab(line: impl Into<String>) -> Self {
        Self::new(Schedule::Crontab { value: line.into() })
    }

    /// A schedule given as an interval: every `value` units. If `value` is 0, a warning says so.
    #[must_use]
    pub fn every(value: u32, unit: IntervalUnit) -> Self {
        Self::new(Schedule::Interval { value, unit })
    }

    fn new(schedule: Schedule) -> Self {
        Self { schedule, checkin_margin: None, max_runtime: None, timezone: None, failure_issue_threshold: None, recovery_threshold: None }
    }

    /// Sets how many minutes late a run may start before it counts as missed. Defaults to the server's value.
    #[must_use]
    pub fn checkin_margin(mut self, minutes: u32) -> Self {
        self.checkin_margin = Some(minutes);
        self
    }

    /// Sets how many minutes a run may take before it counts as failed. Defaults to the server's value.
    #[must_use]
    pub fn max_runtime(mut self, minutes: u32) -> Self {
        self.max_runtime = Some(minutes);
        self
    }

    /// Sets the time zone of the schedule, such as `Europe/Berlin`. Defaults to UTC.
    #[must_use]
    pub fn timezone(mut self, zone: impl Into<String>) -> Self {
        self.timezone = Some(zone.into());
        self
    }

    /// Sets the number of consecutive failures that creates an issue. Defaults to 1.
    #[must_use]
    pub fn failure_issue_threshold(mut self, failures: u32) -> Self {
        self.failure_issue_threshold = Some(failures);
        self
    }

    /// Sets the number of consecutive successes that resolves the issue. Defaults to 1.
    #[must_use]
    pub fn recovery_threshold(mut self, successes: u32) -> Self {
        self.recovery_threshold = Some(successes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_that_servers_refuse_is_noticed_and_others_are_not() {
        let good =
            ["* * * * *", "5 2 * * *", "*/15 0-6,22 1,15 1-12/2 mon-fri", " 0 0 1 JAN 7 ", "0 0 L * 5#2", "0 0 ? * 1", "@daily", "@hourly"];
        for line in good {
            assert_eq!(Monitor::crontab(line).schedule.fault(), None, "{line}");
        }
        for line in [
            "",
            "hello",
            "* * * *",
            "0 * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "*/0 * * * *",
            "1- * * * *",
            "@often",
        ] {
            assert!(Monitor::crontab(line).schedule.fault().is_some(), "{line}");
        }
        assert!(Monitor::every(0, IntervalUnit::Day).schedule.fault().is_some());
        assert_eq!(Monitor::every(1, IntervalUnit::Day).schedule.fault(), None);
    }
}
