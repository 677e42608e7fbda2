//! What a transport returns.

use std::fmt;

use ::http::{HeaderMap, StatusCode};
use bytes::Bytes;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A server's answer has only a few bytes. No more than this is kept.
pub(super) const RESPONSE_LIMIT: usize = 64 * 1024;

/// The answer of a server to an envelope.
///
/// # Examples
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use tower_sentry::transport::TransportResponse;
///
/// let response = TransportResponse::new(StatusCode::OK, HeaderMap::new(), "{}");
/// assert_eq!(response.status(), 200);
/// ```
#[derive(Clone, Debug)]
pub struct TransportResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl TransportResponse {
    /// Creates an answer. Only the first 64 KiB of the body are kept.
    ///
    /// Of the headers, the exporter reads `retry-after` and `x-sentry-rate-limits`.
    pub fn new(status: StatusCode, headers: HeaderMap, body: impl Into<Bytes>) -> Self {
        let mut body = body.into();
        body.truncate(RESPONSE_LIMIT);
        Self { status, headers, body }
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// At most the first 64 KiB of the body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

/// Why there is no answer of the server. The exporter keeps the envelope and sends it again.
///
/// The two kinds differ in the pause before the next attempt: up to a minute for a server that is
/// [`unreachable`](Self::unreachable), up to two seconds for an
/// [`interrupted`](Self::interrupted) request, whose envelope may be the cause.
///
/// # Examples
///
/// ```
/// use std::error::Error as _;
/// use tower_sentry::transport::TransportError;
///
/// let error = TransportError::unreachable("connection refused");
/// assert!(error.is_unreachable());
/// assert_eq!(error.source().unwrap().to_string(), "connection refused");
/// ```
#[derive(Debug)]
pub struct TransportError {
    is_unreachable: bool,
    source: BoxError,
}

impl TransportError {
    /// There was no connection, or no answer in time.
    pub fn unreachable(source: impl Into<BoxError>) -> Self {
        Self { is_unreachable: true, source: source.into() }
    }

    /// The connection broke during the request, or a proxy answered instead of the server.
    pub fn interrupted(source: impl Into<BoxError>) -> Self {
        Self { is_unreachable: false, source: source.into() }
    }

    /// The answer did not come in time.
    pub(crate) fn timed_out() -> Self {
        Self::unreachable(std::io::Error::from(std::io::ErrorKind::TimedOut))
    }

    /// Whether there was no connection, or no answer in time.
    pub fn is_unreachable(&self) -> bool {
        self.is_unreachable
    }

    /// Returns the text of the innermost cause.
    ///
    /// The texts of HTTP clients say only that connecting or sending failed.
    pub(crate) fn reason(&self) -> String {
        let mut cause: &(dyn std::error::Error + 'static) = &*self.source;
        while let Some(next) = cause.source() {
            cause = next;
        }
        match cause.downcast_ref::<std::io::Error>() {
            Some(error) if error.kind() == std::io::ErrorKind::TimedOut => "timed out".to_owned(),
            _ => cause.to_string(),
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_unreachable { "the server cannot be reached" } else { "the server hangs up without an answer" })
    }
}

impl std::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_the_first_64_kib_of_its_body() {
        let response = TransportResponse::new(StatusCode::OK, HeaderMap::new(), vec![7; 100_000]);

        assert_eq!(response.body().len(), RESPONSE_LIMIT);
    }

    #[test]
    fn the_reason_is_the_innermost_cause() {
        let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
        let inside = TransportError::interrupted("connection reset");

        assert_eq!(TransportError::unreachable(late).reason(), "timed out");
        assert_eq!(TransportError::unreachable(inside).reason(), "connection reset");
    }
}
