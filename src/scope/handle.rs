//! The user's handle to a scope.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use super::call_stack::call_stack;
use super::current;
use super::hooks::read_error;
use super::nested::{self, Nested};
use super::state::LiveScope;
use crate::client::{Client, Settings, default_client};
use crate::diagnostics;
use crate::event::{CallStack, CapturableError, CapturedEvent, GivenError};
use crate::protocol::{Event, EventId, Level, TraceId};
use crate::record::Parent;
use crate::unwind::{self, Unwinding};

/// A handle to the scope of a request or job: cheap to clone, usable from any thread.
///
/// Get it with [`Scope::current`], or as an axum extractor. Data set on it is added to the
/// transaction and to every event of the same request. This holds across `.await`, in middleware
/// and in a streaming body.
///
/// # Limits
///
/// The data set in one request is limited to 256 KiB in total. A value that does not fit is replaced with
/// `[left out: 300000 bytes]`, and counted in
/// [`Stats::truncated`](crate::Stats::truncated). Attachments have their own limit, see
/// [`add_attachment`](Self::add_attachment).
///
/// # Outside requests
///
/// Outside any request or job, [`Scope::current`] returns a new scope each time. Only what is captured
/// with that handle has its data. For background work, wrap the work in a
/// [`Client::transaction`](crate::Client::transaction), which records it too, or make the handle current:
///
/// ```
/// use tower_sentry::{Level, Scope};
///
/// # async fn import() {
/// let scope = Scope::current();
/// scope.set_tag("job", "import");
/// scope
///     .bind(async {
///         Scope::current().set_tag("file", "orders.csv"); // the same scope
///         tower_sentry::capture_message(Level::Warning, "the file is empty"); // has both tags
///     })
///     .await;
/// # }
/// ```
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
    pub(super) shared: Option<Arc<LiveScope>>,
    /// The span that was active when the handle was made: the parent of work bound to the handle.
    pub(super) span: Parent,
    /// If set, data goes into this nested scope only.
    pub(super) nested: Option<Arc<Nested>>,
}

impl Scope {
    /// The scope of the current request or job, or a new one [outside](Self#outside-requests) of them.
    pub fn current() -> Self {
        Self::entered().unwrap_or_else(Self::detached)
    }

    /// The scope that is current on this thread, with the active span. None outside any request.
    pub(crate) fn entered() -> Option<Self> {
        current::with(|entered| {
            if !entered.scope.client.is_enabled() {
                return Self::off();
            }
            let span = entered.active();
            // Work bound to the handle may become the span's child, so the span's slot must not be
            // reused.
            entered.scope.lock().transaction.record.hold(span);
            Self::new(Arc::clone(entered.scope), span)
        })
    }

    /// A scope without a transaction, for events outside any request.
    fn detached() -> Self {
        Self::of(default_client())
    }

    /// A scope of a client, without a transaction.
    pub(crate) fn of(client: Client) -> Self {
        let shared = client.is_enabled().then(|| Arc::new(LiveScope::detached(client)));
        Self { shared, span: Parent::Root, nested: None }
    }

    /// A scope that discards everything.
    const fn off() -> Self {
        Self { shared: None, span: Parent::Root, nested: None }
    }

    pub(crate) fn new(shared: Arc<LiveScope>, span: Parent) -> Self {
        let nested = nested::of(&shared);
        Self { shared: Some(shared), span, nested }
    }

    /// The id of the trace that this scope belongs to, for log lines or an error page.
    ///
    /// None while monitoring is off.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.shared.as_ref().map(|shared| shared.lock().transaction.record.trace.trace_id)
    }

    /// Captures an error with its chain of sources. See [`capture_error`](crate::capture_error).
    #[track_caller]
    pub fn capture_error<E, Kind>(&self, error: &E) -> EventId
    where
        E: CapturableError<Kind> + ?Sized,
    {
        self.capture_given(&error.given(), call_stack(Some(Location::caller().into())))
    }

    /// Captures an error that the user captures explicitly. `stack` is that of the call, see [`call_stack`].
    pub(super) fn capture_given(&self, error: &GivenError<'_>, stack: Option<CallStack>) -> EventId {
        let (Some(shared), Some(stack)) = (&self.shared, stack) else { return EventId::nil() };
        let chain = read_error(&shared.client, error, &shared.debug_output().of_capture());
        self.capture(CapturedEvent { detail: error.detail(), ..CapturedEvent::error(chain, stack) })
    }

    /// Captures a message. See [`capture_message`](crate::capture_message).
    #[track_caller]
    pub fn capture_message(&self, level: Level, message: impl Into<String>) -> EventId {
        let stack = CallStack::at(Location::caller());
        self.capture(CapturedEvent { stack, ..CapturedEvent::message(level, message.into()) })
    }

    /// Captures an event that you have built. See [`capture_event`](crate::capture_event).
    #[track_caller]
    pub fn capture_event(&self, event: Event) -> EventId {
        if self.shared.is_none() {
            return EventId::nil();
        }
        let stack = CallStack::at(Location::caller());
        let inner = self.copied();
        inner.enter(|| {
            // Rules for alerts and budgets know the tags of scopes.
            for (name, value) in &event.tags {
                inner.set_tag(name.clone(), value.clone());
            }
            inner.capture(CapturedEvent { stack, ..CapturedEvent::given(event) })
        })
    }

    /// The id of the latest event that was captured in this request or job: by a call, a log or a panic.
    ///
    /// Nested scopes share it. Events that `error_sample_rate` or one of your rules leaves out do not
    /// count. A hook, or the status of the response, may still drop the event later.
    ///
    /// # Examples
    ///
    /// ```
    /// # async fn handler() -> String {
    /// match tower_sentry::Scope::current().last_event_id() {
    ///     Some(event_id) => format!("Something failed. Please quote {event_id}."),
    ///     None => "All is well.".to_owned(),
    /// }
    /// # }
    /// ```
    pub fn last_event_id(&self) -> Option<EventId> {
        self.shared.as_ref()?.lock().last_event
    }

    /// Makes this scope current while `work` runs.
    ///
    /// Use it for a callback that runs on another thread. For `spawn_blocking`,
    /// [`bind_sync`](Self::bind_sync) does the same, and for futures there is [`bind`](Self::bind).
    pub fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        match &self.shared {
            Some(shared) => {
                let work = || current::enter(shared, Some(self.span), || nested::enter(self.nested.clone(), work));
                unwind::watch(work).unwrap_or_else(|unwinding| self.unwound(unwinding))
            }
            None => work(),
        }
    }

    #[cold]
    fn unwound(&self, unwinding: Unwinding) -> ! {
        if let (Some(shared), Some(payload)) = (&self.shared, unwinding.unreported()) {
            nested::enter(self.nested.clone(), || shared.capture_resumed_panic(payload, self.span));
        }
        unwinding.resume()
    }

    /// Runs `work` with a nested scope that begins as a copy of this one.
    ///
    /// Data set inside, through the passed handle or [`Scope::current`], is added only to events
    /// captured inside. Breadcrumbs and spans still belong to the request.
    ///
    /// Work that is spawned inside keeps the nested scope if it is [bound](Self::bind) to the
    /// handle. A future that `work` returns does not: use [`with_async`](Self::with_async).
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
    ///
    /// With an `async` block, rustc says "lifetime may not live long enough: returning this value requires
    /// that `'1` must outlive `'2`". Use [`with_async`](Self::with_async):
    ///
    /// ```compile_fail
    /// # async fn work() {
    /// # use tower_sentry::Scope;
    /// Scope::current().with(|scope| async { scope.set_tag("part", "payment"); }).await;
    /// # }
    /// ```
    pub fn with<R>(&self, work: impl FnOnce(&Self) -> R) -> R {
        if diagnostics::is_unfinished::<R>() {
            diagnostics::explain_unfinished(
                "`Scope::with` ends before its work: the closure only made a future or a closure; `with_async` is for futures",
            );
        }
        let inner = self.copied();
        inner.enter(|| work(&inner))
    }

    /// A nested scope that begins as a copy of this one.
    pub(super) fn copied(&self) -> Self {
        let Some(shared) = &self.shared else { return self.clone() };
        let data = match &self.nested {
            Some(outer) => outer.data(),
            None => shared.lock().transaction.record.set.clone(),
        };
        let nested = Nested::new(Arc::clone(shared), data, self.nested.as_deref());
        Self { shared: Some(Arc::clone(shared)), span: self.running(), nested: Some(Arc::new(nested)) }
    }

    /// The span that is running here, if the scope is current here; else the one of the handle.
    pub(super) fn running(&self) -> Parent {
        let here = |entered: current::Entered<'_>| {
            self.shared.as_ref().is_some_and(|own| Arc::ptr_eq(own, entered.scope)).then(|| entered.active())
        };
        current::with(here).flatten().unwrap_or(self.span)
    }

    /// Leaves the current request out: it has no transaction and no session, and its status is not reported.
    #[cfg(feature = "browser")]
    pub(crate) fn leave_out_current() {
        if let Some(shared) = current::scope() {
            shared.leave_out();
        }
    }

    /// The settings of the client. None while monitoring is off, and for an ignored request.
    pub(crate) fn settings(&self) -> Option<&Settings> {
        self.shared.as_ref().filter(|shared| !shared.is_ignored)?.client.settings()
    }

    pub(crate) fn capture(&self, captured: CapturedEvent) -> EventId {
        match &self.shared {
            Some(shared) => nested::enter(self.nested.clone(), || shared.capture(captured, self.span)),
            None => EventId::nil(),
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("is_enabled", &self.shared.is_some()).finish_non_exhaustive()
    }
}
