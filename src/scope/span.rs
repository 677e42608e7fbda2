//! Spans without `tracing`, for user code and for middleware.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::active::Active;
use super::early_drop::EarlyDrop;
use super::handle::Scope;
use crate::diagnostics;
use crate::protocol::{AttributeValue, SpanStatus};
use crate::record::{FieldWriter, Key, Parent};

/// An open span of this crate, which `tracing` does not know.
///
/// If it is dropped without [`end`](Self::end), its status is `cancelled`, or `internal_error`
/// after a panic.
pub(crate) struct OwnSpan {
    active: Active,
    index: u32,
}

impl OwnSpan {
    /// Starts a span below the active one. None outside a recorded request.
    pub(crate) fn start(op: &'static str, origin: &'static str, description: &str) -> Option<Self> {
        let handle = Scope::entered()?;
        let parent = handle.span;
        let scope = handle.shared.filter(|scope| scope.is_recording())?;
        let index = scope.lock().transaction.start_own_span(op, origin, description, parent);
        let Some(index) = index else {
            scope.count_if_late(description);
            return None;
        };
        Some(Self { active: Active::span(scope, Parent::Span(index)), index })
    }

    /// Runs `work` inside the span.
    pub(crate) fn enter<R>(&mut self, work: impl FnOnce() -> R) -> R {
        self.active.enter(work)
    }

    /// Adds attributes to the span.
    pub(crate) fn set(&mut self, write: impl FnOnce(&mut FieldWriter<'_>)) {
        let mut fields = Vec::new();
        write(&mut FieldWriter::new(&mut fields));
        self.set_encoded(&fields);
    }

    /// Whether the inner service of a middleware was called.
    pub(crate) fn reached_inner(&self) -> bool {
        self.active.scope().is_some_and(|scope| scope.lock().transaction.reached_inner(self.index))
    }

    /// The scope of the span's request or job. None after the span's end.
    pub(crate) fn scope(&self) -> Option<Scope> {
        self.active.scope().map(|scope| Scope::new(Arc::clone(scope), Parent::Span(self.index)))
    }

    fn set_encoded(&self, fields: &[u8]) {
        if let Some(scope) = self.active.scope() {
            scope.lock().transaction.record.late_fields(Parent::Span(self.index), fields);
        }
    }

    /// Drops the work with the span current.
    pub(crate) fn leave(&mut self, end: impl FnOnce()) {
        self.active.leave(end);
    }

    pub(crate) fn end(&mut self, status: SpanStatus) {
        if let Some(scope) = self.active.take() {
            let mut state = scope.lock();
            state.transaction.end_span(self.index, Some(status));
            scope.stream(state);
        }
    }
}

impl Drop for OwnSpan {
    fn drop(&mut self) {
        self.end(if self.active.has_unwound() { SpanStatus::InternalError } else { SpanStatus::Cancelled });
    }
}

impl fmt::Debug for OwnSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnSpan").field("index", &self.index).finish_non_exhaustive()
    }
}

/// Records a future as a span of the current transaction, without `tracing`.
///
/// `op` is the kind of work as Sentry names it (`db.query`, `cache.get`, `http.client`, …).
/// `description` says what is done. The span begins with the first poll and ends with the work. If
/// the future is dropped earlier, the span is `cancelled`. Outside a recorded request the work runs
/// without a span. For closures, use [`span_sync`].
///
/// # Examples
///
/// ```
/// # async fn load() -> u32 { 7 }
/// # async fn handler() -> u32 {
/// let rows = tower_sentry::span("db.query", "SELECT user", load()).await;
/// # rows }
/// ```
pub fn span<F: SpanWork>(op: &'static str, description: impl Into<Cow<'static, str>>, work: F) -> Spanned<F> {
    Spanned { progress: Progress::Waiting { op, description: description.into(), fields: Vec::new() }, work: EarlyDrop::new(work) }
}

/// Records a closure as a span of the current transaction; [`span`] is the same for futures.
///
/// The span is `ok` once the closure returns. Outside a recorded request the closure runs without a span.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "test")]
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sentry, captured) = tower_sentry::test::client();
/// let work = async { tower_sentry::span_sync("template.render", "cart.html", || 17 + 4) };
///
/// assert_eq!(sentry.transaction("cart").run_infallible(work).await, 21);
/// assert_eq!(captured.tree(), "cart [task] ok\n  cart.html [template.render] ok\n");
/// # });
/// ```
pub fn span_sync<R>(op: &'static str, description: impl AsRef<str>, work: impl FnOnce() -> R) -> R {
    let description = description.as_ref();
    let Some(mut span) = OwnSpan::start(op, "manual", description) else { return work() };
    let result = span.enter(work);
    if diagnostics::is_unfinished::<R>() {
        diagnostics::explain_unfinished(&format!(
            "the span '{description}' ends before its work: the closure given to `span_sync` only made a future or a closure; `span` records futures"
        ));
    }
    span.end(SpanStatus::Ok);
    result
}

/// Work that [`span`] records: any future.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a future, so `span` cannot record it",
    label = "not a future",
    note = "for a closure, call `span_sync(op, description, || ..)`; for a block, write `async` in front of it"
)]
pub trait SpanWork: Future {}

#[diagnostic::do_not_recommend]
impl<F: Future> SpanWork for F {}

#[derive(Debug)]
enum Progress {
    Waiting {
        op: &'static str,
        description: Cow<'static, str>,
        /// Encoded attributes.
        fields: Vec<u8>,
    },
    /// None if nothing is recorded.
    Running(Option<OwnSpan>),
}

pin_project! {
    /// A future that is a span while it runs. Made by [`span`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct Spanned<F> {
        progress: Progress,
        #[pin]
        work: EarlyDrop<F>,
    }

    impl<F> PinnedDrop for Spanned<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Progress::Running(Some(span)) = this.progress {
                span.leave(|| this.work.end());
            }
        }
    }
}

impl<F> Spanned<F> {
    /// Adds an attribute to the span, such as `messaging.destination.name` for a `queue.publish`.
    ///
    /// [`AttributeValue`] lists the types of values. Set attributes that are known later with
    /// [`Scope::span`].
    #[expect(single_use_lifetimes, reason = "an elided one is unstable here")]
    pub fn attribute<'v>(mut self, name: &'static str, value: impl Into<AttributeValue<'v>>) -> Self {
        if let Progress::Waiting { fields, .. } = &mut self.progress {
            FieldWriter::new(fields).attribute(Key::Name(name), &value.into());
        }
        self
    }
}

impl<F: Future> Future for Spanned<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Progress::Waiting { op, description, fields } = this.progress {
            let span = OwnSpan::start(op, "manual", description);
            if let Some(span) = &span {
                span.set_encoded(fields);
            }
            *this.progress = Progress::Running(span);
        }
        let Progress::Running(Some(span)) = this.progress else { return this.work.poll(cx) };
        let polled = span.enter(|| this.work.poll(cx));
        if polled.is_ready() {
            span.end(SpanStatus::Ok);
        }
        polled
    }
}
