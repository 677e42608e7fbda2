//! What a transport returns.

use std::fmt;

use ::http::{HeaderMap, StatusCode};
use bytes::Bytes;

use crate::unwind;

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
    /// Of the headers, the exporter reads `retry-after` and `x-sentry-rate-limits`. A warning about a
    /// refusal shows `x-sentry-error` and `location`.
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

    /// What the server says about a refusal, for a warning: its reason, and where it redirects to.
    ///
    /// It starts with a space, or is empty.
    pub(crate) fn explanation(&self) -> String {
        let shown = |name: &str| {
            let text = String::from_utf8_lossy(self.headers.get(name)?.as_bytes()).into_owned();
            // The server may be hostile: no control characters in the log.
            let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(SHOWN).collect();
            Some(format!("{name}: {text}"))
        };
        let location = if self.status.is_redirection() { shown("location") } else { None };
        let parts: Vec<_> = shown("x-sentry-error").into_iter().chain(location).collect();
        if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
    }
}

/// The part of a header that a warning shows, in characters.
const SHOWN: usize = 200;

/// The reason why the server did not answer. The exporter keeps the envelope and sends it again.
///
/// | kind | first | then, if no other envelope is answered meanwhile |
/// |---|---|---|
/// | [`unreachable`](Self::unreachable) | | a pause that grows up to a minute |
/// | [`timed_out`](Self::timed_out) | once more at once, on a new connection | the same |
/// | [`interrupted`](Self::interrupted) | once more at once, on a new connection | a pause of up to two seconds, because the envelope may be the cause |
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
/// assert!(TransportError::timed_out().is_timed_out());
/// ```
#[derive(Debug)]
pub struct TransportError {
    kind: Kind,
    source: BoxError,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Interrupted,
    TimedOut,
    Unreachable,
}

impl TransportError {
    /// There was no connection.
    pub fn unreachable(source: impl Into<BoxError>) -> Self {
        Self { kind: Kind::Unreachable, source: source.into() }
    }

    /// The connection broke during the request, or a proxy answered instead of the server.
    pub fn interrupted(source: impl Into<BoxError>) -> Self {
        Self { kind: Kind::Interrupted, source: source.into() }
    }

    /// There was a connection, but no answer in time.
    pub fn timed_out() -> Self {
        Self { kind: Kind::TimedOut, source: std::io::Error::from(std::io::ErrorKind::TimedOut).into() }
    }

    /// Whether there was no connection.
    pub fn is_unreachable(&self) -> bool {
        self.kind == Kind::Unreachable
    }

    /// Whether there was no answer in time.
    pub fn is_timed_out(&self) -> bool {
        self.kind == Kind::TimedOut
    }

    /// Returns the text of the innermost cause.
    ///
    /// The texts of HTTP clients say only that connecting or sending failed. The error may be that of
    /// a transport of the user's, and its `Display` may panic.
    pub(crate) fn reason(&self) -> String {
        unwind::catch(|| self.innermost()).unwrap_or_else(|| "its text cannot be shown: it panics".to_owned())
    }

    fn innermost(&self) -> String {
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
        f.write_str(match self.kind {
            Kind::Interrupted => "the server hangs up without an answer",
            Kind::TimedOut => "the server does not answer",
            Kind::Unreachable => "the server cannot be reached",
        })
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
