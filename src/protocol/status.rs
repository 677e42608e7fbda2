//! How a span ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a span or a transaction ended, in the protocol's words (those of gRPC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SpanStatus {
    /// It did what it should.
    #[default]
    Ok,
    /// The client went away, or the work was dropped.
    Cancelled,
    /// Nothing is known.
    Unknown,
    /// The client's request was at fault.
    InvalidArgument,
    /// It took too long.
    DeadlineExceeded,
    /// There is no such thing.
    NotFound,
    /// There is such a thing already.
    AlreadyExists,
    /// The caller may not.
    PermissionDenied,
    /// A limit was reached.
    ResourceExhausted,
    /// The state does not allow it.
    FailedPrecondition,
    /// A conflict ended it.
    Aborted,
    /// Past the end.
    OutOfRange,
    /// Nobody wrote that yet.
    Unimplemented,
    /// The service failed: a 5xx, an error, a panic.
    InternalError,
    /// The service could not take it now.
    Unavailable,
    /// Data is gone.
    DataLoss,
    /// The caller is not known.
    Unauthenticated,
}

impl SpanStatus {
    /// The word the protocol uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
            Self::InvalidArgument => "invalid_argument",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::PermissionDenied => "permission_denied",
            Self::ResourceExhausted => "resource_exhausted",
            Self::FailedPrecondition => "failed_precondition",
            Self::Aborted => "aborted",
            Self::OutOfRange => "out_of_range",
            Self::Unimplemented => "unimplemented",
            Self::InternalError => "internal_error",
            Self::Unavailable => "unavailable",
            Self::DataLoss => "data_loss",
            Self::Unauthenticated => "unauthenticated",
        }
    }

    /// The status of an HTTP response, by the protocol's table.
    ///
    /// 1xx to 3xx are [`Ok`](Self::Ok); a 4xx without a row of its own is [`InvalidArgument`](Self::InvalidArgument),
    /// a 5xx [`InternalError`](Self::InternalError); what is outside 100–599 is [`Unknown`](Self::Unknown).
    pub const fn from_http(code: u16) -> Self {
        match code {
            100..=399 => Self::Ok,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::NotFound,
            409 => Self::AlreadyExists,
            413 => Self::FailedPrecondition,
            429 => Self::ResourceExhausted,
            499 => Self::Cancelled,
            400..=498 => Self::InvalidArgument,
            501 => Self::Unimplemented,
            503 => Self::Unavailable,
            504 => Self::DeadlineExceeded,
            500..=599 => Self::InternalError,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for SpanStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
