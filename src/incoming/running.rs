//! A request while it is served: its scope is current in each poll, and its transaction ends exactly once.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::task::Poll;

use http::{HeaderMap, Method};

use super::root::Root;
use super::rules::Rules;
use crate::protocol::SpanStatus;
use crate::scope::{OwnSpan, Shared, current};

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

impl Running {
    pub(super) fn root(scope: Arc<Shared>, method: &Method, rules: Arc<Rules>, failed: RangeInclusive<u16>) -> Self {
        Self::Root(Root::new(scope, method, rules, failed))
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

    /// Polls the work. The last poll ends with the head of the response.
    pub(super) fn poll<T>(&mut self, work: impl FnOnce() -> Poll<T>) -> Poll<T> {
        if let Self::Root(root) = self {
            root.resume();
        }
        let polled = self.enter(work);
        if let Self::Root(root) = self
            && polled.is_pending()
        {
            root.suspend();
        }
        polled
    }

    /// What goes on while the body is polled.
    pub(super) fn into_body(self) -> Self {
        match self {
            // The span of a layer further in ends with the head.
            Self::Off | Self::Nested(_) => Self::Off,
            // What an ignored request captures in its body is dropped as well.
            Self::Ignored(ignored) => Self::Ignored(ignored),
            Self::Root(root) if root.is_over() => Self::Off,
            Self::Root(root) => Self::Root(root),
        }
    }

    /// The inner service failed without a response.
    pub(super) fn error(&mut self) {
        match self {
            Self::Off => {}
            Self::Ignored(_) => *self = Self::Off,
            Self::Nested(span) => span.end(SpanStatus::InternalError),
            Self::Root(root) => root.fail("failed without a response"),
        }
    }

    /// A frame of the body was handed on.
    pub(super) fn frame(&mut self, bytes: u64, trailers: Option<&HeaderMap>, is_end: bool) {
        if let Self::Root(root) = self {
            root.frame(bytes, trailers, is_end);
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
            root.fail("failed in the body of its response");
        }
    }
}

impl fmt::Debug for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ignored")
    }
}
