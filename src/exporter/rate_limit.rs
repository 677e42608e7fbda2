//! Rate limits of the server: read from each response, kept per category on the monotonic clock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ::http::{HeaderMap, StatusCode};

use crate::protocol::Category;

/// No limit lasts longer than a day, whatever the server says.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
const UNSPECIFIED: Duration = Duration::from_secs(60);

/// Until when each category must not be sent.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    /// The key `None` stands for all categories.
    until: HashMap<Option<Category>, Instant>,
}

/// Categories that a server can limit.
///
/// Spans and attachments are not sent on their own, and client reports are never limited.
const LIMITED: [Category; 6] =
    [Category::Error, Category::Transaction, Category::Session, Category::Monitor, Category::Feedback, Category::LogItem];

impl RateLimits {
    /// Whether the category is limited at `now`.
    pub(super) fn is_closed(&self, category: Category, now: Instant) -> bool {
        let is_over = |limit| self.until.get(&limit).is_none_or(|until| now >= *until);
        category != Category::Internal && !(is_over(None) && is_over(Some(category)))
    }

    /// Reads the limits from a response.
    pub(super) fn note(&mut self, status: StatusCode, headers: &HeaderMap, now: Instant) {
        for (limit, duration) in limits(status, headers) {
            let until = now + duration.min(LONGEST);
            // A shorter limit must not replace a longer one.
            let slot = self.until.entry(limit).or_insert(until);
            *slot = until.max(*slot);
        }
    }
}

/// Returns the limits in a response; `None` stands for all categories.
fn limits(status: StatusCode, headers: &HeaderMap) -> Vec<(Option<Category>, Duration)> {
    let mut lines = headers.get_all("x-sentry-rate-limits").iter().peekable();
    if lines.peek().is_some() {
        return lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).flat_map(limit).collect();
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        let seconds = headers.get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        return vec![(None, seconds.map_or(UNSPECIFIED, Duration::from_secs))];
    }
    Vec::new()
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

#[cfg(test)]
mod tests {
    use ::http::{HeaderName, HeaderValue};
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_protocols_vectors_are_read_as_specified() {
        let vectors: Value = serde_json::from_str(include_str!("../../tests/fixtures/vectors/rate_limits.json")).unwrap_or_default();
        let cases = vectors["cases"].as_array().cloned().unwrap_or_default();
        assert!(cases.len() >= 20);

        for case in cases {
            let headers: HeaderMap = case["headers"]
                .as_object()
                .into_iter()
                .flatten()
                .filter_map(|(name, value)| Some((name.parse::<HeaderName>().ok()?, value.as_str()?.parse::<HeaderValue>().ok()?)))
                .collect();
            let status = case["status"].as_u64().and_then(|code| StatusCode::from_u16(code.try_into().ok()?).ok()).unwrap_or_default();
            let now = Instant::now();
            let mut limits = RateLimits::default();

            limits.note(status, &headers, now);

            let expected = |name: &str| case["limits"][name].as_f64().map(|seconds| now + Duration::from_secs_f64(seconds));
            let of = |category| limits.until.get(&category).copied();
            assert_eq!(of(None), expected("*"), "{case}");
            assert_eq!(of(Some(Category::Error)), expected("error"), "{case}");
            assert_eq!(of(Some(Category::Transaction)), expected("transaction"), "{case}");
        }
    }

    #[test]
    fn absurd_durations_are_bounded_or_ignored() {
        for (text, expected) in
            [("1e300:error:key", Some(LONGEST)), ("-5:error:key", None), ("NaN:error:key", None), ("inf:error:key", Some(LONGEST))]
        {
            let read = limit(text).first().map(|(_, duration)| *duration);
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn a_limit_ends() {
        let now = Instant::now();
        let mut limits = RateLimits::default();
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static("x-sentry-rate-limits"), HeaderValue::from_static("10:transaction:key"))]);

        limits.note(StatusCode::OK, &headers, now);

        assert!(limits.is_closed(Category::Transaction, now + Duration::from_secs(9)));
        assert!(!limits.is_closed(Category::Transaction, now + Duration::from_secs(10)));
        assert!(!limits.is_closed(Category::Error, now));
    }

    #[test]
    fn a_shorter_limit_that_comes_later_does_not_open_what_is_closed_for_longer() {
        let now = Instant::now();
        let mut limits = RateLimits::default();

        for text in ["600:transaction:key", "10:transaction:key"] {
            let headers = HeaderMap::from_iter([(HeaderName::from_static("x-sentry-rate-limits"), HeaderValue::from_static(text))]);
            limits.note(StatusCode::OK, &headers, now);
        }

        assert!(limits.is_closed(Category::Transaction, now + Duration::from_secs(599)));
    }
}
