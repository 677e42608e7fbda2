//! What a collector says about the spans that it got.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;

/// The part of the collector's message that a warning shows, in characters.
const SHOWN: usize = 200;

/// Spans that a collector did not take, although it answered with a success.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) spans: u64,
    /// What the collector says about it.
    pub(crate) reason: String,
}

/// Reads the answer to a successful request. Returns `None` if the collector has no objections.
///
/// A body that is not a message of OTLP counts as no objection: some receivers answer with other texts.
pub(crate) fn rejected(body: &[u8]) -> Option<Rejected> {
    let partial = ExportTraceServiceResponse::decode(body).ok()?.partial_success?;
    let spans = u64::try_from(partial.rejected_spans).unwrap_or(0);
    // The server may be hostile: no control characters in the log.
    let reason: String = partial.error_message.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(SHOWN).collect();
    (spans > 0 || !reason.is_empty()).then_some(Rejected { spans, reason })
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

    use super::*;

    fn answer(rejected_spans: i64, error_message: &str) -> Vec<u8> {
        let partial_success = Some(ExportTracePartialSuccess { rejected_spans, error_message: error_message.to_owned() });
        ExportTraceServiceResponse { partial_success }.encode_to_vec()
    }

    #[test]
    fn an_answer_names_the_spans_that_were_not_taken() {
        let of = |spans, reason: &str| Some(Rejected { spans, reason: reason.to_owned() });

        assert_eq!(rejected(&answer(3, "too\nold")), of(3, "too old"));
        assert_eq!(rejected(&answer(0, "use another port soon")), of(0, "use another port soon"));
        assert_eq!(rejected(&answer(1, &"x".repeat(1000))), of(1, &"x".repeat(SHOWN)));
        assert_eq!(rejected(&answer(-1, "")), None);
    }

    #[test]
    fn an_empty_answer_and_a_foreign_text_are_no_objection() {
        for body in [&b""[..], b"{}", b"OK", b"<html>"] {
            assert_eq!(rejected(body), None, "{body:?}");
        }
    }
}
