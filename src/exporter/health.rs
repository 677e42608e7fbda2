//! What a service can say about its own monitoring.

use std::fmt;
use std::sync::MutexGuard;
use std::time::{Duration, SystemTime};

use ::http::header::DATE;
use ::http::{HeaderMap, HeaderValue, StatusCode};

use crate::fork::Lock;
use crate::protocol::Timestamp;

/// The state of a client's delivery at one moment.
///
/// A route that reports on the service can print it. Do not let a load balancer act on it: a service
/// that works well while its monitoring does not should still get requests.
///
/// # Examples
///
/// ```
/// use tower_sentry::{Client, Config};
///
/// let client = Client::from(Config::builder().build()?);
///
/// let health = client.health();
/// assert!(health.is_delivering());
/// assert_eq!(health.to_string(), "delivering; nothing was sent yet; 0 wait, 0 on disk");
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// When the server last accepted an envelope.
    pub last_success: Option<SystemTime>,
    /// When an attempt last failed, and why.
    pub last_failure: Option<(SystemTime, String)>,
    /// The status of the server's last answer.
    pub last_status: Option<StatusCode>,
    /// How many seconds the clock of this machine is ahead of the server's, by the `Date` of its last
    /// answer. Negative if it is behind. Exact to about a second.
    pub clock_ahead: Option<i64>,
    /// The rate limits of the server that are in force: the category, or `all`, and the end.
    pub rate_limits: Vec<(&'static str, SystemTime)>,
    /// Items that wait in memory; see [`Stats::waiting`](crate::Stats::waiting).
    pub waiting: u64,
    /// Items on disk; see [`Stats::spooled`](crate::Stats::spooled).
    pub spooled: u64,
}

impl Health {
    /// Whether the latest attempt was accepted, or none was made yet.
    ///
    /// A refusal counts as a failure, a rate limit (429) too.
    pub fn is_delivering(&self) -> bool {
        let failed_at = self.last_failure.as_ref().map(|(at, _)| *at);
        failed_at.is_none_or(|failed| self.last_success.is_some_and(|success| success >= failed))
    }
}

/// One line, with the times in UTC.
impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `humantime` panics on a time before 1970, which a wrong clock may show.
        let at = |time: SystemTime| humantime::format_rfc3339_seconds(Timestamp::from(time).as_system_time());
        f.write_str(if self.is_delivering() { "delivering; " } else { "not delivering; " })?;
        match self.last_success {
            Some(success) => write!(f, "last sent at {}; ", at(success))?,
            None => f.write_str("nothing was sent yet; ")?,
        }
        if let Some((failed, reason)) = &self.last_failure {
            write!(f, "last failure at {}: {reason}; ", at(*failed))?;
        }
        if let Some(seconds) = self.clock_ahead.filter(|seconds| seconds.abs() >= 60) {
            write!(f, "the clock is {seconds} s ahead of the server's; ")?;
        }
        for (category, until) in &self.rate_limits {
            write!(f, "{category} limited until {}; ", at(*until))?;
        }
        write!(f, "{} wait, {} on disk", self.waiting, self.spooled)
    }
}

/// What the worker notes.
#[derive(Debug, Default)]
pub(super) struct HealthNotes {
    notes: Lock<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    health: Health,
    /// The `Date` of the last answer, and when it came.
    date: Option<(HeaderValue, SystemTime)>,
}

impl HealthNotes {
    pub(super) fn succeeded(&self) {
        self.lock().health.last_success = Some(SystemTime::now());
    }

    pub(super) fn answered(&self, status: StatusCode, headers: &HeaderMap) {
        let mut notes = self.lock();
        notes.health.last_status = Some(status);
        notes.date = headers.get(DATE).map(|date| (date.clone(), SystemTime::now()));
    }

    pub(super) fn failed(&self, reason: &str) {
        self.lock().health.last_failure = Some((SystemTime::now(), reason.to_owned()));
    }

    pub(super) fn limited(&self, limits: Vec<(&'static str, SystemTime)>) {
        self.lock().health.rate_limits = limits;
    }

    /// The notes, without limits that are over.
    pub(super) fn read(&self) -> Health {
        let Notes { health, date } = &*self.lock();
        let mut health = health.clone();
        health.clock_ahead = date.as_ref().and_then(|(date, came)| ahead(date, *came));
        let now = SystemTime::now();
        health.rate_limits.retain(|(_, until)| *until > now);
        health
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock()
    }
}

/// How many seconds a time is ahead of a date.
fn ahead(date: &HeaderValue, came: SystemTime) -> Option<i64> {
    let date = httpdate::parse_http_date(date.to_str().ok()?).ok()?;
    let seconds = |time: Duration| i64::try_from(time.as_secs()).ok();
    came.duration_since(date).map_or_else(|behind| seconds(behind.duration()).map(|seconds| -seconds), seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_attempt_decides() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let failed = |seconds| Some((at(seconds), "the server answered 503 Service Unavailable".to_owned()));
        let health = |last_success, last_failure| Health { last_success, last_failure, ..Health::default() };

        assert!(health(Some(at(2)), failed(1)).is_delivering());
        assert!(!health(Some(at(1)), failed(2)).is_delivering());
        assert!(!health(None, failed(2)).is_delivering());
        assert_eq!(
            Health { rate_limits: vec![("error", at(60))], waiting: 3, spooled: 4, ..health(Some(at(1)), failed(2)) }.to_string(),
            "not delivering; last sent at 1970-01-01T00:00:01Z; last failure at 1970-01-01T00:00:02Z: the server answered 503 Service \
             Unavailable; error limited until 1970-01-01T00:01:00Z; 3 wait, 4 on disk"
        );
    }

    #[test]
    fn a_time_before_1970_is_shown_as_the_first_one() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1000);
        let health = Health { last_success: Some(before), rate_limits: vec![("error", before)], ..Health::default() };

        assert!(health.to_string().starts_with("delivering; last sent at 1970-01-01T00:00:00Z; error limited until 1970"), "{health}");
    }

    #[test]
    fn a_clock_that_is_off_is_shown() {
        let notes = HealthNotes::default();
        let says = |offset: i64| {
            let now = SystemTime::now();
            let time = Duration::from_secs(offset.unsigned_abs());
            let date = if offset < 0 { now + time } else { now - time };
            let headers = HeaderMap::from_iter([(DATE, httpdate::fmt_http_date(date).parse().unwrap())]);
            notes.answered(StatusCode::OK, &headers);
            notes.read()
        };

        for offset in [-86_400, -61, 0, 90, 86_400] {
            let health = says(offset);
            // A date has no fractions.
            assert!(health.clock_ahead.is_some_and(|ahead| (ahead - offset).abs() <= 1), "{offset}: {health:?}");
            assert_eq!(health.to_string().contains(" s ahead of the server's"), offset != 0, "{health}");
        }
        notes.answered(StatusCode::OK, &HeaderMap::new());
        assert_eq!(notes.read().clock_ahead, None);
    }

    #[test]
    fn a_limit_that_is_over_is_not_shown() {
        let notes = HealthNotes::default();
        let later = SystemTime::now() + Duration::from_secs(3600);

        notes.limited(vec![("error", SystemTime::UNIX_EPOCH), ("all", later)]);

        assert_eq!(notes.read().rate_limits, [("all", later)]);
    }
}
