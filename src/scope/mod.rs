//! Who and what is current: the scope of a request, its handle, and what is applied to everything captured in it.
//!
//! A request owns one scope from the first byte of its head to the last of its body. It is made current for the length of
//! each poll of the request's future and body by a swap of a thread-local, so it follows the work over threads and
//! never stays behind. Outside any request [`Scope::current`] gives a detached scope: what is set there reaches nobody else.

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

/// A handle to the scope of a request (or job): cheap to clone, usable from any thread.
///
/// Get it with [`Scope::current`], or as an axum extractor. What is set here reaches the transaction and every event
/// of the same request, before and after any `.await`, also from middleware and from a streaming body. All that is set by hand
/// in one request shares 256 KiB; what comes beyond that is left out.
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
    /// The span that was active when the handle was made; work bound to the handle hangs below it.
    span: Parent,
    /// What is set here stays in here.
    nested: Option<Arc<Nested>>,
}

impl Scope {
    /// The scope of the request that is being served here, or a detached one outside any request.
    pub fn current() -> Self {
        current::handle().unwrap_or_else(Self::detached)
    }

    /// A scope that belongs to nothing, for events outside any request.
    fn detached() -> Self {
        let client = default_client();
        let shared = client.is_enabled().then(|| Arc::new(Shared::detached(client)));
        Self { shared, span: Parent::Root, nested: None }
    }

    /// A scope that forgets everything.
    const fn off() -> Self {
        Self { shared: None, span: Parent::Root, nested: None }
    }

    pub(crate) fn new(shared: Arc<Shared>, span: Parent) -> Self {
        let nested = nested::of(&shared);
        Self { shared: Some(shared), span, nested }
    }

    /// The trace this scope belongs to, to be printed beside log lines or handed to a user. None while monitoring is off.
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

    /// Makes this scope current while `work` runs: for closures that run elsewhere, as in `spawn_blocking`.
    pub fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        match &self.shared {
            Some(shared) => current::enter(shared, Some(self.span), || nested::enter(self.nested.clone(), work)),
            None => work(),
        }
    }

    /// A future in which this scope is current, with the span that was active here as its parent: for `tokio::spawn`.
    pub fn bind<F: Future>(&self, future: F) -> Scoped<F> {
        Scoped::new(self.clone(), future)
    }

    /// Runs `work` with a scope that begins as a copy of this one: what is set in there, through the handle it is given or through
    /// [`Scope::current`], reaches what is captured in there and nothing else. Breadcrumbs are the request's and stay; so do
    /// spans. Work that is spawned in there and [bound](Self::bind) to the handle keeps it; so does a future that `work` returns, if it is bound:
    /// `scope.with(|scope| scope.bind(async { … })).await`. One that is not has left the nested scope before its first poll.
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
    /// tower_sentry::capture_message(Level::Info, "done"); // has it not
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

    /// The settings of the client it belongs to; none while monitoring is off, and for an ignored request.
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
