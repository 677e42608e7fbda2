//! The trace of an outgoing request.

use super::baggage::{BYTES_LIMIT, MEMBERS_LIMIT};
use super::carrier::Carrier;
use super::sentry_trace::SentryTrace;
use crate::protocol::{SpanId, TraceId};

/// The trace that is propagated to the next service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outgoing {
    pub(crate) trace_id: TraceId,
    /// The caller's span, if the trace came in with a request.
    pub(crate) parent: Option<SpanId>,
    /// The span that becomes the parent of the next service's work.
    pub(crate) span: SpanId,
    pub(crate) sampled: bool,
    /// Sentry's members of `baggage`, as the service that began the trace froze them. Empty if it sent none.
    pub(crate) baggage: String,
}

impl Outgoing {
    /// Returns the value of the `sentry-trace` header.
    pub(crate) fn sentry_trace(&self) -> String {
        format!("{}-{}-{}", self.trace_id, self.span, u8::from(self.sampled))
    }

    /// Returns the value of the `traceparent` header (W3C Trace Context, level 1).
    pub(crate) fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace_id, self.span, u8::from(self.sampled))
    }

    /// Writes the trace into a carrier.
    ///
    /// Members of other vendors in `baggage` stay. If there is a `sentry-trace` already, the application
    /// has set it, and nothing is written. There are two exceptions:
    ///
    /// - `replaces` is set.
    /// - It is the header of the incoming request, which a proxy copies together with all other headers.
    ///
    /// Returns `false` if our members of the baggage had to be left out, because W3C's limits would be
    /// exceeded.
    pub(crate) fn write(&self, carrier: &mut (impl Carrier + ?Sized), with_traceparent: bool, replaces: bool) -> bool {
        let present = carrier.get("sentry-trace").map(|text| super::sentry_trace::parse(&text));
        let came_in = |present: Option<SentryTrace>| {
            present.is_some_and(|present| present.trace_id == self.trace_id && Some(present.parent) == self.parent)
        };
        if present.is_some_and(|present| !replaces && !came_in(present)) {
            return true;
        }
        carrier.set("sentry-trace", self.sentry_trace());
        if with_traceparent {
            carrier.set("traceparent", self.traceparent());
        }
        let present = carrier.get("baggage").unwrap_or_default().into_owned();
        let Merged { line, has_ours } = merge(&present, Some(self.baggage.as_str()).filter(|ours| !ours.is_empty()));
        if let Some(line) = line {
            carrier.set("baggage", line);
        }
        has_ours
    }
}

/// A merged `baggage` header.
#[derive(Debug, PartialEq, Eq)]
struct Merged {
    /// `None` if nothing changes.
    line: Option<String>,
    /// Whether our members are in it, if there are any.
    has_ours: bool,
}

/// Joins the members of other vendors and ours, in this order.
///
/// If W3C's limits would be exceeded, ours are left out.
fn merge(present: &str, ours: Option<&str>) -> Merged {
    let is_ours = |member: &str| member.trim_start().starts_with("sentry-");
    let others: Vec<&str> = present.split(',').filter(|member| !member.trim().is_empty() && !is_ours(member)).collect();
    let has_stale = present.split(',').any(is_ours);
    let mut merged = others.join(",");
    let Some(ours) = ours else { return Merged { line: has_stale.then_some(merged), has_ours: true } };
    let comma = usize::from(!merged.is_empty());
    let fits = merged.len() + comma + ours.len() <= BYTES_LIMIT && others.len() + ours.split(',').count() <= MEMBERS_LIMIT;
    if !fits {
        return Merged { line: has_stale.then_some(merged), has_ours: false };
    }
    if !merged.is_empty() {
        merged.push(',');
    }
    merged.push_str(ours);
    Merged { line: Some(merged), has_ours: true }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use serde_json::Value;

    use super::*;

    fn outgoing() -> Outgoing {
        Outgoing {
            trace_id: "771a43a4192642f0b136d5159a501700".parse().unwrap_or_default(),
            parent: "aaaaaaaaaaaaaaaa".parse().ok(),
            span: "b0e6f15b45c36b12".parse().unwrap_or_default(),
            sampled: true,
            baggage: OURS.to_owned(),
        }
    }

    const OURS: &str = "sentry-trace_id=771a43a4192642f0b136d5159a501700,sentry-public_key=0123456789abcdef0123456789abcdef,\
                        sentry-transaction=GET%20%2Fusers%2F%7Bid%7D%2C%20all";

    #[test]
    fn what_is_written_is_read_again() {
        let mut headers = HeaderMap::new();

        outgoing().write(&mut headers, true, false);

        let read = super::super::incoming(&headers).expect("a trace");
        assert_eq!((read.trace_id, read.parent, read.sampled), (outgoing().trace_id, outgoing().span, Some(true)));
        assert_eq!(read.baggage, OURS);
        assert_eq!(headers["traceparent"], "00-771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-01");
    }

    #[test]
    fn others_members_stay_and_stale_ones_of_ours_go() {
        let mut headers = HeaderMap::new();
        headers.append("baggage", HeaderValue::from_static("vendor=1;prop=2, sentry-release=old"));
        headers.append("baggage", HeaderValue::from_static("other=%20x"));

        outgoing().write(&mut headers, false, false);

        assert_eq!(headers["baggage"], format!("vendor=1;prop=2,other=%20x,{OURS}"));
        assert_eq!(headers.get("traceparent"), None);
    }

    #[test]
    fn an_own_header_of_the_application_stays_with_its_baggage() {
        let mut headers = HeaderMap::new();
        headers.insert("sentry-trace", HeaderValue::from_static("0123456789abcdef0123456789abcdef-b0e6f15b45c36b12-0"));
        let before = headers.clone();

        outgoing().write(&mut headers, true, false);
        assert_eq!(headers, before);

        outgoing().write(&mut headers, true, true);
        assert_eq!(headers["sentry-trace"], "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1", "unless it is to be replaced");

        // The application did not set this header: a proxy passes on the one that came in.
        headers.insert("sentry-trace", HeaderValue::from_static("771a43a4192642f0b136d5159a501700-aaaaaaaaaaaaaaaa-0"));
        outgoing().write(&mut headers, true, false);
        assert_eq!(headers["sentry-trace"], "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1");
    }

    #[test]
    fn the_limits_of_w3c_are_kept() {
        let many = (0..MEMBERS_LIMIT).map(|number| format!("m{number}=1")).collect::<Vec<_>>().join(",");

        let merged = |line: Option<&str>, has_ours| Merged { line: line.map(str::to_owned), has_ours };
        assert_eq!(merge(&many, Some(OURS)), merged(None, false));
        assert_eq!(merge(&format!("a={}", "x".repeat(BYTES_LIMIT - 20)), Some(OURS)), merged(None, false));
        assert_eq!(merge("", Some(OURS)), merged(Some(OURS), true));
        assert_eq!(merge("sentry-release=1,a=2", None), merged(Some("a=2"), true));
    }

    #[test]
    fn traceparents_are_those_of_the_protocols_vectors() {
        let vectors: Value = serde_json::from_str(include_str!("../../tests/fixtures/vectors/traceparent.json")).unwrap_or_default();
        let mut checked = 0;
        for case in vectors["cases"].as_array().into_iter().flatten() {
            let text = |name: &str| case[name].as_str().unwrap_or_default().to_owned();
            let (Ok(trace_id), Ok(span)) = (text("trace_id").parse(), text("span_id").parse()) else { continue };
            let written =
                Outgoing { trace_id, parent: None, span, sampled: case["sampled"].as_bool() == Some(true), baggage: String::new() }
                    .traceparent();
            if let Some(expected) = case["out"].as_str() {
                assert_eq!(written, expected, "{case}");
                checked += 1;
            }
        }
        assert!(checked > 0);
    }
}
