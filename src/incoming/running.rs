//! A request while it is served: its scope is current in each poll, and its transaction ends exactly once.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::capture_error::CaptureError;
use crate::protocol::SpanStatus;
use crate::record::{Parent, ResponseFacts};
use crate::scope::{Ending, OwnSpan, Shared, current};

/// What is done around each poll.
#[derive(Debug, Default)]
pub(super) enum Running {
    /// Monitoring is off, or the transaction has ended.
    #[default]
    Off,
    /// The route is not recorded: a scope that forgets everything keeps its events from getting elsewhere.
    Ignored(Ignored),
    /// A layer further out has the transaction; this one is a span of it.
    Nested(OwnSpan),
    /// The request's own transaction.
    Root(Root),
}

pub(super) struct Ignored(pub(super) Arc<Shared>);

/// The transaction of a request.
pub(super) struct Root {
    /// None once it has ended.
    scope: Option<Arc<Shared>>,
    is_head: bool,
    status: Option<StatusCode>,
    /// The body's length where it is known from the start.
    expected: Option<u64>,
    bytes: u64,
    was_polled: bool,
    /// True while code of the request runs; still true in `Drop` when that code panicked.
    is_inside: bool,
    /// Where the client was lost.
    cancelled: Option<&'static str>,
}

impl Running {
    pub(super) fn root(scope: Arc<Shared>, method: &Method) -> Self {
        let is_head = method == Method::HEAD;
        let scope = Some(scope);
        Self::Root(Root { scope, is_head, status: None, expected: None, bytes: 0, was_polled: false, is_inside: false, cancelled: None })
    }

    /// Runs a part of the request with its scope current.
    pub(super) fn enter<R>(&mut self, work: impl FnOnce() -> R) -> R {
        match self {
            Self::Off => work(),
            Self::Ignored(Ignored(scope)) => current::enter(scope, None, work),
            Self::Nested(span) => span.enter(work),
            Self::Root(root) => root.enter(work),
        }
    }

    /// What goes on while the body is polled.
    pub(super) fn into_body(self) -> Self {
        match self {
            // The span of a layer further in ends with the head.
            Self::Off | Self::Nested(_) => Self::Off,
            // What an ignored request captures in its body is dropped as well.
            Self::Ignored(ignored) => Self::Ignored(ignored),
            Self::Root(root) if root.scope.is_none() => Self::Off,
            Self::Root(root) => Self::Root(root),
        }
    }

    /// The inner service failed without a response.
    pub(super) fn error(&mut self) {
        match self {
            Self::Off => {}
            Self::Ignored(_) => *self = Self::Off,
            Self::Nested(span) => span.end(SpanStatus::InternalError),
            Self::Root(root) => root.end(SpanStatus::InternalError, true),
        }
    }

    /// A frame of the body was handed on.
    pub(super) fn frame(&mut self, bytes: u64, is_end: bool) {
        if let Self::Root(root) = self {
            root.bytes += bytes;
            // `is_end_stream` may turn true with the last data frame; hyper then never polls again.
            if is_end {
                root.complete();
            }
        }
    }

    /// The body has ended.
    pub(super) fn complete(&mut self) {
        if let Self::Root(root) = self {
            root.complete();
        }
    }

    /// The body failed.
    pub(super) fn body_error(&mut self) {
        if let Self::Root(root) = self {
            root.end(SpanStatus::InternalError, true);
        }
    }
}

impl Root {
    fn enter<R>(&mut self, work: impl FnOnce() -> R) -> R {
        // Some layers poll a body again after its end: the scope is gone then, and the work goes on without it.
        let Some(scope) = &self.scope else { return work() };
        self.was_polled = true;
        self.is_inside = true;
        let result = current::enter(scope, None, work);
        self.is_inside = false;
        result
    }

    /// The head of the response is there, perhaps with an error that rides on it.
    pub(super) fn head(&mut self, status: StatusCode, error: Option<CaptureError>) {
        let Some(scope) = &self.scope else { return };
        self.status = Some(status);
        self.was_polled = false;
        if let Some(error) = error.filter(|_| self.has_failed()) {
            scope.capture(error.into_capture(), Parent::Root);
        }
        scope.release(status.as_u16());
    }

    /// How long the body will be, where that is known, and whether it has ended already.
    pub(super) fn body(&mut self, expected: Option<u64>, is_end: bool) {
        self.expected = expected;
        // After a handshake the connection is something else, which may live for hours.
        if is_end || self.status == Some(StatusCode::SWITCHING_PROTOCOLS) {
            self.complete();
        }
    }

    /// Whether the response says that the service failed.
    fn has_failed(&self) -> bool {
        let settings = self.scope.as_ref().and_then(|scope| scope.client.settings());
        self.status.zip(settings).is_some_and(|(status, settings)| settings.failed_status_codes.contains(&status.as_u16()))
    }

    fn complete(&mut self) {
        let status = self.status.map_or(SpanStatus::Unknown, |status| SpanStatus::from_http(status.as_u16()));
        self.end(status, self.has_failed());
    }

    fn end(&mut self, status: SpanStatus, has_failed: bool) {
        if let Some(scope) = self.scope.take() {
            let response =
                ResponseFacts { status: self.status.map(|status| status.as_u16()), body_bytes: self.bytes, cancelled: self.cancelled };
            scope.finish(Ending { status, response, has_failed });
        }
    }

    /// The future or the body was dropped before its end, or so it seems.
    fn abandoned(&mut self) {
        let Some(scope) = &self.scope else { return };
        if self.is_inside {
            scope.mark_failed();
            return self.end(SpanStatus::InternalError, true);
        }
        let place = match self.status {
            None => "before_headers",
            Some(status) => {
                // axum drops the bodies of HEAD responses outside of us, and tests drop responses unread.
                let needs_none =
                    self.is_head || status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
                let is_unread = !self.was_polled && (needs_none || self.expected.is_some());
                if is_unread || self.expected.is_some_and(|expected| self.bytes >= expected) {
                    return self.complete();
                }
                "in_body"
            }
        };
        self.cancelled = Some(place);
        self.end(SpanStatus::Cancelled, false);
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.abandoned();
    }
}

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Root")
            .field("status", &self.status)
            .field("bytes", &self.bytes)
            .field("has_ended", &self.scope.is_none())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Ignored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ignored")
    }
}
