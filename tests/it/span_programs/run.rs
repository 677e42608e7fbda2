//! Runs a program, as an application would be written.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::{Either, join_all, select};
use http::{Request, Response};
use tokio::sync::oneshot;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_sentry::{Client, Level, Scope, SentryLayer, TracingLayer, User};
use tracing::{Dispatch, Instrument as _, Span};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::Identity;
use tracing_subscriber::prelude::*;

use super::program::{Carry, Parent, Program, Spec, Step, Subscriber};

/// The spans whose handles are kept.
struct Open {
    seed: u64,
    spans: Mutex<HashMap<u32, Span>>,
}

impl Open {
    fn get(&self, id: u32) -> Span {
        self.spans.lock().unwrap()[&id].clone()
    }

    fn make(&self, spec: &Spec) -> Span {
        let span = make(spec, |id| self.get(id));
        if spec.is_kept {
            self.spans.lock().unwrap().insert(spec.id, span.clone());
        }
        span
    }
}

/// One callsite for each level, target and kind of parent.
fn make(spec: &Spec, get: impl Fn(u32) -> Span) -> Span {
    macro_rules! span {
        ($target:literal, $level:ident) => {{
            let name = format!("s{}", spec.id);
            match spec.parent {
                Parent::Contextual => tracing::span!(target: $target, tracing::Level::$level, "span", otel.name = name),
                Parent::Root => tracing::span!(target: $target, parent: None, tracing::Level::$level, "span", otel.name = name),
                Parent::Of(parent) => {
                    tracing::span!(target: $target, parent: &get(parent), tracing::Level::$level, "span", otel.name = name)
                }
            }
        }};
    }
    match (spec.level, spec.is_hidden) {
        (0, false) => span!("shown", ERROR),
        (1, false) => span!("shown", WARN),
        (2, false) => span!("shown", INFO),
        (3, false) => span!("shown", DEBUG),
        (_, false) => span!("shown", TRACE),
        (0, true) => span!("hidden", ERROR),
        (1, true) => span!("hidden", WARN),
        (2, true) => span!("hidden", INFO),
        (3, true) => span!("hidden", DEBUG),
        (_, true) => span!("hidden", TRACE),
    }
}

fn subscriber(kind: Subscriber, client: &Client) -> Dispatch {
    let layer = TracingLayer::new(client).level(if kind.is_debug() { tracing::Level::DEBUG } else { tracing::Level::INFO });
    let shown = filter_fn(|metadata| metadata.target() != "hidden");
    let lines = || tracing_subscriber::fmt::layer().with_writer(std::io::sink);
    let registry = tracing_subscriber::registry();
    match kind {
        Subscriber::Alone | Subscriber::AtDebug => registry.with(layer).into(),
        Subscriber::Filtered => registry.with(layer.with_filter(shown)).with(Identity::new()).into(),
        Subscriber::FilteredAtDebug => registry.with(lines()).with(layer.with_filter(shown)).into(),
        Subscriber::BesideOthers => registry
            .with(lines().with_filter(LevelFilter::WARN))
            .with(layer.poll_times(true))
            .with(tracing_subscriber::fmt::layer().with_writer(std::io::sink).with_filter(LevelFilter::DEBUG))
            .into(),
    }
}

/// Runs a program on a runtime of its own, with a subscriber of its own.
pub fn run(program: &Arc<Program>, client: &Client) {
    thread_local! {
        static DEFAULT: std::cell::RefCell<Option<tracing::subscriber::DefaultGuard>> = const { std::cell::RefCell::new(None) };
    }
    let dispatch = subscriber(program.subscriber, client);
    let mut runtime =
        if program.has_threads { tokio::runtime::Builder::new_multi_thread() } else { tokio::runtime::Builder::new_current_thread() };
    let of_threads = dispatch.clone();
    let begin = move || DEFAULT.with(|default| *default.borrow_mut() = Some(tracing::dispatcher::set_default(&of_threads)));
    let end = || DEFAULT.with(|default| drop(default.borrow_mut().take()));
    let runtime = runtime.worker_threads(2).on_thread_start(begin).on_thread_stop(end).build().unwrap();
    let _default = tracing::dispatcher::set_default(&dispatch);
    runtime.block_on(requests(program, client));
}

async fn requests(program: &Arc<Program>, client: &Client) {
    let open = Arc::new(Open { seed: program.seed, spans: Mutex::default() });
    for spec in &program.outside {
        open.make(spec);
    }
    let (ready, is_ready) = oneshot::channel();
    let (done, is_done) = oneshot::channel::<()>();
    let first = {
        let (program, open) = (Arc::clone(program), Arc::clone(&open));
        async move {
            let around = open.make(&program.around_shared);
            around.in_scope(|| program.shared.iter().for_each(|spec| drop(open.make(spec))));
            ready.send(()).unwrap();
            run_all(Steps::of(&program, 0), open).await;
            is_done.await.unwrap();
        }
    };
    let second = {
        let (program, open) = (Arc::clone(program), Arc::clone(&open));
        async move {
            is_ready.await.unwrap();
            run_all(Steps::of(&program, 1), open).await;
            done.send(()).unwrap();
        }
    };
    let first = tokio::spawn(request(program, client, 0, first));
    let second = tokio::spawn(request(program, client, 1, second));
    first.await.unwrap();
    second.await.unwrap();
}

/// Serves a request, or runs a job.
fn request(program: &Program, client: &Client, request: usize, work: impl Future<Output = ()> + Send + 'static) -> BoxFuture {
    let name = format!("p{}r{request}", program.seed);
    let work = {
        let name = name.clone();
        async move {
            Scope::current().set_user(User::id(name));
            work.await;
        }
    };
    if !program.is_served {
        return Box::pin(client.transaction(name).run_infallible(work));
    }
    let layer = SentryLayer::new(client).name(move |_| Some(name.clone()));
    let work = Arc::new(Mutex::new(Some(work)));
    let handler = service_fn(move |_: Request<String>| {
        let work = work.lock().unwrap().take().unwrap();
        async move {
            work.await;
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    Box::pin(ServiceBuilder::new().layer(layer).service(handler).oneshot(Request::new(String::new())).map(drop))
}

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Steps of a program: the way to them from its root.
#[derive(Clone)]
struct Steps {
    program: Arc<Program>,
    request: usize,
    path: Vec<(usize, usize)>,
}

impl Steps {
    fn of(program: &Arc<Program>, request: usize) -> Self {
        Self { program: Arc::clone(program), request, path: Vec::new() }
    }

    /// The steps inside a step: a branch of it.
    fn below(&self, step: usize, branch: usize) -> Self {
        let mut path = self.path.clone();
        path.push((step, branch));
        Self { path, ..self.clone() }
    }

    fn get(&self) -> &[Step] {
        self.path.iter().fold(&self.program.requests[self.request], |steps, (step, branch)| steps[*step].branch(*branch))
    }
}

impl Step {
    fn branch(&self, branch: usize) -> &Vec<Self> {
        match self {
            Self::Join(branches) => &branches[branch],
            Self::Select(branches) => &branches[branch],
            Self::Again { steps, .. }
            | Self::Blocking(_, steps)
            | Self::Nested { steps, .. }
            | Self::Own { steps, .. }
            | Self::Span { steps, .. }
            | Self::Spawn(_, steps) => steps,
            Self::Message(_) | Self::Log(..) | Self::Yield | Self::Never => unreachable!(),
        }
    }
}

fn run_all(steps: Steps, open: Arc<Open>) -> BoxFuture {
    Box::pin(async move {
        for (place, step) in steps.get().iter().enumerate() {
            let inside = |branch| run_all(steps.below(place, branch), Arc::clone(&open));
            match step {
                Step::Span { spec, is_async: true, .. } => inside(0).instrument(open.make(spec)).await,
                Step::Again { id, is_async: true, .. } => inside(0).instrument(open.get(*id)).await,
                Step::Own { id, is_async: true, .. } => tower_sentry::span("task", format!("s{id}"), inside(0)).await,
                Step::Nested { is_async: true, .. } => Scope::current().with(|scope| scope.bind(inside(0))).await,
                Step::Yield => tokio::task::yield_now().await,
                Step::Never => std::future::pending().await,
                Step::Join(branches) => drop(join_all((0..branches.len()).map(inside)).await),
                Step::Select(_) => match select(inside(0), inside(1)).await {
                    Either::Left(_) => unreachable!(),
                    Either::Right(((), loser)) => drop(loser),
                },
                Step::Spawn(carry, _) => {
                    let task = match carry {
                        Carry::Bind => tokio::spawn(Scope::current().bind(inside(0))),
                        Carry::InCurrentSpan => tokio::spawn(inside(0).in_current_span()),
                        Carry::Instrument(spec) => tokio::spawn(inside(0).instrument(open.make(spec))),
                        Carry::Plain => tokio::spawn(inside(0)),
                    };
                    task.await.unwrap();
                }
                Step::Blocking(carry, _) => {
                    let (inner, of_thread) = (steps.below(place, 0), Arc::clone(&open));
                    let work = move || run_now(inner.get(), &of_thread);
                    let task = match carry {
                        Carry::Bind => {
                            let scope = Scope::current();
                            tokio::task::spawn_blocking(move || scope.enter(work))
                        }
                        Carry::InCurrentSpan => {
                            let span = Span::current();
                            tokio::task::spawn_blocking(move || span.in_scope(work))
                        }
                        Carry::Instrument(spec) => {
                            let span = open.make(spec);
                            tokio::task::spawn_blocking(move || span.in_scope(work))
                        }
                        Carry::Plain => tokio::task::spawn_blocking(work),
                    };
                    task.await.unwrap();
                }
                step => run_one(step, &open),
            }
        }
    })
}

fn run_now(steps: &[Step], open: &Open) {
    for step in steps {
        run_one(step, open);
    }
}

fn run_one(step: &Step, open: &Open) {
    match step {
        Step::Message(id) => drop(tower_sentry::capture_message(Level::Warning, format!("e{}.{id}", open.seed))),
        Step::Log(id, None) => tracing::error!("e{}.{id}", open.seed),
        Step::Log(id, Some(parent)) => tracing::error!(parent: &open.get(*parent), "e{}.{id}", open.seed),
        Step::Span { spec, steps, .. } => open.make(spec).in_scope(|| run_now(steps, open)),
        Step::Again { id, steps, .. } => open.get(*id).in_scope(|| run_now(steps, open)),
        Step::Own { id, steps, .. } => {
            let work = tower_sentry::span("task", format!("s{id}"), async { run_now(steps, open) });
            work.now_or_never().unwrap();
        }
        Step::Nested { steps, .. } => Scope::current().with(|_| run_now(steps, open)),
        _ => unreachable!("{step:?} needs a future"),
    }
}
