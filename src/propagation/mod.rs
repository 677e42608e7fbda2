//! Trace headers of other services. Everything in them is hostile until parsed: lengths and counts are capped first.

mod baggage;
mod sentry_trace;

use http::{HeaderMap, HeaderName};

use crate::protocol::{DynamicSamplingContext, SpanId, TraceId};

/// What an incoming request says about the trace it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Incoming {
    pub(crate) trace_id: TraceId,
    pub(crate) parent: SpanId,
    /// The parent's decision; none means it left that to us.
    pub(crate) sampled: Option<bool>,
    /// Frozen by whoever began the trace; empty when the baggage had nothing of Sentry's.
    pub(crate) context: Box<DynamicSamplingContext>,
}

/// As constants: looked up by a text, a name is parsed first, for each request.
const SENTRY_TRACE: HeaderName = HeaderName::from_static("sentry-trace");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Reads `sentry-trace`, and `baggage` only beside it.
pub(crate) fn incoming(headers: &HeaderMap) -> Option<Incoming> {
    let header = headers.get(SENTRY_TRACE)?.to_str().ok()?;
    let sentry_trace::SentryTrace { trace_id, parent, sampled } = sentry_trace::parse(header)?;
    let lines = headers.get_all(BAGGAGE).iter().filter_map(|line| line.to_str().ok());
    Some(Incoming { trace_id, parent, sampled, context: Box::new(baggage::parse(lines)) })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn baggage_alone_continues_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert("baggage", HeaderValue::from_static("sentry-trace_id=771a43a4192642f0b136d5159a501700"));

        assert_eq!(incoming(&headers), None);
    }

    #[test]
    fn both_headers_together_continue_the_trace() {
        let mut headers = HeaderMap::new();
        headers.insert("sentry-trace", HeaderValue::from_static("771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-0"));
        headers.append("baggage", HeaderValue::from_static("other=1"));
        headers.append("baggage", HeaderValue::from_static("sentry-sample_rand=0.112233"));

        let incoming = incoming(&headers);

        assert_eq!(incoming.as_ref().and_then(|incoming| incoming.sampled), Some(false));
        assert_eq!(incoming.and_then(|incoming| incoming.context.sample_rand).as_deref(), Some("0.112233"));
    }
}
