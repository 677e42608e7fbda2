//! What a service can say about its own monitoring.

use std::fmt;
use std::sync::MutexGuard;
use std::time::SystemTime;

use crate::fork::Lock;

/// How the delivery of a client goes, at one moment.
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
        let at = humantime::format_rfc3339_seconds;
        f.write_str(if self.is_delivering() { "delivering; " } else { "not delivering; " })?;
        match self.last_success {
            Some(success) => write!(f, "last sent at {}; ", at(success))?,
            None => f.write_str("nothing was sent yet; ")?,
        }
        if let Some((failed, reason)) = &self.last_failure {
            write!(f, "last failure at {}: {reason}; ", at(*failed))?;
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
    notes: Lock<Health>,
}

impl HealthNotes {
    pub(super) fn succeeded(&self) {
        self.lock().last_success = Some(SystemTime::now());
    }

    pub(super) fn failed(&self, reason: &str) {
        self.lock().last_failure = Some((SystemTime::now(), reason.to_owned()));
    }

    pub(super) fn limited(&self, limits: Vec<(&'static str, SystemTime)>) {
        self.lock().rate_limits = limits;
    }

    /// The notes, without limits that are over.
    pub(super) fn read(&self) -> Health {
        let mut health = self.lock().clone();
        let now = SystemTime::now();
        health.rate_limits.retain(|(_, until)| *until > now);
        health
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.notes.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
    fn a_limit_that_is_over_is_not_shown() {
        let notes = HealthNotes::default();
        let later = SystemTime::now() + Duration::from_secs(3600);

        notes.limited(vec![("error", SystemTime::UNIX_EPOCH), ("all", later)]);

        assert_eq!(notes.read().rate_limits, [("all", later)]);
    }
}
