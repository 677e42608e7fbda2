//! Rate limits of the server: read from each response, kept per category on the monotonic clock.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use ::http::{HeaderMap, StatusCode};

use crate::protocol::Category;

/// No limit lasts longer than a day, even if the server asks for it.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
const UNSPECIFIED: Duration = Duration::from_secs(60);

/// Until when each category must not be sent.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    /// The key `None` means all categories.
    until: HashMap<Option<Category>, Instant>,
}

/// Categories that a server can limit.
///
/// Attachments are not sent on their own, and client reports are never limited.
const LIMITED: [Category; 10] = [
    Category::Error,
    Category::Transaction,
    Category::Span,
    Category::Session,
    Category::Monitor,
    Category::Feedback,
    Category::LogItem,
    Category::TraceMetric,
    Category::Profile,
    Category::ProfileChunk,
];

impl RateLimits {
    /// Whether the category is limited at `now`.
    pub(super) fn is_closed(&self, category: Category, now: Instant) -> bool {
        let is_over = |limit| self.until.get(&limit).is_none_or(|until| now >= *until);
        category != Category::Internal && !(is_over(None) && is_over(Some(category)))
    }

    /// The limits that are in force: the category, or `all`, and the end.
    pub(super) fn in_force(&self, now: Instant) -> Vec<(&'static str, SystemTime)> {
        let at = |until: &Instant| SystemTime::now() + until.saturating_duration_since(now);
        let limits = self.until.iter().filter(|(_, until)| now < **until);
        limits.map(|(limit, until)| (limit.map_or("all", Category::as_str), at(until))).collect()
    }

    /// Reads the limits from a response. Returns whether it has any.
    pub(super) fn note(&mut self, status: StatusCode, headers: &HeaderMap, now: Instant) -> bool {
        let mut has_any = false;
        for (limit, duration) in limits(status, headers) {
            let until = now + duration.min(LONGEST);
            // A shorter limit must not replace a longer one.
            let slot = self.until.entry(limit).or_insert(until);
            *slot = until.max(*slot);
            has_any = true;
        }
        has_any
    }
}

/// Returns the limits in a response; `None` means all categories.
fn limits(status: StatusCode, headers: &HeaderMap) -> Vec<(Option<Category>, Duration)> {
    let mut lines = headers.get_all("x-sentry-rate-limits").iter().peekable();
    if lines.peek().is_some() {
        return lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).flat_map(limit).collect();
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        return vec![(None, retry_after(headers, SystemTime::now()).unwrap_or(UNSPECIFIED))];
    }
    Vec::new()
}

/// Reads `Retry-After`: seconds, or a date.
///
/// A date counts from the server's `Date`, because the clock here may be wrong.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let value = text("retry-after")?;
    if let Some(duration) = value.parse().ok().and_then(seconds) {
        return Some(duration);
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now = text("date").and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    Some(until.duration_since(now).unwrap_or_default())
}

/// Parses one limit: `retry_after:categories:scope[:reason[:namespaces]]`.
///
/// Reads only the first two fields, and ignores unknown categories.
fn limit(text: &str) -> Vec<(Option<Category>, Duration)> {
    let mut fields = text.trim().split(':');
    let duration = fields.next().and_then(|seconds| seconds.trim().parse().ok()).and_then(seconds);
    let (Some(duration), Some(categories)) = (duration, fields.next()) else { return Vec::new() };
    if categories.trim().is_empty() {
        return vec![(None, duration)];
    }
    categories.split(';').filter_map(|name| Some((Some(category(name.trim())?), duration))).collect()
}

fn seconds(seconds: f64) -> Option<Duration> {
    // `min` would turn NaN into `LONGEST`.
    (!seconds.is_nan()).then(|| Duration::try_from_secs_f64(seconds.min(LONGEST.as_secs_f64())).ok()).flatten()
}

fn category(name: &str) -> Option<Category> {
    LIMITED.into_iter().find(|category| category.as_str() == name)
}

#[cfg(fuzzing)]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;
