//! Parses `sentry-trace: <trace id>-<span id>[-<0|1>]`.

use crate::protocol::{SpanId, TraceId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SentryTrace {
    pub(super) trace_id: TraceId,
    pub(super) parent: SpanId,
    pub(super) sampled: Option<bool>,
}

/// Parses the header; a value that does not match the grammar counts as absent.
///
/// A proxy joins repeated headers with a comma, so the first valid value counts. An empty flag leaves the
/// decision open, like a missing one.
pub(super) fn parse(header: &str) -> Option<SentryTrace> {
    header.split(',').take(VALUES_LIMIT).find_map(parse_one)
}

/// At most this many values of a header are tried.
pub(super) const VALUES_LIMIT: usize = 4;

fn parse_one(value: &str) -> Option<SentryTrace> {
    let mut parts = value.trim().split('-');
    let trace_id = parts.next()?.parse().ok()?;
    let parent = parts.next()?.parse().ok()?;
    let sampled = match parts.next() {
        None | Some("") => None,
        Some("0") => Some(false),
        Some("1") => Some(true),
        Some(_) => return None,
    };
    parts.next().is_none().then_some(SentryTrace { trace_id, parent, sampled })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn headers_are_read_or_refused_as_in_the_protocols_vectors() {
        let vectors: Value = serde_json::from_str(include_str!("../../tests/fixtures/vectors/sentry_trace.json")).unwrap_or_default();
        let cases = vectors["cases"].as_array().cloned().unwrap_or_default();
        assert!(!cases.is_empty());
        for case in cases {
            let parsed = case["in"].as_str().and_then(parse);
            // Parsers may accept or reject upper-case digits.
            if case["lenient"] == true {
                continue;
            }
            let expected = case["trace_id"].as_str().zip(case["span_id"].as_str()).map(|(trace, span)| (trace.to_owned(), span.to_owned()));
            assert_eq!(parsed.map(|parsed| (parsed.trace_id.to_string(), parsed.parent.to_string())), expected, "{case}");
            assert_eq!(parsed.and_then(|parsed| parsed.sampled), case["sampled"].as_bool(), "{case}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,100}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_written_is_read(flag in proptest::option::of(any::<bool>())) {
            let (trace_id, parent) = (TraceId::new(), SpanId::new());
            let flag_text = flag.map_or(String::new(), |flag| format!("-{}", u8::from(flag)));

            let parsed = parse(&format!("{trace_id}-{parent}{flag_text}"));

            prop_assert_eq!(parsed, Some(SentryTrace { trace_id, parent, sampled: flag }));
        }
    }
}
