//! The guard of a request, a job or one of our spans while its code runs.

use std::sync::Arc;

use super::current;
use super::finish::Ending;
use super::state::LiveScope;
use crate::record::Parent;
use crate::unwind::{self, Unwinding};

/// Makes a scope current in each poll of its work, and ends the work once.
///
/// How the work ends is the owner's decision: see [`take`](Self::take).
#[derive(Default)]
pub(crate) struct Active {
    /// None after the end, and where nothing is recorded.
    scope: Option<Arc<LiveScope>>,
    /// Our span, if the work is a span; none for a whole request or job.
    span: Option<Parent>,
    /// True while the work's code runs; still true when it is dropped after that code panicked.
    is_inside: bool,
}

impl Active {
    /// The work is a whole request or job.
    pub(crate) fn root(scope: Arc<LiveScope>) -> Self {
        Self { scope: Some(scope), span: None, is_inside: false }
    }

    /// The work is a span inside a request or job.
    pub(crate) fn span(scope: Arc<LiveScope>, span: Parent) -> Self {
        Self { scope: Some(scope), span: Some(span), is_inside: false }
    }

    /// The scope, unless the work has ended.
    pub(crate) fn scope(&self) -> Option<&Arc<LiveScope>> {
        self.scope.as_ref()
    }

    /// Whether the work has ended, or nothing is recorded.
    pub(crate) fn is_over(&self) -> bool {
        self.scope.is_none()
    }

    /// Runs a part of the work with its scope current.
    ///
    /// After the end of the work it runs the part without a scope: some layers poll a body again
    /// after its end.
    pub(crate) fn enter<R>(&mut self, work: impl FnOnce() -> R) -> R {
        if self.scope.is_none() {
            return work();
        }
        self.is_inside = true;
        let result = self.watch(work);
        self.is_inside = false;
        result
    }

    /// Drops the work with its scope current. It may have panicked before.
    pub(crate) fn leave(&mut self, end: impl FnOnce()) {
        if self.scope.is_none() {
            return end();
        }
        let has_unwound = std::mem::replace(&mut self.is_inside, true);
        self.watch(end);
        self.is_inside = has_unwound;
    }

    /// Runs code inside the scope, and reports its panic if the panic hook did not.
    #[inline]
    fn watch<R>(&mut self, work: impl FnOnce() -> R) -> R {
        match unwind::watch(|| current::visit(&mut self.scope, self.span, work)) {
            Ok(result) => result,
            Err(unwinding) => self.unwound(unwinding),
        }
    }

    #[cold]
    fn unwound(&self, unwinding: Unwinding) -> ! {
        if let Some(scope) = &self.scope
            && let Some(payload) = unwinding.unreported()
        {
            scope.capture_resumed_panic(payload, self.span.unwrap_or(Parent::Root));
        }
        unwinding.resume()
    }

    /// Whether the work's code panicked: it is dropped before that code returned.
    pub(crate) fn has_unwound(&self) -> bool {
        self.is_inside
    }

    /// The scope for the end of the work. Later calls return `None`, so the work ends once.
    pub(crate) fn take(&mut self) -> Option<Arc<LiveScope>> {
        self.scope.take()
    }

    /// Ends a request or job.
    pub(crate) fn finish(&mut self, ending: Ending) {
        if let Some(scope) = self.take() {
            scope.finish(ending);
        }
    }
}
