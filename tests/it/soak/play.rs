//! Does what a script says, as a service would: in handlers, bodies, tasks and jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::future::pending;
use std::panic::{AssertUnwindSafe, panic_any, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_sentry::job::{JobInfo, JobLayer};
use tower_sentry::{CaptureError, Client, EventId, Level, Scope, SentryLayer, User};
use tracing::{Instrument as _, error, info, instrument};

use super::plan::{self, CAUGHT, End, Entry, LATE, Payload, ROUTES, Script, Step, StreamEnd, Way};

/// The text of every panic that cannot say which one it is.
pub const LITERAL: &str = "a panic with the same text as others";
/// Between the first and the last report of one failure; later, outside of requests without a head, the first has gone.
const HOLD_LIMIT: Duration = Duration::from_secs(2);

/// A failure of a script, and the host for which it is reported.
pub type Label = (u32, u32, Option<u32>);

/// What the service and the driver share.
pub struct Soak {
    pub client: Client,
    pub seed: u64,
    parts: OnceLock<Router>,
    /// Whom to tell that a script has come to the point at which it is to be dropped.
    signals: Mutex<BTreeMap<(u32, u32), oneshot::Sender<()>>>,
    /// The ids that were handed out for failures.
    pub ids: Mutex<BTreeMap<Label, BTreeSet<String>>>,
    /// Work that goes on when its request is over, and the number of batches that are.
    pub afterwards: Mutex<Vec<JoinHandle<()>>>,
    pub batches: watch::Sender<u32>,
    /// Scripts in which the machine took so long that a report has come too late for the one before.
    pub slow: Mutex<BTreeSet<u32>>,
}

#[derive(Clone, Debug)]
pub struct Failure(pub u32, pub u32);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, failure) = self;
        write!(f, "failure {number}.{failure} of the soak")
    }
}

impl Error for Failure {}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Soak {
    pub fn new(client: Client, seed: u64) -> Arc<Self> {
        let soak = Self {
            client,
            seed,
            parts: OnceLock::new(),
            signals: Mutex::default(),
            ids: Mutex::default(),
            afterwards: Mutex::default(),
            batches: watch::Sender::new(0),
            slow: Mutex::default(),
        };
        Arc::new(soak)
    }

    /// The service: used on a socket, and in process for parts.
    pub fn app(self: &Arc<Self>) -> Router {
        let late = middleware::from_fn_with_state(Arc::clone(self), give_up);
        let routes = ROUTES.into_iter().fold(Router::new(), |routes, route| routes.route(route, any(answer)));
        let routes = routes.route(LATE, any(answer).layer(late)).route(CAUGHT, any(answer).layer(CatchPanicLayer::new()));
        self.parts.get_or_init(|| routes.layer(SentryLayer::new(&self.client)).with_state(Arc::clone(self))).clone()
    }

    /// Announces the moment at which the script is to be dropped, if the caller is to do it.
    pub fn signal(&self, script: &Script) -> Option<oneshot::Receiver<()>> {
        let is_dropped = matches!(script.end, End::Dropped(_) | End::Stream(_, _, StreamEnd::Dropped));
        (is_dropped && !script.is_late()).then(|| self.await_signal(script))
    }

    fn await_signal(&self, script: &Script) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.signals.lock().unwrap().insert((script.number, script.place), sender);
        receiver
    }

    fn hand_out(&self, label: Label, id: EventId) {
        self.ids.lock().unwrap().entry(label).or_default().insert(id.to_string());
    }

    /// Reports one failure in its way.
    fn report(&self, failure: &Failure, way: Way) {
        #[instrument(err)]
        fn inner(failure: &Failure) -> Result<(), Failure> {
            Err(failure.clone())
        }
        #[instrument(err)]
        fn outer(failure: &Failure) -> Result<(), Failure> {
            inner(failure)
        }
        let begun = Instant::now();
        let label = (failure.0, failure.1, None);
        match way {
            Way::Capture => self.hand_out(label, tower_sentry::capture_error(failure)),
            Way::Log => error!("the work failed: {failure}"),
            Way::LogField => error!(error = failure as &dyn Error, "lost {}.{}", failure.0, failure.1),
            Way::LogThenCapture => {
                error!("before the capture: {failure}");
                self.hand_out(label, tower_sentry::capture_error(failure));
            }
            Way::CaptureThenLog => {
                self.hand_out(label, tower_sentry::capture_error(failure));
                error!("after the capture: {failure}");
            }
            Way::Instrumented => drop(outer(failure)),
            Way::Context => {
                error!("without its context: {failure}");
                let error = anyhow::Error::new(failure.clone()).context("while the soak ran");
                self.hand_out(label, tower_sentry::capture_error(&*error));
            }
            Way::Announced => {
                let error = CaptureError::new(failure.clone());
                self.hand_out(label, error.event_id());
                self.hand_out(label, tower_sentry::capture_error(failure));
            }
            Way::Message => self.hand_out(label, tower_sentry::capture_message(Level::Error, failure.to_string())),
            Way::Notice => self.hand_out(label, tower_sentry::capture_message(Level::Warning, failure.to_string())),
        }
        self.note_time(failure.0, begun);
    }

    fn note_time(&self, number: u32, begun: Instant) {
        if begun.elapsed() >= HOLD_LIMIT {
            self.slow.lock().unwrap().insert(number);
        }
    }
}

fn crash(failure: &Failure, payload: Payload) {
    match payload {
        Payload::Text => panic!("{failure}"),
        Payload::Literal => panic_any(LITERAL),
        Payload::Boxed => panic_any(Box::<dyn Error + Send + Sync>::from(failure.clone())),
        Payload::Anyhow => panic_any(anyhow::Error::new(failure.clone())),
        Payload::Io => panic_any(std::io::Error::other(failure.clone())),
        Payload::Resumed => resume_unwind(Box::new(failure.to_string())),
    }
}

/// Does the steps in order.
pub fn run(soak: &Arc<Soak>, number: u32, steps: &[Step]) -> Work {
    let (soak, steps) = (Arc::clone(soak), steps.to_vec());
    Box::pin(async move {
        for step in &steps {
            run_step(&soak, number, step).await;
        }
    })
}

/// A step that has no awaits is done within one poll.
async fn run_step(soak: &Arc<Soak>, number: u32, step: &Step) {
    let inside = |steps: &[Step]| run(soak, number, steps);
    let scope = Scope::current();
    match step {
        Step::Crumb(crumb) => info!("crumb {number}.{crumb}"),
        Step::User(Some(user)) => drop(scope.set_user(User::id(format!("{number}.{user}")))),
        Step::User(None) => drop(scope.clear_user()),
        Step::Level(level) => drop(scope.set_level(*level)),
        Step::Report(failure, way) => soak.report(&Failure(number, *failure), *way),
        Step::Hosts(failure) => {
            for host in 0..3 {
                scope.with(|scope| {
                    scope.set_tag("host", host);
                    soak.hand_out((number, *failure, Some(host)), tower_sentry::capture_error(&Failure(number, *failure)));
                });
            }
        }
        Step::Yield => tokio::task::yield_now().await,
        Step::Nested(steps) => scope.with(|scope| scope.bind(inside(steps))).await,
        Step::Span(steps) => tower_sentry::span("task", "a step", inside(steps)).await,
        Step::Spawned(steps) => tokio::spawn(scope.bind(inside(steps))).await.unwrap(),
        Step::Carried(steps) => tokio::spawn(inside(steps).instrument(tracing::info_span!("carried"))).await.unwrap(),
        Step::Blocking(steps) => {
            let (work, runtime) = (inside(steps), tokio::runtime::Handle::current());
            tokio::task::spawn_blocking(move || scope.enter(|| runtime.block_on(work))).await.unwrap();
        }
        Step::Join(one, other) => drop(tokio::join!(inside(one), inside(other))),
        Step::Part(part) => visit(soak, part).await,
        Step::Inner(job) => play(soak, job).await,
        Step::Crash(failure, payload) => {
            let (failure, payload) = (Failure(number, *failure), *payload);
            let task = tokio::spawn(scope.bind(async move { crash(&failure, payload) }));
            assert!(task.await.unwrap_err().is_panic());
        }
        Step::Afterwards(failure, way) => {
            let (soak, failure, way) = (Arc::clone(soak), Failure(number, *failure), *way);
            let mut batches = soak.batches.subscribe();
            let batch = *batches.borrow();
            let reporter = Arc::clone(&soak);
            let task = tokio::spawn(scope.bind(async move {
                batches.wait_for(|done| *done > batch).await.unwrap();
                reporter.report(&failure, way);
            }));
            soak.afterwards.lock().unwrap().push(task);
        }
    }
}

/// Marks what is recorded in a scope that the script has for itself.
fn mark(script: &Script) {
    Scope::current().set_tag("soak", script.number).set_tag("scope", script.scope);
}

/// Reports when it is dropped, if it is to.
struct Cleanup(Arc<Soak>, u32, Option<(u32, Way)>);

impl Drop for Cleanup {
    fn drop(&mut self) {
        if let Some((failure, way)) = self.2 {
            self.0.report(&Failure(self.1, failure), way);
        }
    }
}

/// Waits to be dropped.
async fn wait_to_be_dropped(soak: &Arc<Soak>, script: &Script, cleanup: Option<(u32, Way)>) {
    let _cleanup = Cleanup(Arc::clone(soak), script.number, cleanup);
    let signal = soak.signals.lock().unwrap().remove(&(script.number, script.place));
    if let Some(signal) = signal {
        signal.send(()).unwrap();
    }
    pending::<()>().await;
}

/// What a request is to do: a part has it with it, others are known by the number in their path.
fn script_of(soak: &Soak, request: &Request) -> Arc<Script> {
    let number = request.uri().path().rsplit('/').next().unwrap().parse().unwrap();
    request.extensions().get().cloned().unwrap_or_else(|| Arc::new(plan::script(soak.seed, number)))
}

/// Gives up the handler as a `TimeoutLayer` does, but when it hangs: no clock decides.
async fn give_up(State(soak): State<Arc<Soak>>, request: Request, next: Next) -> Response {
    let signal = soak.await_signal(&script_of(&soak, &request));
    drop(futures_util::future::select(Box::pin(next.run(request)), signal).await);
    StatusCode::GATEWAY_TIMEOUT.into_response()
}

/// The handler of every route.
async fn answer(State(soak): State<Arc<Soak>>, request: Request) -> Response {
    let script = script_of(&soak, &request);
    drop(request);
    if script.place == 0 || script.scope > 0 {
        mark(&script);
    }
    let begun = Instant::now();
    run(&soak, script.number, &script.steps).await;
    let failed = |failure: u32| Failure(script.number, failure);
    let broken = StatusCode::INTERNAL_SERVER_ERROR;
    match script.end {
        End::Fine => StatusCode::OK.into_response(),
        End::Plain(code) => StatusCode::from_u16(code).unwrap().into_response(),
        End::Returned { failure, asks_id, .. } => {
            let error = CaptureError::new(failed(failure));
            if asks_id {
                soak.hand_out((script.number, failure, None), error.event_id());
            }
            soak.note_time(script.number, begun);
            (broken, error).into_response()
        }
        End::Unfailed(failure) => {
            let error = CaptureError::new(failed(failure));
            assert!(!error.event_id().is_nil());
            (StatusCode::OK, error).into_response()
        }
        End::Panics(failure, payload) => {
            crash(&failed(failure), payload);
            unreachable!()
        }
        End::PanicResumed(failure, payload) => resume_unwind(panicked(failed(failure), payload).await.into_panic()),
        End::PanicReturned(failure) => {
            let error = panicked(failed(failure), Payload::Text).await;
            soak.note_time(script.number, begun);
            (broken, CaptureError::new(error)).into_response()
        }
        End::PanicLogged(failure) => {
            let error = panicked(failed(failure), Payload::Text).await;
            error!("the task failed: {error}");
            StatusCode::OK.into_response()
        }
        End::Dropped(cleanup) => {
            wait_to_be_dropped(&soak, &script, cleanup).await;
            unreachable!()
        }
        End::Stream(failure, way, end) => streamed(&soak, &script, failed(failure), way, end),
        End::Withdrawn(..) => unreachable!("of jobs only"),
    }
}

/// The end of a bound task that panics.
async fn panicked(failure: Failure, payload: Payload) -> tokio::task::JoinError {
    tokio::spawn(Scope::current().bind(async move { crash(&failure, payload) })).await.unwrap_err()
}

/// A body of two frames, with something between them.
fn streamed(soak: &Arc<Soak>, script: &Arc<Script>, failure: Failure, way: Way, end: StreamEnd) -> Response {
    let (soak, script) = (Arc::clone(soak), Arc::clone(script));
    let frames = stream::iter(0..3).then(move |frame| {
        let (soak, script, failure) = (Arc::clone(&soak), Arc::clone(&script), failure.clone());
        async move {
            if frame == 1 {
                // The server sends the head and the first frame.
                tokio::task::yield_now().await;
            }
            match (frame, end) {
                (1, StreamEnd::Whole | StreamEnd::BreaksAfterReport) => soak.report(&failure, way),
                (1, StreamEnd::Dropped) => wait_to_be_dropped(&soak, &script, Some((failure.1, way))).await,
                (1, StreamEnd::Panics(payload)) => crash(&failure, payload),
                (2, StreamEnd::Breaks | StreamEnd::BreaksAfterReport) => return Err(std::io::Error::other("broken off")),
                _ => {}
            }
            Ok("frame")
        }
    });
    Body::from_stream(frames).into_response()
}

/// The request of a script.
pub fn request(script: &Script) -> http::request::Builder {
    let method = if script.is_post { Method::POST } else { Method::GET };
    let path = script.route.replace("{id}", &script.number.to_string());
    http::Request::builder().method(method).uri(path).header("host", "soak.example")
}

/// Serves a part in process, and reads its response as its end wants.
async fn visit(soak: &Arc<Soak>, part: &Arc<Script>) {
    let mut request = request(part).body(Body::empty()).unwrap();
    request.extensions_mut().insert(Arc::clone(part));
    let signal = soak.signal(part);
    let serve = async {
        let _ = soak.app().oneshot(request).await.unwrap().into_body().collect().await;
    };
    let serve = AssertUnwindSafe(serve).catch_unwind();
    until_signal(serve, signal).await;
}

/// Drops the work at the signal, if there is one; else does all of it.
async fn until_signal<T>(work: impl Future<Output = T>, signal: Option<oneshot::Receiver<()>>) {
    match signal {
        Some(signal) => drop(futures_util::future::select(Box::pin(work), signal).await),
        None => drop(work.await),
    }
}

/// Runs a job to its end.
pub async fn play(soak: &Arc<Soak>, script: &Arc<Script>) {
    let signal = soak.signal(script);
    let (for_work, of_work) = (Arc::clone(soak), Arc::clone(script));
    let work = async move {
        let (soak, script) = (for_work, of_work);
        mark(&script);
        let begun = Instant::now();
        run(&soak, script.number, &script.steps).await;
        let failed = |failure: u32| Failure(script.number, failure);
        match script.end {
            End::Returned { failure, .. } | End::Withdrawn(failure, _) => {
                soak.note_time(script.number, begun);
                return Err(failed(failure));
            }
            End::Panics(failure, payload) => crash(&failed(failure), payload),
            End::PanicResumed(failure, payload) => resume_unwind(panicked(failed(failure), payload).await.into_panic()),
            End::Dropped(cleanup) => wait_to_be_dropped(&soak, &script, cleanup).await,
            _ => {}
        }
        Ok(())
    };
    let is_job = script.entry == Entry::Job;
    let client = &soak.client;
    let job: Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>> = if is_job {
        let is_withdrawn = matches!(script.end, End::Withdrawn(..));
        let describe = move |(): &()| if is_withdrawn { JobInfo::new(JOB).attempt(1, 2) } else { JobInfo::new(JOB) };
        let layer = JobLayer::new(client, describe);
        let layer = if is_withdrawn { layer.report_last_attempt_only() } else { layer };
        let work = Arc::new(Mutex::new(Some(work)));
        Box::pin(layer.layer(service_fn(move |()| work.lock().unwrap().take().unwrap())).oneshot(()))
    } else {
        Box::pin(client.transaction(TASK).run(work))
    };
    until_signal(AssertUnwindSafe(job).catch_unwind(), signal).await;
}

pub const TASK: &str = "soak task";
pub const JOB: &str = "soak job";
