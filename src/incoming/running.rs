//! A request while it is served: its scope is current in each poll, and it ends exactly once.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::task::Poll;

use http::{HeaderMap, Method};

use super::root::Root;
use super::rules::Rules;
use crate::protocol::SpanStatus;
use crate::scope::{OwnSpan, Shared, current};

/// The work around each poll.
#[derive(Debug, Default)]
pub(super) enum Running {
    /// Monitoring is off, the transaction has ended, or a nested layer records no span.
    #[default]
    Off,
    /// The route is not recorded: its events go to a scope that discards everything.
    Ignored(Ignored),
    /// An outer layer has the transaction; this one is a span of it.
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

    /// Polls the work. The last poll is closed in `head`, not here.
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

    /// The state for polling the body.
    pub(super) fn into_body(self) -> Self {
        match self {
            // The span of a nested layer ends with the head.
            Self::Off | Self::Nested(_) => Self::Off,
            // Events from the body of an ignored request are dropped too.
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

    /// A frame of the body was delivered.
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
