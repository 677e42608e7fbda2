//! The public types of the protocol, by its own vectors.

use serde_json::Value;
use tower_sentry::protocol::SpanStatus;

#[test]
fn http_statuses_follow_the_table() {
    let table = serde_json::from_str::<Value>(include_str!("../fixtures/vectors/http_status.json")).unwrap();
    let rows = table["static"].as_object().unwrap();
    let mut found = 0;
    for code in 0..=u16::MAX {
        // Sources differ about one of them: the first word is the document's.
        let row = rows.get(&code.to_string()).map(|row| row.as_str().unwrap().split(' ').next().unwrap());
        found += usize::from(row.is_some());
        let of_its_hundred = match code {
            100..=399 => "ok",
            400..=499 => "invalid_argument",
            500..=599 => "internal_error",
            _ => "unknown",
        };
        assert_eq!(SpanStatus::from_http(code).as_str(), row.unwrap_or(of_its_hundred), "{code}");
    }
    assert_eq!(found, rows.len(), "each row is a code");
}
