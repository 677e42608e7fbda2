//! A transaction around any future.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::info::JobInfo;
use super::outcome::Outcome;
use super::running::Running;
use crate::client::Client;
use crate::propagation::Carrier;

impl Client {
    /// A transaction for work that is no request: a job, a cron run, the start of the program. It has a scope of its own, like a request.
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
        TransactionBuilder { client: self.clone(), info: JobInfo::new(name).op("task") }
    }
}

/// A transaction that has not begun. Made by [`Client::transaction`].
#[derive(Clone, Debug)]
#[must_use = "a transaction begins with its work"]
pub struct TransactionBuilder {
    client: Client,
    info: JobInfo,
}

impl TransactionBuilder {
    /// Sets the kind of work in Sentry's words: `queue.process`, `cron`, … Defaults to `task`.
    pub fn op(mut self, op: &'static str) -> Self {
        self.info.op = op;
        self
    }

    /// Sets the share of such transactions to send, from `0.0` to `1.0`, instead of the client's rate and of what a trace that is continued says.
    pub fn sample_rate(mut self, rate: f64) -> Self {
        self.info = self.info.sample_rate(rate);
        self
    }

    /// Continues the trace of whoever asked for the work. See [`Scope::inject`](crate::Scope::inject).
    pub fn continue_trace(mut self, headers: &(impl Carrier + ?Sized)) -> Self {
        self.info = self.info.continue_trace(headers);
        self
    }

    /// The work in its transaction, which begins with the first poll. `Err` makes it `internal_error`, and is captured with its chain,
    /// once: the same error captured or logged in the work is that event. Dropped before its end it is `cancelled`. Inside of a request or
    /// another job it belongs to that one's trace, unless [`continue_trace`](Self::continue_trace) says otherwise.
    ///
    /// Any `Result` whose error is a `std::error::Error`, or leads to one (`anyhow::Error`, `Box<dyn Error + Send + Sync>`), and `()` will do; for others see
    /// [`AnyOutcome`](super::AnyOutcome) and [`TextError`](super::TextError).
    pub fn run<F, Kind>(self, work: F) -> InTransaction<F, Kind>
    where
        F: Future,
        F::Output: Outcome<Kind>,
    {
        InTransaction { work, waiting: Some(self), running: None, kind: PhantomData }
    }
}

pin_project! {
    /// Work in a transaction. Made by [`TransactionBuilder::run`].
    ///
    /// # Cancellation
    ///
    /// Dropped before its end, the transaction ends as `cancelled`.
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct InTransaction<F, Kind> {
        // Dropped first: its spans end before the transaction does.
        #[pin]
        work: F,
        waiting: Option<TransactionBuilder>,
        running: Option<Running>,
        kind: PhantomData<fn() -> Kind>,
    }
}

impl<F, Kind> Future for InTransaction<F, Kind>
where
    F: Future,
    F::Output: Outcome<Kind>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Some(TransactionBuilder { client, info }) = this.waiting.take() {
            *this.running = Some(Running::begin(&client, info, "manual"));
        }
        let Some(running) = this.running else { return this.work.poll(cx) };
        let output = ready!(running.enter(|| this.work.poll(cx)));
        running.end(&output);
        Poll::Ready(output)
    }
}
