//! Work that carries its scope to another task.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::early_drop::EarlyDrop;
use super::handle::Scope;

impl Scope {
    /// Wraps a future so that this scope is current in it, for `tokio::spawn`.
    ///
    /// Spans in it are children of the span that is active here.
    pub fn bind<F: Future>(&self, future: F) -> Scoped<F> {
        Scoped::new(self.clone(), future)
    }
}

pin_project! {
    /// A future in which a scope is current. Made by [`Scope::bind`].
    pub struct Scoped<F> {
        scope: Scope,
        #[pin]
        future: EarlyDrop<F>,
    }

    impl<F> PinnedDrop for Scoped<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.scope.enter(|| this.future.end());
        }
    }
}

impl<F> Scoped<F> {
    pub(super) fn new(scope: Scope, future: F) -> Self {
        Self { scope, future: EarlyDrop::new(future) }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.scope.enter(|| this.future.poll(cx))
    }
}

impl<F> fmt::Debug for Scoped<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scoped").field("scope", &self.scope).finish_non_exhaustive()
    }
}
