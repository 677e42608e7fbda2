//! The status of spans.

use std::fmt;

use serde::de::IntoDeserializer as _;
use serde::de::value::Error;
use serde::{Deserialize, Serialize};

/// How a span or a transaction ended, in the protocol's terms (those of gRPC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SpanStatus {
    /// Success.
    #[default]
    Ok,
    /// The client disconnected, or the work was dropped.
    Cancelled,
    /// The outcome is unknown.
    Unknown,
    /// The client's request was invalid.
    InvalidArgument,
    /// A timeout expired.
    DeadlineExceeded,
    /// The resource does not exist.
    NotFound,
    /// The resource exists already.
    AlreadyExists,
    /// The caller does not have the permission.
    PermissionDenied,
    /// A quota or rate limit was reached.
    ResourceExhausted,
    /// The state of the system does not allow the operation.
    FailedPrecondition,
    /// The operation was aborted, for example by a conflict.
    Aborted,
    /// A value was out of range.
    OutOfRange,
    /// The operation is not implemented.
    Unimplemented,
    /// The service failed: with a 5xx, an error or a panic.
    InternalError,
    /// The service is temporarily unavailable.
    Unavailable,
    /// Data was lost or corrupted.
    DataLoss,
    /// The caller is not authenticated.
    Unauthenticated,
}

impl SpanStatus {
    /// The name in the protocol.
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

    /// The status of this name in the protocol.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::deserialize(name.into_deserializer()).map_err(|_: Error| ()).ok()
    }

    /// The status for an HTTP response, by the protocol's table.
    ///
    /// 1xx to 3xx are [`Ok`](Self::Ok). A 4xx that is not in the table is
    /// [`InvalidArgument`](Self::InvalidArgument), and a 5xx
    /// [`InternalError`](Self::InternalError). Codes outside 100–599 are
    /// [`Unknown`](Self::Unknown).
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
