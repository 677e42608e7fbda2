//! A transaction around any future.

use std::borrow::Cow;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::active::ActiveJob;
use super::info::JobInfo;
use crate::client::Client;
use crate::event::Outcome;
use crate::propagation::Carrier;
use crate::scope::EarlyDrop;

impl Client {
    /// Creates a transaction for work that is not a request: a job, a cron run, a program's start.
    ///
    /// It has its own scope, like a request.
    ///
    /// # Examples
    ///
    /// ```
    /// # async fn send(job: &Job) -> Result<(), std::io::Error> { Ok(()) }
    /// # struct Job { headers: std::collections::HashMap<String, String> }
    /// # async fn work(sentry: tower_sentry::Client, job: Job) -> Result<(), std::io::Error> {
    /// sentry.transaction("invoice.send").op("queue.process").continue_trace(&job.headers).run(send(&job)).await
    /// # }
    /// ```
    pub fn transaction(&self, name: impl Into<Cow<'static, str>>) -> TransactionBuilder {
        TransactionBuilder { client: self.clone(), info: JobInfo::new(name).op("task"), started_at: None }
    }
}

/// A transaction that has not begun. Made by [`Client::transaction`].
#[derive(Clone, Debug)]
#[must_use = "a transaction begins with its work"]
pub struct TransactionBuilder {
    client: Client,
    info: JobInfo,
    /// The call of `run`.
    started_at: Option<&'static Location<'static>>,
}

impl TransactionBuilder {
    /// Sets the kind of work as Sentry names it: `queue.process`, `cron`, … Defaults to `task`.
    pub fn op(mut self, op: &'static str) -> Self {
        self.info.op = op;
        self
    }

    /// Sets the share of such transactions to send, from `0.0` to `1.0`.
    ///
    /// It replaces the client's rate, and the decision of a continued trace is ignored. A rate
    /// outside the range is ignored with a warning. Defaults to the client's rate.
    pub fn sample_rate(mut self, rate: f64) -> Self {
        self.info = self.info.sample_rate(rate);
        self
    }

    /// Whether the work is a session, so that the health of the release counts it as it counts a request.
    ///
    /// See [`JobInfo::session`]. Defaults to `false`.
    pub fn session(mut self, counts: bool) -> Self {
        self.info = self.info.session(counts);
        self
    }

    /// Adds the trace id to the log lines of other subscribers while the work runs.
    ///
    /// Like [`JobLayer::log_span`](crate::job::JobLayer::log_span).
    pub fn log_span(mut self) -> Self {
        self.info.has_log_span = true;
        self
    }

    /// Continues the trace of the caller that requested the work.
    ///
    /// The caller writes it with [`Scope::inject`](crate::Scope::inject).
    pub fn continue_trace(mut self, headers: &(impl Carrier + ?Sized)) -> Self {
        self.info = self.info.continue_trace(headers);
        self
    }

    /// Wraps the work in the transaction, which begins with the first poll.
    ///
    /// - For `Err`, the transaction is `internal_error`, and the error is captured once with its
    ///   chain. If the work has already captured or logged the same error, no second event is sent.
    /// - If the future is dropped before its end, the transaction is `cancelled`.
    /// - Inside a request or another job, it belongs to the same trace. An incoming trace from
    ///   [`continue_trace`](Self::continue_trace) takes precedence.
    ///
    /// The result is `()` or a `Result`; [`Outcome`] lists the errors it may have. For work that
    /// returns something else, call [`run_infallible`](Self::run_infallible).
    ///
    /// # Examples
    ///
    /// If the result of an `async` block is not returned, nothing says what its error is: this is
    /// rustc's error E0283, "type annotations needed".
    ///
    /// ```compile_fail,E0283
    /// # async fn step() -> Result<(), std::io::Error> { Ok(()) }
    /// # async fn start(sentry: tower_sentry::Client) {
    /// let import = sentry.transaction("import").run(async {
    ///     step().await?;
    ///     Ok(())
    /// });
    /// # import.await.ok(); }
    /// ```
    ///
    /// Name the error in the last expression:
    ///
    /// ```
    /// # async fn step() -> Result<(), std::io::Error> { Ok(()) }
    /// # async fn start(sentry: tower_sentry::Client) {
    /// let import = sentry.transaction("import").run(async {
    ///     step().await?;
    ///     Ok::<_, std::io::Error>(())
    /// });
    /// # import.await.ok(); }
    /// ```
    #[track_caller]
    pub fn run<F, Kind>(mut self, work: F) -> InTransaction<F>
    where
        F: Future,
        F::Output: Outcome<Kind>,
    {
        self.started_at = Some(Location::caller());
        InTransaction { work: EarlyDrop::new(work), waiting: Some(self), active: None, end: |active, output| active.end(output) }
    }

    /// Like [`run`](Self::run), for work that cannot fail and may return anything.
    ///
    /// Whatever the work returns, the transaction is `ok`.
    ///
    /// # Examples
    ///
    /// ```
    /// # async fn count() -> u64 { 7 }
    /// # async fn start(sentry: tower_sentry::Client) {
    /// let orders: u64 = sentry.transaction("count orders").run_infallible(count()).await;
    /// # }
    /// ```
    ///
    /// `run` does not compile for it:
    ///
    /// ```compile_fail,E0277
    /// # async fn count() -> u64 { 7 }
    /// # async fn start(sentry: tower_sentry::Client) {
    /// let orders: u64 = sentry.transaction("count orders").run(count()).await;
    /// # }
    /// ```
    pub fn run_infallible<F: Future>(self, work: F) -> InTransaction<F> {
        InTransaction { work: EarlyDrop::new(work), waiting: Some(self), active: None, end: |active, _| active.succeed() }
    }
}

pin_project! {
    /// Work in a transaction. Made by [`TransactionBuilder::run`].
    ///
    /// # Cancellation
    ///
    /// If the future is dropped before its end, the transaction ends as `cancelled`.
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct InTransaction<F>
    where
        F: Future,
    {
        #[pin]
        work: EarlyDrop<F>,
        waiting: Option<TransactionBuilder>,
        active: Option<ActiveJob>,
        end: fn(&mut ActiveJob, &F::Output),
    }

    impl<F: Future> PinnedDrop for InTransaction<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(active) = this.active {
                active.leave(|| this.work.end());
            }
        }
    }
}

impl<F: Future> Future for InTransaction<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Some(TransactionBuilder { client, info, started_at }) = this.waiting.take() {
            *this.active = Some(ActiveJob::begin(&client, info, "manual", started_at));
        }
        let Some(active) = this.active else { return this.work.poll(cx) };
        let output = ready!(active.enter(|| this.work.poll(cx)));
        (this.end)(active, &output);
        Poll::Ready(output)
    }
}
