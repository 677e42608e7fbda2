//! Carries a trace from one service to the next.
//!
//! Reads and writes `sentry-trace`, `baggage` and W3C's `traceparent` in the headers of a request,
//! a message or a job.
//!
//! Incoming values are hostile until parsed: lengths and counts are limited first.

mod baggage;
mod carrier;
mod outgoing;
mod sentry_trace;
mod settings;
mod target;
mod traceparent;

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use self::baggage::Sentrys;
pub(crate) use self::baggage::{context, member, of_context};
pub use self::carrier::Carrier;
pub(crate) use self::outgoing::Outgoing;
use self::sentry_trace::{SentryTrace, VALUES_LIMIT};
pub(crate) use self::settings::PropagationSettings;
pub(crate) use self::target::{Target, is_target};
use crate::protocol::{SpanId, SpanLink, TraceId};

/// The trace of an incoming request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Incoming {
    pub(crate) trace_id: TraceId,
    pub(crate) parent: SpanId,
    /// The parent's decision; `None` means the parent left it to us.
    pub(crate) sampled: Option<bool>,
    /// Sentry's members of the baggage, as the service that began the trace froze them.
    pub(crate) baggage: String,
    /// The baggage was too long to be read whole.
    pub(crate) is_baggage_cut: bool,
    /// Whether the trace comes from this process, and so cannot be forged.
    pub(crate) is_own: bool,
}

impl Incoming {
    /// Returns the organisation that began the trace.
    pub(crate) fn organization(&self) -> Option<Cow<'_, str>> {
        member(&self.baggage, "org_id")
    }
}

/// Constants, because looking a header up by text parses its name for each request.
const SENTRY_TRACE: HeaderName = HeaderName::from_static("sentry-trace");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Whether a header may identify the trace.
pub(crate) fn is_trace_header(name: &str) -> bool {
    matches!(name, "sentry-trace" | "traceparent")
}

/// Reads `sentry-trace`, or `traceparent` if the first is absent or invalid.
///
/// `baggage` is read only together with one of them.
pub(crate) fn incoming(headers: &HeaderMap) -> Option<Incoming> {
    let ours = || headers.get_all(SENTRY_TRACE).iter().take(VALUES_LIMIT).find_map(|value| sentry_trace::parse(short(value)?));
    let theirs = || traceparent::parse(short(headers.get(TRACEPARENT)?)?);
    let SentryTrace { trace_id, parent, sampled } = ours().or_else(theirs)?;
    let Sentrys { members, is_cut } = baggage::sentrys(headers.get_all(BAGGAGE).iter().map(HeaderValue::as_bytes));
    Some(Incoming { trace_id, parent, sampled, baggage: members, is_baggage_cut: is_cut, is_own: false })
}

/// The text of a header that identifies a trace. A longer value is not read.
fn short(value: &HeaderValue) -> Option<&str> {
    const LIMIT: usize = 512;
    if value.len() > LIMIT { None } else { value.to_str().ok() }
}

/// Like [`incoming`], for any carrier.
pub(crate) fn incoming_from(carrier: &(impl Carrier + ?Sized)) -> Option<Incoming> {
    let read = |name, parse: fn(&str) -> Option<SentryTrace>| parse(&carrier.get(name)?);
    let SentryTrace { trace_id, parent, sampled } =
        read("sentry-trace", sentry_trace::parse).or_else(|| read("traceparent", traceparent::parse))?;
    let lines = carrier.get("baggage");
    let Sentrys { members, is_cut } = baggage::sentrys(lines.as_deref().map(str::as_bytes).into_iter());
    Some(Incoming { trace_id, parent, sampled, baggage: members, is_baggage_cut: is_cut, is_own: false })
}

impl SpanLink {
    /// A link to the sender of a request, a message or a job, by its `sentry-trace` or `traceparent`.
    ///
    /// Returns `None` if neither header is valid.
    pub fn from_headers(headers: &(impl Carrier + ?Sized)) -> Option<Self> {
        let Incoming { trace_id, parent, sampled, .. } = incoming_from(headers)?;
        Some(Self { sampled, ..Self::new(trace_id, parent) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baggage_alone_continues_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert("baggage", HeaderValue::from_static("sentry-trace_id=771a43a4192642f0b136d5159a501700"));

        assert_eq!(incoming(&headers), None);
    }

    #[test]
    fn a_traceparent_counts_where_sentry_trace_does_not() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_static("00-771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-01"));
        let of = |headers: &HeaderMap| incoming(headers).map(|incoming| (incoming.trace_id.to_string(), incoming.sampled));

        assert_eq!(of(&headers), Some(("771a43a4192642f0b136d5159a501700".to_owned(), Some(true))));
        headers.insert("sentry-trace", HeaderValue::from_static("nonsense"));
        assert_eq!(of(&headers), Some(("771a43a4192642f0b136d5159a501700".to_owned(), Some(true))));
        headers.insert("sentry-trace", HeaderValue::from_static("0123456789abcdef0123456789abcdef-b0e6f15b45c36b12-0"));
        assert_eq!(of(&headers), Some(("0123456789abcdef0123456789abcdef".to_owned(), Some(false))));
    }

    #[test]
    fn a_header_that_is_too_long_is_not_read() {
        let ours = "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1";
        let w3c = "01-771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-01-";
        for (name, start) in [("sentry-trace", format!("{ours},")), ("traceparent", w3c.to_owned())] {
            for (length, is_read) in [(512, true), (513, false), (700_000, false)] {
                let value = format!("{start}{}", "x".repeat(length - start.len()));
                let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::try_from(value).unwrap())]);

                assert_eq!(incoming(&headers).is_some(), is_read, "{name} of {length} bytes");
            }
        }
    }

    #[test]
    fn both_headers_together_continue_the_trace() {
        let mut headers = HeaderMap::new();
        headers.insert("sentry-trace", HeaderValue::from_static("771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-0"));
        headers.append("baggage", HeaderValue::from_static("other=1"));
        headers.append("baggage", HeaderValue::from_static("sentry-sample_rand=0.112233"));

        let incoming = incoming(&headers);

        assert_eq!(incoming.as_ref().and_then(|incoming| incoming.sampled), Some(false));
        assert_eq!(incoming.map(|incoming| incoming.baggage).as_deref(), Some("sentry-sample_rand=0.112233"));
    }

    #[test]
    fn headers_and_messages_are_read_alike() {
        let ours = |flag: &str| ("sentry-trace", format!("771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12{flag}"));
        let w3c = |flags: &str| ("traceparent", format!("00-0123456789abcdef0123456789abcdef-aaaaaaaaaaaaaaaa-{flags}"));
        let (of_ours, of_w3c) = ("771a43a4192642f0b136d5159a501700", "0123456789abcdef0123456789abcdef");
        // Incoming headers, expected trace, expected decision.
        let rows = [
            (vec![], None, None),
            (vec![ours("-1")], Some(of_ours), Some(true)),
            (vec![ours("-0")], Some(of_ours), Some(false)),
            (vec![ours("")], Some(of_ours), None),
            (vec![w3c("01")], Some(of_w3c), Some(true)),
            // A proxy that does not set the flag has not decided.
            (vec![w3c("00")], Some(of_w3c), None),
            (vec![w3c("00"), ours("-1")], Some(of_ours), Some(true)),
            (vec![ours("-0"), w3c("01")], Some(of_ours), Some(false)),
            (vec![ours("-2"), w3c("01")], Some(of_w3c), Some(true)),
            (vec![ours("-")], Some(of_ours), None),
            // A proxy has joined two lines.
            (vec![ours("-1, 0123456789abcdef0123456789abcdef-aaaaaaaaaaaaaaaa-0")], Some(of_ours), Some(true)),
            (vec![("sentry-trace", format!("nonsense,{}", ours("-0").1))], Some(of_ours), Some(false)),
            (vec![("sentry-trace", format!("1,2,3,4,{}", ours("-0").1))], None, None),
        ];

        for (row, trace, sampled) in rows {
            let headers: HeaderMap =
                row.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::try_from(value).unwrap())).collect();
            let message: std::collections::HashMap<String, String> =
                row.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            for read in [incoming(&headers), incoming_from(&message)] {
                let found = read.as_ref().map(|read| read.trace_id.to_string());
                assert_eq!((found.as_deref(), read.and_then(|read| read.sampled)), (trace, sampled), "{row:?}");
            }
        }
    }
}
