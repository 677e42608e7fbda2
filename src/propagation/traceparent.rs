//! Parses `traceparent: 00-<trace id>-<span id>-<flags>` (W3C Trace Context, level 1).

use super::sentry_trace::SentryTrace;

/// Parses the header; a value that does not match the grammar counts as absent.
///
/// Later versions may append fields, as the specification says.
///
/// Only a set "sampled" flag is a decision. A cleared flag may come from any proxy on the way, so
/// the decision is left to us.
pub(super) fn parse(header: &str) -> Option<SentryTrace> {
    let mut parts = header.trim().split('-');
    let (version, trace_id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str| text.len() == 2 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_hex(version) || version == "ff" || !is_hex(flags) || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let is_lower = |text: &str| !text.bytes().any(|byte| byte.is_ascii_uppercase());
    if !is_lower(trace_id) || !is_lower(parent) {
        return None;
    }
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    Some(SentryTrace { trace_id: trace_id.parse().ok()?, parent: parent.parse().ok()?, sampled: sampled.then_some(true) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_the_protocols_vectors_write_is_read() {
        let vectors: Value = serde_json::from_str(include_str!("../../tests/fixtures/vectors/traceparent.json")).unwrap_or_default();
        let cases = vectors["cases"].as_array().cloned().unwrap_or_default();
        assert!(!cases.is_empty());
        for case in cases {
            let parsed = case["out"].as_str().and_then(parse);
            let ids = parsed.map(|parsed| (parsed.trace_id.to_string(), parsed.parent.to_string()));
            assert_eq!(
                ids,
                case["trace_id"].as_str().zip(case["span_id"].as_str()).map(|(trace, span)| (trace.to_owned(), span.to_owned()))
            );
            assert_eq!(parsed.and_then(|parsed| parsed.sampled), case["sampled"].as_bool().filter(|sampled| *sampled), "{case}");
        }
    }

    #[test]
    fn what_the_specification_forbids_is_absent() {
        let (trace, span) = ("771a43a4192642f0b136d5159a501700", "b0e6f15b45c36b12");
        for header in [
            format!("ff-{trace}-{span}-01"),
            format!("00-{trace}-{span}-01-more"),
            format!("00-{trace}-{span}"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("0-{trace}-{span}-01"),
            format!("00-{trace}-{span}-1"),
        ] {
            assert_eq!(parse(&header), None, "{header}");
        }
        assert!(parse(&format!("01-{trace}-{span}-03-more")).is_some_and(|parsed| parsed.sampled == Some(true)));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,100}") {
            let _ = parse(&text);
        }
    }
}
