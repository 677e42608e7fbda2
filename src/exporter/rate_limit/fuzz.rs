//! What holds for any answer of a server.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, StatusCode};

use super::RateLimits;

/// The headers with limits, one on each line: no limit is longer than a day.
pub(crate) fn answer(data: &[u8]) {
    let mut headers = HeaderMap::new();
    let names = ["retry-after", "x-sentry-rate-limits", "date", "x-sentry-rate-limits"];
    for (name, line) in names.into_iter().zip(data.split(|byte| *byte == b'\n')) {
        if let Some(value) = Some(line).filter(|line| !line.is_empty()).and_then(|line| HeaderValue::from_bytes(line).ok()) {
            headers.append(name, value);
        }
    }
    let now = Instant::now();
    for status in [StatusCode::OK, StatusCode::TOO_MANY_REQUESTS] {
        let mut limits = RateLimits::default();
        let has_any = limits.note(status, &headers, now);
        assert!(has_any || limits.in_force(now).is_empty());
        assert!(limits.in_force(now + Duration::from_secs(24 * 60 * 60)).is_empty(), "a limit of more than a day, from {headers:?}");
    }
}
