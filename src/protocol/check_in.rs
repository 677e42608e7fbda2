//! Runs of cron jobs.

use serde::{Deserialize, Serialize};

use super::{EventId, TraceId};

/// A run of a cron job begins, or has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CheckIn {
    /// The same for the begin and the end of a run.
    pub check_in_id: EventId,
    /// The job; servers keep 50 of `a-z 0-9 _ -`.
    pub monitor_slug: String,
    /// How far the run is.
    pub status: CheckInStatus,
    /// How long it took, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// The version that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What the server should expect; rides on the begin of each run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor_config: Option<Monitor>,
    /// The trace of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contexts: Option<CheckInContexts>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CheckInStatus {
    /// It has begun.
    InProgress,
    /// It went well.
    Ok,
    /// It failed.
    Error,
}

/// The contexts of a [`CheckIn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CheckInContexts {
    /// The trace.
    pub trace: CheckInTrace,
}

/// The trace of a [`CheckIn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CheckInTrace {
    /// Its id.
    pub trace_id: TraceId,
}

impl CheckInContexts {
    /// A run that belongs to this trace.
    pub const fn of(trace_id: TraceId) -> Self {
        Self { trace: CheckInTrace { trace_id } }
    }
}

/// When a cron job should run, and how long it may take. The server makes the monitor of it, and raises an issue when a run is missed,
/// takes too long or fails.
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
    /// When it should run.
    pub schedule: Schedule,
    /// Minutes a run may be late before it counts as missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkin_margin: Option<u32>,
    /// Minutes a run may take before it counts as failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_runtime: Option<u32>,
    /// The zone of the schedule, by its name in the tz database. Defaults to UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Failures in a row that make an issue. Defaults to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_issue_threshold: Option<u32>,
    /// Successes in a row that close it. Defaults to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_threshold: Option<u32>,
}

/// When a cron job should run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Schedule {
    /// A line of a crontab: minute, hour, day, month, weekday.
    #[non_exhaustive]
    Crontab {
        /// The line.
        value: String,
    },
    /// Again and again.
    #[non_exhaustive]
    Interval {
        /// How many units lie between two runs.
        value: u32,
        /// Of what.
        unit: IntervalUnit,
    },
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
    /// A month of the calendar.
    Month,
    /// A year of the calendar.
    Year,
}

impl Monitor {
    /// By a line of a crontab.
    #[must_use]
    pub fn crontab(line: impl Into<String>) -> Self {
        Self::new(Schedule::Crontab { value: line.into() })
    }

    /// Every so many units.
    #[must_use]
    pub fn every(value: u32, unit: IntervalUnit) -> Self {
        Self::new(Schedule::Interval { value, unit })
    }

    fn new(schedule: Schedule) -> Self {
        Self { schedule, checkin_margin: None, max_runtime: None, timezone: None, failure_issue_threshold: None, recovery_threshold: None }
    }

    /// Sets how many minutes a run may be late.
    #[must_use]
    pub fn checkin_margin(mut self, minutes: u32) -> Self {
        self.checkin_margin = Some(minutes);
        self
    }

    /// Sets how many minutes a run may take.
    #[must_use]
    pub fn max_runtime(mut self, minutes: u32) -> Self {
        self.max_runtime = Some(minutes);
        self
    }

    /// Sets the zone of the schedule, such as `Europe/Berlin`.
    #[must_use]
    pub fn timezone(mut self, zone: impl Into<String>) -> Self {
        self.timezone = Some(zone.into());
        self
    }

    /// Sets how many failures in a row make an issue.
    #[must_use]
    pub fn failure_issue_threshold(mut self, failures: u32) -> Self {
        self.failure_issue_threshold = Some(failures);
        self
    }

    /// Sets how many successes in a row close it.
    #[must_use]
    pub fn recovery_threshold(mut self, successes: u32) -> Self {
        self.recovery_threshold = Some(successes);
        self
    }
}
