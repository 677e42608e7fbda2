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
        Scoped::new(self.here(), future)
    }

    /// Wraps a closure so that this scope is current in it, for `tokio::task::spawn_blocking`.
    ///
    /// Spans in it are children of the span that is active here.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::{Scope, span_sync};
    ///
    /// # #[cfg(feature = "test")]
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sentry, captured) = tower_sentry::test::client();
    /// let work = async {
    ///     let resize = || span_sync("image.resize", "thumbnail", || 7);
    ///     tokio::task::spawn_blocking(Scope::current().bind_sync(resize)).await.unwrap()
    /// };
    /// assert_eq!(sentry.transaction("upload").run_infallible(work).await, 7);
    ///
    /// assert_eq!(captured.tree(), "upload [task] ok\n  thumbnail [image.resize] ok\n");
    /// # });
    /// ```
    pub fn bind_sync<F, R>(&self, work: F) -> impl FnOnce() -> R + use<F, R>
    where
        F: FnOnce() -> R,
    {
        let bound = BoundClosure { scope: self.here(), work: Some(work) };
        move || bound.run()
    }

    /// Runs a future with a nested scope that begins as a copy of this one; [`with`](Self::with) is the
    /// same for closures.
    ///
    /// The nested scope holds across awaits, and the future is dropped in it too. Concurrent work of the
    /// request does not see it.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::{Level, Scope};
    ///
    /// # async fn check_stock() {}
    /// # #[cfg(feature = "test")]
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sentry, captured) = tower_sentry::test::client();
    /// let work = async {
    ///     let part = Scope::current().with_async(async |scope| {
    ///         scope.set_tag("warehouse", "eu-1");
    ///         check_stock().await;
    ///         tower_sentry::capture_message(Level::Warning, "stock is low"); // has the tag
    ///     });
    ///     part.await;
    ///     tower_sentry::capture_message(Level::Info, "done"); // does not have the tag
    /// };
    /// sentry.transaction("order").run_infallible(work).await;
    ///
    /// let tags: Vec<_> = captured.events().iter().map(|event| event.tags.len()).collect();
    /// assert_eq!(tags, [1, 0]);
    /// # });
    /// ```
    pub fn with_async<F: Future>(&self, work: impl FnOnce(Self) -> F) -> Scoped<F> {
        let inner = self.copied();
        let future = inner.enter(|| work(inner.clone()));
        Scoped::new(inner, future)
    }

    /// This scope, with the span that is running here.
    fn here(&self) -> Self {
        Self { span: self.running(), ..self.clone() }
    }
}

/// A closure that has not run; it is dropped in its scope.
struct BoundClosure<F> {
    scope: Scope,
    work: Option<F>,
}

impl<F> BoundClosure<F> {
    #[expect(clippy::expect_used, reason = "only this function and `drop` take the work, and both end the value")]
    fn run<R>(mut self) -> R
    where
        F: FnOnce() -> R,
    {
        let work = self.work.take().expect("it has not run");
        self.scope.enter(work)
    }
}

impl<F> Drop for BoundClosure<F> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.scope.enter(|| drop(work));
        }
    }
}

pin_project! {
    /// A future in which a scope is current. Made by [`Scope::bind`] and [`Scope::with_async`].
    #[must_use = "a future does nothing until it is polled"]
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
