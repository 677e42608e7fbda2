//! Whether a span failed, by OpenTelemetry's rules.

use opentelemetry_proto::tonic::trace::v1::Status;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use crate::protocol::SpanStatus;

/// Whether a span failed.
///
/// On a server, only what the server is to blame for is a failure: an HTTP status from 500 on, and six of gRPC's. For all
/// other spans, it is every status except `ok` and `cancelled`; a client also counts an HTTP status from 400 on.
pub(super) fn has_failed(kind: SpanKind, status: SpanStatus, code: Option<u64>) -> bool {
    if kind == SpanKind::Server {
        let is_of_server = matches!(
            status,
            SpanStatus::Unknown
                | SpanStatus::DeadlineExceeded
                | SpanStatus::Unimplemented
                | SpanStatus::InternalError
                | SpanStatus::Unavailable
                | SpanStatus::DataLoss
        );
        return is_of_server || code.is_some_and(|code| code >= 500);
    }
    let is_refused = kind == SpanKind::Client && code.is_some_and(|code| code >= 400);
    is_refused || !matches!(status, SpanStatus::Ok | SpanStatus::Cancelled)
}

/// The status of a span. Success stays unset: `OK` is for the application alone.
pub(super) fn status(has_failed: bool) -> Status {
    let code = if has_failed { StatusCode::Error } else { StatusCode::Unset };
    Status { code: code.into(), message: String::new() }
}

/// The names of gRPC's codes, by number.
pub(super) const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_fails_from_500_on_and_a_client_from_400_on() {
        for code in 100..=599 {
            let status = SpanStatus::from_http(code);

            let failed = |kind| has_failed(kind, status, Some(code.into()));

            assert_eq!(failed(SpanKind::Server), code >= 500, "{code}");
            assert_eq!(failed(SpanKind::Client), code >= 400, "{code}");
        }
    }

    #[test]
    fn without_a_code_the_status_decides() {
        for (kind, status, expected) in [
            (SpanKind::Server, SpanStatus::NotFound, false),
            (SpanKind::Server, SpanStatus::Cancelled, false),
            (SpanKind::Server, SpanStatus::Unknown, true),
            (SpanKind::Server, SpanStatus::DataLoss, true),
            (SpanKind::Internal, SpanStatus::Ok, false),
            (SpanKind::Internal, SpanStatus::Cancelled, false),
            (SpanKind::Internal, SpanStatus::NotFound, true),
            (SpanKind::Consumer, SpanStatus::InternalError, true),
        ] {
            assert_eq!(has_failed(kind, status, None), expected, "{kind:?} {status}");
        }
    }
}
