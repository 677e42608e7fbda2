//! The outcome of a response, and whether it counts as a failure of this service.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::protocol::SpanStatus;
use crate::record::without_cut_word;
use crate::status_codes::StatusCodes;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The code for a method that does not exist.
pub(super) const UNIMPLEMENTED: u8 = 12;

/// At most this many bytes of a `grpc-message` are read.
const MESSAGE_LIMIT: usize = 1024;

/// The status of each gRPC code, in the order of `google/rpc/code.proto`.
const GRPC: [SpanStatus; 17] = [
    SpanStatus::Ok,
    SpanStatus::Cancelled,
    SpanStatus::Unknown,
    SpanStatus::InvalidArgument,
    SpanStatus::DeadlineExceeded,
    SpanStatus::NotFound,
    SpanStatus::AlreadyExists,
    SpanStatus::PermissionDenied,
    SpanStatus::ResourceExhausted,
    SpanStatus::FailedPrecondition,
    SpanStatus::Aborted,
    SpanStatus::OutOfRange,
    SpanStatus::Unimplemented,
    SpanStatus::InternalError,
    SpanStatus::Unavailable,
    SpanStatus::DataLoss,
    SpanStatus::Unauthenticated,
];

/// The status codes in the response head and the trailers.
#[derive(Clone, Debug, Default)]
pub(super) struct ResponseCodes {
    /// Whether the response is a gRPC response, whose HTTP status is always 200.
    is_grpc: bool,
    pub(super) http: Option<u16>,
    pub(super) grpc: Option<u8>,
    /// The message of a gRPC call that failed.
    message: Option<Box<str>>,
}

impl ResponseCodes {
    pub(super) fn head(&mut self, status: u16, headers: &HeaderMap) {
        self.http = Some(status);
        // gRPC-Web has its status inside the last data frame, which is not read.
        self.is_grpc = headers
            .get(CONTENT_TYPE)
            .map(HeaderValue::as_bytes)
            .is_some_and(|kind| kind.strip_prefix(b"application/grpc").is_some_and(|rest| !rest.starts_with(b"-web")));
        // A gRPC call that fails at once has its status in the head.
        self.trailers(headers);
    }

    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        if self.is_grpc
            && let Some(code) = trailers.get(GRPC_STATUS).and_then(|code| code.to_str().ok()?.parse().ok())
        {
            self.grpc = Some(code);
            self.message = if code == 0 { None } else { trailers.get(GRPC_MESSAGE).and_then(|text| message(text.as_bytes())) };
        }
    }

    /// Whether the status of a gRPC call is still unknown.
    pub(super) fn is_open(&self) -> bool {
        self.is_grpc && self.grpc.is_none()
    }

    /// The body has ended. A gRPC call without a status is `unknown`, as gRPC's documentation says.
    pub(super) fn end(&mut self) {
        if self.is_open() && self.http == Some(200) {
            self.grpc = Some(2);
        }
    }

    /// Describes the outcome, for the message of an event; `text` is what the service said about it.
    pub(super) fn describe(&self, text: Option<&str>) -> String {
        match (self.grpc, self.http, self.message.as_deref().or(text)) {
            (Some(code), _, Some(message)) => format!("answered with status {code} of gRPC: {message}"),
            (Some(code), _, None) => format!("answered with status {code} of gRPC"),
            (None, Some(code), Some(text)) => format!("answered {code}: {text}"),
            (None, Some(code), None) => format!("answered {code}"),
            (None, None, _) => "gave no answer".to_owned(),
        }
    }

    pub(super) fn status(&self) -> SpanStatus {
        match (self.grpc, self.http) {
            // A code that is not in the table is `unknown`, as gRPC's documentation says.
            (Some(code), _) => GRPC.get(usize::from(code)).copied().unwrap_or(SpanStatus::Unknown),
            (None, Some(code)) => SpanStatus::from_http(code),
            (None, None) => SpanStatus::Unknown,
        }
    }

    /// Whether this service failed.
    ///
    /// The gRPC codes are those that OpenTelemetry counts as server errors, and codes that gRPC
    /// does not define. `unimplemented` (12) does not count: it says that the client called a method
    /// that does not exist, as a 404 does.
    pub(super) fn has_failed(&self, failed: &StatusCodes) -> bool {
        self.http.is_some_and(|code| failed.contains(code)) || matches!(self.grpc, Some(2 | 4 | 13 | 14 | 15 | 17..))
    }
}

/// Reads a `grpc-message`, which is percent-encoded.
fn message(encoded: &[u8]) -> Option<Box<str>> {
    let kept = encoded.get(..MESSAGE_LIMIT).unwrap_or(encoded);
    let text = percent_encoding::percent_decode(kept).decode_utf8_lossy();
    let is_whole = kept.len() == encoded.len();
    let (text, mark) = if is_whole { (&*text, "") } else { (without_cut_word(&text), "…") };
    (!text.trim().is_empty()).then(|| [text.trim(), mark].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_ends_before_the_word_that_is_cut() {
        let secret = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";
        let long = format!("{}{secret}", "refused%20".repeat(MESSAGE_LIMIT / 10));

        let text = message(long.as_bytes()).expect("a text");

        assert!(text.ends_with("refused…") && !text.contains("sk_"), "{text}");
        assert_eq!(message(b"the%20key%20is%20old").as_deref(), Some("the key is old"));
    }

    #[test]
    fn codes_of_grpc_count_only_in_its_responses() {
        let headers = |kind: &str, code: &str| {
            HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().expect("a value")), (GRPC_STATUS, code.parse().expect("a value"))])
        };
        let rows = [
            ("application/grpc", "0", Some(0), SpanStatus::Ok, false),
            ("application/grpc+proto", "5", Some(5), SpanStatus::NotFound, false),
            ("application/grpc-web", "14", None, SpanStatus::Ok, false),
            ("application/grpc", "14", Some(14), SpanStatus::Unavailable, true),
            ("application/grpc", "99", Some(99), SpanStatus::Unknown, true),
            ("application/grpc", "12", Some(12), SpanStatus::Unimplemented, false),
            ("application/grpc", "x", None, SpanStatus::Ok, false),
            ("application/json", "13", None, SpanStatus::Ok, false),
        ];

        for (kind, code, grpc, status, has_failed) in rows {
            let mut outcome = ResponseCodes::default();
            outcome.head(200, &headers(kind, code));
            assert_eq!(
                (outcome.grpc, outcome.status(), outcome.has_failed(&StatusCodes::from(500..=599))),
                (grpc, status, has_failed),
                "{kind} {code}"
            );
        }
    }
}
