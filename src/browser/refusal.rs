//! The reasons for which the routes refuse a request.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::diagnostics::Quiet;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// All places are taken.
    Busy,
    /// It did not arrive completely in time.
    BrokenOff,
    /// Our own code failed.
    Failed,
    /// It is not what the route expects.
    Malformed(&'static str),
    /// Another site sent it.
    OtherOrigin,
    TooLarge,
    /// There were too many. The next one may come after this time.
    TooMany(Duration),
    /// The server of the project did not answer.
    Unanswered,
    /// The DSN is not listed.
    UnknownProject,
    UnknownEncoding,
}

impl Refusal {
    /// The place of its kind among the counters.
    const fn kind(self) -> usize {
        match self {
            Self::Busy => 0,
            Self::BrokenOff => 1,
            Self::Failed => 2,
            Self::Malformed(_) => 3,
            Self::OtherOrigin => 4,
            Self::TooLarge => 5,
            Self::TooMany(_) => 6,
            Self::Unanswered => 7,
            Self::UnknownProject => 8,
            Self::UnknownEncoding => 9,
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::BrokenOff => StatusCode::REQUEST_TIMEOUT,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::OtherOrigin | Self::UnknownProject => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unanswered => StatusCode::BAD_GATEWAY,
            Self::UnknownEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    /// How long the browser should wait.
    fn pause(self) -> Option<Duration> {
        match self {
            Self::TooMany(pause) => Some(pause),
            Self::Busy => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "too many requests are in progress",
            Self::BrokenOff => "the request did not arrive as a whole in time",
            Self::Failed => "the request could not be redacted",
            Self::Malformed(what) => what,
            Self::OtherOrigin => "the request comes from an origin that is not listed",
            Self::TooLarge => "the request is too large",
            Self::TooMany(_) => "there are too many requests",
            Self::Unanswered => "the server of the project did not answer",
            Self::UnknownProject => "the DSN is not listed",
            Self::UnknownEncoding => "expected the encoding gzip, or none",
        })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(format!("{self}\n")));
        *response.status_mut() = self.status();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Some(pause) = self.pause() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(pause.as_secs().max(1)));
        }
        response
    }
}

/// Counts refused requests, and logs a warning for each kind at most once a minute.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    kinds: [(AtomicU64, Quiet); 10],
}

impl Refusals {
    pub(super) fn note(&self, route: &str, refusal: Refusal) {
        let Some((count, quiet)) = self.kinds.get(refusal.kind()) else { return };
        let count = count.fetch_add(1, Ordering::Relaxed) + 1;
        quiet.warn(&format!("{route} refuses what a browser sends: {refusal}; {count} such requests so far"));
    }
}
