//! The grammar of rate limits, row by row.

use ::http::{HeaderName, HeaderValue};
use serde_json::Value;

use super::*;

#[test]
fn the_protocols_vectors_are_read_as_specified() {
    let vectors: Value = serde_json::from_str(include_str!("../../../tests/fixtures/vectors/rate_limits.json")).unwrap_or_default();
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
    let headers = HeaderMap::from_iter([(HeaderName::from_static("x-sentry-rate-limits"), HeaderValue::from_static("10:transaction:key"))]);

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

/// The status, `X-Sentry-Rate-Limits`, `Retry-After`, and the seconds for all categories, errors and
/// transactions.
type Case = (u16, Option<&'static str>, Option<&'static str>, [Option<f64>; 3]);

const DAY: f64 = 86_400.0;
const NONE: [Option<f64>; 3] = [None; 3];

const fn all(seconds: f64) -> [Option<f64>; 3] {
    [Some(seconds), None, None]
}

const fn error(seconds: f64) -> [Option<f64>; 3] {
    [None, Some(seconds), None]
}

const GRAMMAR: &[Case] = &[
    // `Retry-After` of a 429: seconds.
    (429, None, None, all(60.0)),
    (429, None, Some("0"), all(0.0)),
    (429, None, Some("1"), all(1.0)),
    (429, None, Some(" 30 "), all(30.0)),
    (429, None, Some("+30"), all(30.0)),
    (429, None, Some("1.5"), all(1.5)),
    (429, None, Some("86400"), all(DAY)),
    (429, None, Some("86401"), all(DAY)),
    (429, None, Some("1e300"), all(DAY)),
    (429, None, Some("18446744073709551616"), all(DAY)),
    (429, None, Some("inf"), all(DAY)),
    // What cannot be read counts as absent.
    (429, None, Some(""), all(60.0)),
    (429, None, Some("-1"), all(60.0)),
    (429, None, Some("-0.5"), all(60.0)),
    (429, None, Some("-inf"), all(60.0)),
    (429, None, Some("NaN"), all(60.0)),
    (429, None, Some("soon"), all(60.0)),
    (429, None, Some("10 s"), all(60.0)),
    (429, None, Some("1,5"), all(60.0)),
    (429, None, Some("0x10"), all(60.0)),
    // Dates, from the server's own.
    (429, None, Some("Fri, 20 Nov 2026 10:02:00 GMT"), all(120.0)),
    (429, None, Some("Friday, 20-Nov-26 10:02:00 GMT"), all(120.0)),
    (429, None, Some("Fri Nov 20 10:02:00 2026"), all(120.0)),
    (429, None, Some("Fri, 20 Nov 2026 09:00:00 GMT"), all(0.0)),
    (429, None, Some("Fri, 20 Nov 2099 10:00:00 GMT"), all(DAY)),
    (429, None, Some("Fri, 20 Nov 2026 10:02:00"), all(60.0)),
    (429, None, Some("2026-11-20T10:02:00Z"), all(60.0)),
    // Only a 429 has a meaning for `Retry-After`.
    (200, None, Some("10"), NONE),
    (500, None, Some("10"), NONE),
    (503, None, Some("10"), NONE),
    // `X-Sentry-Rate-Limits`, with any status, wins over `Retry-After`.
    (200, Some("60:error:organization"), None, error(60.0)),
    (200, Some("60:error:organization"), Some("10"), error(60.0)),
    (429, Some("60:error:organization"), Some("10"), error(60.0)),
    (403, Some("60:error:organization"), None, error(60.0)),
    (503, Some("60:error:organization"), None, error(60.0)),
    // Categories: empty, several, unknown.
    (200, Some("60::organization"), None, all(60.0)),
    (200, Some("60: :organization"), None, all(60.0)),
    (200, Some("60:"), None, all(60.0)),
    (200, Some("60"), None, NONE),
    (200, Some("60:error;transaction:key"), None, [None, Some(60.0), Some(60.0)]),
    (200, Some("60: error ; transaction :key"), None, [None, Some(60.0), Some(60.0)]),
    (200, Some("60:error;error:key"), None, error(60.0)),
    (200, Some("60:;error:key"), None, error(60.0)),
    (200, Some("60:replay:key"), None, NONE),
    (200, Some("60:replay;error:key"), None, error(60.0)),
    (200, Some("60:ERROR:key"), None, NONE),
    (200, Some("60:error"), None, error(60.0)),
    (200, Some("60:error:key:quota_exceeded:ns1;ns2"), None, error(60.0)),
    (200, Some("60:error:key:a:b:c:d"), None, error(60.0)),
    // Several limits: the longest of each category.
    (200, Some("60:error:key,10:error:org"), None, error(60.0)),
    (200, Some("10:error:key, 60:error:org"), None, error(60.0)),
    (200, Some("10:error:key, 60:transaction:org, 5::org"), None, [Some(5.0), Some(10.0), Some(60.0)]),
    (200, Some(",,60:error:key,,"), None, error(60.0)),
    (200, Some("60:error:key,garbage,20:transaction:key"), None, [None, Some(60.0), Some(20.0)]),
    // Durations that cannot be read drop their limit alone.
    (200, Some("2.5:error:key"), None, error(2.5)),
    (200, Some(" 60 :error:key"), None, error(60.0)),
    (200, Some("0:error:key"), None, error(0.0)),
    (200, Some("-1:error:key, 5:transaction:key"), None, [None, None, Some(5.0)]),
    (200, Some(":error:key"), None, NONE),
    (200, Some("NaN:error:key"), None, NONE),
    (200, Some("1e300:error:key"), None, error(DAY)),
    (200, Some("sixty:error:key"), None, NONE),
    (200, Some(""), None, NONE),
    (429, Some(""), Some("10"), NONE),
];

#[test]
fn the_whole_grammar() {
    assert!(GRAMMAR.len() >= 60);
    for (number, (status, rate_limits, retry_after, expected)) in GRAMMAR.iter().enumerate() {
        let mut headers = HeaderMap::new();
        headers.insert("date", HeaderValue::from_static("Fri, 20 Nov 2026 10:00:00 GMT"));
        for (name, value) in [("x-sentry-rate-limits", rate_limits), ("retry-after", retry_after)] {
            if let Some(value) = value {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
        }
        let now = Instant::now();
        let mut limits = RateLimits::default();

        limits.note(StatusCode::from_u16(*status).unwrap_or_default(), &headers, now);

        let read = [None, Some(Category::Error), Some(Category::Transaction)]
            .map(|category| limits.until.get(&category).map(|until| until.duration_since(now).as_secs_f64()));
        assert_eq!(read, *expected, "row {number}: {status} {rate_limits:?} {retry_after:?}");
    }
}

#[test]
fn a_date_counts_from_our_clock_only_if_the_server_has_none() {
    let date = "Fri, 20 Nov 2026 10:02:00 GMT";
    let headers = HeaderMap::from_iter([(::http::header::RETRY_AFTER, HeaderValue::from_static(date))]);
    let now = httpdate::parse_http_date("Fri, 20 Nov 2026 10:00:00 GMT").unwrap_or(SystemTime::UNIX_EPOCH);

    assert_eq!(retry_after(&headers, now), Some(Duration::from_secs(120)));
}
