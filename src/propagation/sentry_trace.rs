//! `sentry-trace: <trace id>-<span id>[-<0|1>]`

use crate::protocol::{SpanId, TraceId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SentryTrace {
    pub(super) trace_id: TraceId,
    pub(super) parent: SpanId,
    pub(super) sampled: Option<bool>,
}

/// Reads the header; anything that is not exactly its grammar counts as absent.
pub(super) fn parse(header: &str) -> Option<SentryTrace> {
    let mut parts = header.trim().split('-');
    let trace_id = parts.next()?.parse().ok()?;
    let parent = parts.next()?.parse().ok()?;
    let sampled = match parts.next() {
        None => None,
        Some("0") => Some(false),
        Some("1") => Some(true),
        Some(_) => return None,
    };
    parts.next().is_none().then_some(SentryTrace { trace_id, parent, sampled })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
