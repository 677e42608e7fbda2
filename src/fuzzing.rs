//! Targets for `tests/fuzz`. Each takes any bytes, and panics if a property does not hold.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::protocol::{self, Dsn};
use crate::{exporter, payload, propagation, redaction, spool};

/// The targets, by name.
pub const TARGETS: [(&str, fn(&[u8])); 9] = [
    ("baggage", baggage),
    ("body", payload::fuzz::body),
    ("dsn", dsn),
    ("envelope", envelope),
    ("rate_limit", exporter::fuzz::answer),
    ("redact", redaction::fuzz::text),
    ("segment", spool::fuzz::segment),
    ("sql", payload::fuzz::sql),
    ("url", redaction::fuzz::url),
];

/// The trace headers of a request, one on each line.
fn baggage(data: &[u8]) {
    let mut headers = HeaderMap::new();
    let names = ["sentry-trace", "baggage", "traceparent", "baggage", "sentry-trace"];
    for (name, line) in names.into_iter().cycle().zip(data.split(|byte| *byte == b'\n')) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    if let Some(incoming) = propagation::incoming(&headers) {
        assert!(incoming.baggage.len() <= 8192 + 1024, "the baggage of {} bytes is kept", incoming.baggage.len());
        let _ = incoming.organization();
        let _ = format!("{incoming:?}");
    }
}

fn dsn(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match text.parse::<Dsn>() {
        Ok(dsn) => {
            let url = dsn.envelope_url().to_string();
            assert!(url.ends_with("/envelope/"), "{url}");
            let shown = dsn.to_string();
            assert!(dsn.public_key().len() < 4 || !shown.contains(&format!("//{}@", dsn.public_key())), "the key is shown: {shown}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn envelope(data: &[u8]) {
    if let Ok((_, items)) = protocol::parse(data) {
        assert!(items.iter().map(|item| item.payload.len()).sum::<usize>() <= data.len());
    }
}
