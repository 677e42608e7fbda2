//! A layer for any tower service of jobs.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::active::ActiveJob;
use super::info::JobInfo;
use crate::client::Client;
use crate::event::{BoxedErrors, Outcome, TypedErrors};
use crate::scope::EarlyDrop;

/// Records every job of a worker as a transaction, and its errors as events.
///
/// `describe` returns the description of a job. Errors must implement `std::error::Error`. For
/// services with boxed errors, use [`boxed_errors`](Self::boxed_errors).
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use tower::{ServiceBuilder, service_fn};
/// use tower_sentry::job::{JobInfo, JobLayer};
/// use tower_sentry::{Client, Config};
///
/// struct Email { id: u64, attempt: u32, headers: HashMap<String, String> }
///
/// let worker = Client::from(Config::worker_from_env()?);
/// let describe = |job: &Email| JobInfo::new("email.send").id(job.id).attempt(job.attempt, 3).continue_trace(&job.headers);
/// let service = ServiceBuilder::new()
///     .layer(JobLayer::new(&worker, describe).report_last_attempt_only())
///     .service(service_fn(|job: Email| async move { Ok::<_, std::io::Error>(()) }));
/// # fn is_service(_: impl tower::Service<Email>) {}
/// # is_service(service);
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[must_use = "a layer does nothing until a service is wrapped in it"]
pub struct JobLayer<D, F = TypedErrors> {
    client: Client,
    describe: Arc<D>,
    reports_every_attempt: bool,
    has_log_span: bool,
    form: PhantomData<fn() -> F>,
}

impl<D> JobLayer<D> {
    /// Creates a layer that records to the exporter of a client, a guard or a configuration.
    ///
    /// `client` is a [`Client`], a [`Guard`](crate::Guard) or a [`Config`](crate::Config).
    pub fn new(client: impl Into<Client>, describe: D) -> Self {
        Self { client: client.into(), describe: Arc::new(describe), reports_every_attempt: true, has_log_span: false, form: PhantomData }
    }

    /// Accepts services whose errors are boxed, such as those of apalis.
    ///
    /// Boxed errors are `Box<dyn Error + Send + Sync>` and `anyhow::Error`.
    pub fn boxed_errors(self) -> JobLayer<D, BoxedErrors> {
        let Self { client, describe, reports_every_attempt, has_log_span, .. } = self;
        JobLayer { client, describe, reports_every_attempt, has_log_span, form: PhantomData }
    }
}

impl<D, F> JobLayer<D, F> {
    /// Reports errors only of the [last attempt](JobInfo::attempt): a retry may still succeed.
    ///
    /// Each attempt is still recorded as a transaction with its status. Logs of the error that an
    /// earlier attempt returns are not events either; they are counted as dropped (`EventProcessor`).
    /// Defaults to reporting every attempt.
    pub fn report_last_attempt_only(mut self) -> Self {
        self.reports_every_attempt = false;
        self
    }

    /// Adds the trace id to the log lines of other subscribers.
    ///
    /// Each job gets a `tracing` span `job` with the field `trace_id`, which `tracing_subscriber::fmt` prints
    /// before each line. It is not a span of the transaction.
    /// [`SentryLayer::log_span`](crate::SentryLayer::log_span) does the same for requests.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tower_sentry::{Config, job::{JobInfo, JobLayer}};
    /// # let config = Config::builder().build()?;
    /// // INFO job{trace_id=771a43a4192642f0b136d5159a501700}: shop::mail: sending order=7
    /// let layer = JobLayer::new(config, |_: &u64| JobInfo::new("mail.send")).log_span();
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn log_span(mut self) -> Self {
        self.has_log_span = true;
        self
    }
}

impl<S, D, F> Layer<S> for JobLayer<D, F> {
    type Service = JobService<S, D, F>;

    fn layer(&self, inner: S) -> Self::Service {
        JobService { inner, layer: self.clone() }
    }
}

impl<D, F> Clone for JobLayer<D, F> {
    fn clone(&self) -> Self {
        let Self { client, describe, reports_every_attempt, has_log_span, .. } = self;
        Self {
            client: client.clone(),
            describe: Arc::clone(describe),
            reports_every_attempt: *reports_every_attempt,
            has_log_span: *has_log_span,
            form: PhantomData,
        }
    }
}

impl<D, F> fmt::Debug for JobLayer<D, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobLayer").field("client", &self.client).finish_non_exhaustive()
    }
}

/// A service whose jobs are recorded. Made by [`JobLayer`].
pub struct JobService<S, D, F> {
    inner: S,
    layer: JobLayer<D, F>,
}

impl<S, D, F, Job> Service<Job> for JobService<S, D, F>
where
    S: Service<Job>,
    D: Fn(&Job) -> JobInfo,
    Result<S::Response, S::Error>: Outcome<F>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = JobFuture<S::Future, F>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, job: Job) -> Self::Future {
        let layer = &self.layer;
        let mut active = if layer.client.is_enabled() {
            let described = (layer.describe)(&job);
            let (reports_every_attempt, has_log_span) = (layer.reports_every_attempt, layer.has_log_span);
            let info = JobInfo { reports_every_attempt, has_log_span, ..described };
            Some(ActiveJob::begin(&layer.client, info, "auto.queue.tower", None))
        } else {
            None
        };
        let inner = match &mut active {
            Some(active) => active.enter(|| self.inner.call(job)),
            None => self.inner.call(job),
        };
        JobFuture { inner: EarlyDrop::new(inner), active, form: PhantomData }
    }
}

impl<S: Clone, D, F> Clone for JobService<S, D, F> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S: fmt::Debug, D, F> fmt::Debug for JobService<S, D, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobService").field("inner", &self.inner).field("layer", &self.layer).finish()
    }
}

pin_project! {
    /// The future of a recorded job.
    ///
    /// # Cancellation
    ///
    /// If the future is dropped before its end, the transaction ends as `cancelled`.
    #[derive(Debug)]
    pub struct JobFuture<Fut, F> {
        #[pin]
        inner: EarlyDrop<Fut>,
        active: Option<ActiveJob>,
        form: PhantomData<fn() -> F>,
    }

    impl<Fut, F> PinnedDrop for JobFuture<Fut, F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(active) = this.active {
                active.leave(|| this.inner.end());
            }
        }
    }
}

impl<Fut, F, T, E> Future for JobFuture<Fut, F>
where
    Fut: Future<Output = Result<T, E>>,
    Result<T, E>: Outcome<F>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(active) = this.active else { return this.inner.poll(cx) };
        let output = ready!(active.enter(|| this.inner.poll(cx)));
        active.end(&output);
        Poll::Ready(output)
    }
}
