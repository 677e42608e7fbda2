//! The scope of a request, its handle, and the data that is added to everything captured in it.
//!
//! A request owns one scope from its first byte to the last byte of its response body. The scope is
//! current during each poll of the request's future and body, by a swap of a thread-local. So it
//! follows the work across threads, and never stays on a thread after the poll.
//!
//! Outside any request, [`Scope::current`] returns a detached scope. Data set on it does not affect
//! any other scope.

mod begin;
mod bind;
mod capture;
pub(crate) mod current;
mod feedback;
mod finish;
mod log;
mod nested;
mod outgoing;
mod set;
mod span;
mod state;

use std::fmt;
use std::sync::Arc;

pub(crate) use begin::continue_or_begin;
pub use bind::Scoped;
pub(crate) use capture::{Capture, capture_outside, capture_panic};
pub use capture::{capture_error, capture_message};
pub(crate) use finish::Ending;
pub(crate) use log::LogPlace;
pub(crate) use span::OwnSpan;
pub use span::{Spanned, span};
pub(crate) use state::{Extent, Kind, Shared};

use self::nested::Nested;
use crate::client::{Settings, default_client};
use crate::protocol::{EventId, Level, TraceId};
use crate::record::Parent;

/// A handle to the scope of a request or job: cheap to clone, usable from any thread.
///
/// Get it with [`Scope::current`], or as an axum extractor. Data set on it is added to the
/// transaction and to every event of the same request. This holds across `.await`, in middleware
/// and in a streaming body.
///
/// All data set in one request may have 256 KiB together; further data is ignored. Attachments have
/// a limit of their own, see [`add_attachment`](Self::add_attachment).
///
/// # Examples
///
/// ```
/// use tower_sentry::{Breadcrumb, Scope, User};
///
/// let scope = Scope::current();
/// scope.set_user(User::id(42)).set_tag("plan", "gold");
/// scope.add_breadcrumb(Breadcrumb::new("charge started").category("payment"));
/// ```
#[derive(Clone)]
pub struct Scope {
    /// None while monitoring is off.
    shared: Option<Arc<Shared>>,
    /// The span that was active when the handle was made: the parent of work bound to the handle.
    span: Parent,
    /// If set, data goes into this nested scope only.
    nested: Option<Arc<Nested>>,
}

impl Scope {
    /// The scope of the current request, or a detached scope outside any request.
    pub fn current() -> Self {
        current::handle().unwrap_or_else(Self::detached)
    }

    /// A scope without a transaction, for events outside any request.
    fn detached() -> Self {
        let client = default_client();
        let shared = client.is_enabled().then(|| Arc::new(Shared::detached(client)));
        Self { shared, span: Parent::Root, nested: None }
    }

    /// A scope that discards everything.
    const fn off() -> Self {
        Self { shared: None, span: Parent::Root, nested: None }
    }

    pub(crate) fn new(shared: Arc<Shared>, span: Parent) -> Self {
        let nested = nested::of(&shared);
        Self { shared: Some(shared), span, nested }
    }

    /// The id of the trace this scope belongs to, for log lines or an error page.
    ///
    /// None while monitoring is off.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.shared.as_ref().map(|shared| shared.lock().transaction.record.trace.trace_id)
    }

    /// Captures an error with its chain of sources. See [`capture_error`].
    pub fn capture_error(&self, error: &(dyn std::error::Error + 'static)) -> EventId {
        self.capture(Capture::error(error))
    }

    /// Captures a message. See [`capture_message`].
    pub fn capture_message(&self, level: Level, message: impl Into<String>) -> EventId {
        self.capture(Capture::message(level, message.into()))
    }

    /// Makes this scope current while `work` runs, for closures in `spawn_blocking` and elsewhere.
    pub fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        match &self.shared {
            Some(shared) => current::enter(shared, Some(self.span), || nested::enter(self.nested.clone(), work)),
            None => work(),
        }
    }

    /// Wraps a future so that this scope is current in it, for `tokio::spawn`.
    ///
    /// Spans in it are children of the span that is active here.
    pub fn bind<F: Future>(&self, future: F) -> Scoped<F> {
        Scoped::new(self.clone(), future)
    }

    /// Runs `work` with a nested scope that begins as a copy of this one.
    ///
    /// Data set inside, through the passed handle or [`Scope::current`], is added only to events
    /// captured inside. Breadcrumbs and spans still belong to the request.
    ///
    /// Work that is spawned inside keeps the nested scope if it is [bound](Self::bind) to the
    /// handle. So does a future that `work` returns:
    /// `scope.with(|scope| scope.bind(async { … })).await`. A future that is not bound is polled
    /// after the nested scope has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::{Level, Scope};
    ///
    /// Scope::current().with(|scope| {
    ///     scope.set_tag("warehouse", "eu-1");
    ///     tower_sentry::capture_message(Level::Warning, "stock is low"); // has the tag
    /// });
    /// tower_sentry::capture_message(Level::Info, "done"); // does not have the tag
    /// ```
    pub fn with<R>(&self, work: impl FnOnce(&Self) -> R) -> R {
        let Some(shared) = &self.shared else { return work(self) };
        let nested = match &self.nested {
            Some(outer) => outer.data(),
            None => shared.lock().transaction.record.set.clone(),
        };
        let inner = Self { nested: Some(Arc::new(Nested::new(Arc::clone(shared), nested))), ..self.clone() };
        inner.enter(|| work(&inner))
    }

    /// The settings of the client. None while monitoring is off, and for an ignored request.
    pub(crate) fn settings(&self) -> Option<&Settings> {
        self.shared.as_ref()?.client.settings()
    }

    pub(crate) fn capture(&self, capture: Capture) -> EventId {
        match &self.shared {
            Some(shared) => nested::enter(self.nested.clone(), || shared.capture(capture, self.span)),
            None => EventId::nil(),
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("is_enabled", &self.shared.is_some()).finish_non_exhaustive()
    }
}
