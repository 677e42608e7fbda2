//! What a request or job of the soak does. It is made from a number alone, so the service and the oracle know it without a word.

use std::sync::Arc;

use fastrand::Rng;
use tower_sentry::Level;

/// The templates of the routes; a request takes one of them.
pub const ROUTES: [&str; 4] = ["/orders/{id}", "/carts/{id}", "/users/{id}", "/feeds/{id}"];
/// A route whose handler hangs until a timeout inside the layer gives it up.
pub const LATE: &str = "/late/{id}";
/// A route whose panics a `CatchPanicLayer` catches.
pub const CAUGHT: &str = "/caught/{id}";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    Request,
    /// `Client::transaction`.
    Task,
    /// A service with a `JobLayer`.
    Job,
}

/// A request, a job, or a request inside one.
#[derive(Clone, Debug)]
pub struct Script {
    pub number: u32,
    /// The number of the script inside its request or job: 0 is the whole.
    pub place: u32,
    /// The number of its scope: a script that shares the one around it has the same.
    pub scope: u32,
    pub entry: Entry,
    pub is_post: bool,
    pub route: &'static str,
    pub steps: Vec<Step>,
    pub end: End,
}

#[derive(Clone, Debug)]
pub enum Step {
    Crumb(u32),
    User(Option<u32>),
    Level(Option<Level>),
    Report(u32, Way),
    /// One error for three hosts, each in a nested scope of its own.
    Hosts(u32),
    Yield,
    /// A nested scope that lasts over awaits.
    Nested(Vec<Self>),
    /// A span of ours.
    Span(Vec<Self>),
    /// A bound task, awaited.
    Spawned(Vec<Self>),
    /// A task that carries a span of `tracing`, awaited.
    Carried(Vec<Self>),
    Blocking(Vec<Self>),
    Join(Vec<Self>, Vec<Self>),
    /// A request that the layered router serves in process.
    Part(Arc<Script>),
    /// A job inside.
    Inner(Arc<Script>),
    /// A bound task that panics; the handler goes on.
    Crash(u32, Payload),
    /// A bound task that reports when the request is long over.
    Afterwards(u32, Way),
}

/// How one failure is reported at one moment: always one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Capture,
    Log,
    LogField,
    LogThenCapture,
    CaptureThenLog,
    /// Two functions with `#[instrument(err)]`.
    Instrumented,
    /// Logged, then captured with a context of `anyhow`.
    Context,
    /// `CaptureError::event_id`, then captured.
    Announced,
    Message,
    /// A message that is no failure.
    Notice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    Text,
    Literal,
    Boxed,
    Anyhow,
    Io,
    /// `resume_unwind`: no hook runs.
    Resumed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Fine,
    /// A failed status, and not a word.
    Plain(u16),
    /// An error on the response, or the `Err` of a job. `is_known`: a step has reported it.
    Returned {
        failure: u32,
        is_known: bool,
        asks_id: bool,
    },
    /// An error on a response that has not failed.
    Unfailed(u32),
    Panics(u32, Payload),
    /// Goes on with the panic of a bound task.
    PanicResumed(u32, Payload),
    /// A bound task panics, and its `JoinError` is the response's error.
    PanicReturned(u32),
    /// The same, logged.
    PanicLogged(u32),
    /// Given up before the head: by the client, by the handler around it, or by a timeout. Its cleanup may report.
    Dropped(Option<(u32, Way)>),
    Stream(u32, Way, StreamEnd),
    /// The first of two attempts of a job that reports only the last one. It may log its error.
    Withdrawn(u32, Option<Way>),
}

/// How a streamed body ends, after a report in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    Whole,
    /// It fails, and that is all: nothing was reported in it.
    Breaks,
    BreaksAfterReport,
    Dropped,
    Panics(Payload),
}

/// So many events wait for a later report of their failure.
const WAITING: u32 = 8;

impl Script {
    /// Whether a timeout gives up its handler.
    pub fn is_late(&self) -> bool {
        self.route == LATE
    }
}

/// What a script must not have, given where it runs.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Bounds {
    depth: u32,
    /// Other steps of the scope run at the same time.
    is_shared: bool,
    is_nested: bool,
    /// In another task than that of the request.
    is_beside: bool,
    /// Inside a request that is inside another one.
    is_part: bool,
}

struct Maker {
    rng: Rng,
    number: u32,
    failures: u32,
    /// How many events the failures make.
    reports: u32,
    crumbs: u32,
    users: u32,
    places: u32,
    scopes: u32,
    /// Whether a request inside may answer a plain 500.
    is_bare_inside: bool,
}

/// The script with this number.
pub fn script(seed: u64, number: u32) -> Script {
    let rng = Rng::with_seed(seed ^ u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut maker = Maker { rng, number, failures: 0, reports: 0, crumbs: 0, users: 0, places: 0, scopes: 0, is_bare_inside: false };
    let entry = maker.pick(&[Entry::Request, Entry::Request, Entry::Request, Entry::Task, Entry::Job]);
    let bounds = Bounds { depth: 2, is_shared: false, is_nested: false, is_beside: false, is_part: false };
    maker.script(entry, 0, bounds)
}

impl Maker {
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.usize(0..from.len())]
    }

    fn failure(&mut self) -> u32 {
        self.failures += 1;
        self.reports += 1;
        self.failures
    }

    fn payload(&mut self) -> Payload {
        self.pick(&[Payload::Text, Payload::Literal, Payload::Boxed, Payload::Anyhow, Payload::Io, Payload::Resumed])
    }

    fn way(&mut self) -> Way {
        let rare = [Way::Context, Way::Announced, Way::Message, Way::Notice];
        let often = [Way::Capture, Way::Log, Way::LogField, Way::LogThenCapture, Way::CaptureThenLog, Way::Instrumented];
        if self.rng.u32(0..3) == 0 { self.pick(&rare) } else { self.pick(&often) }
    }

    fn script(&mut self, entry: Entry, scope: u32, bounds: Bounds) -> Script {
        let place = self.places;
        self.places += 1;
        let number = self.number;
        let is_post = self.rng.bool();
        let mut route = self.pick(&ROUTES);
        let mut end = if entry == Entry::Request { self.end_of_request() } else { self.end_of_job(entry) };
        match end {
            End::Dropped(_) if entry == Entry::Request && self.rng.bool() => route = LATE,
            End::Panics(..) | End::PanicResumed(..) if entry == Entry::Request && self.rng.bool() => route = CAUGHT,
            _ => {}
        }
        let mut steps = self.steps(bounds);
        if !bounds.is_shared && !bounds.is_part && bounds.depth == 2 && self.rng.u32(0..40) == 0 {
            // More than are kept.
            steps.extend((0..120).map(|_| self.crumb()));
        }
        match &mut end {
            End::Returned { failure, is_known, .. } if self.reports <= WAITING && self.rng.bool() => {
                *is_known = true;
                let ways = [Way::Capture, Way::Log, Way::LogField, Way::LogThenCapture, Way::CaptureThenLog, Way::Instrumented];
                let report = Step::Report(*failure, self.pick(&ways));
                steps.insert(self.rng.usize(0..=steps.len()), report);
            }
            End::Withdrawn(failure, Some(way)) if self.reports <= WAITING => {
                steps.insert(self.rng.usize(0..=steps.len()), Step::Report(*failure, *way));
            }
            End::Withdrawn(_, way) => *way = None,
            End::Fine | End::Returned { .. } if !bounds.is_part && !bounds.is_beside && self.rng.u32(0..4) == 0 => {
                steps.push(Step::Afterwards(self.failure(), self.way_afterwards()));
            }
            // Nobody could tell which of two plain failures was dropped at the limit.
            End::Plain(_) | End::Stream(_, _, StreamEnd::Breaks) if self.is_bare_inside => end = End::Fine,
            End::Dropped(None) if self.is_bare_inside && route == LATE => end = End::Dropped(Some((self.failure(), Way::Capture))),
            _ => {}
        }
        let is_bare =
            matches!(end, End::Plain(_) | End::Stream(_, _, StreamEnd::Breaks)) || matches!(end, End::Dropped(None)) && route == LATE;
        self.is_bare_inside |= is_bare && scope == 0;
        Script { number, place, scope, entry, is_post, route, steps, end }
    }

    fn way_afterwards(&mut self) -> Way {
        self.pick(&[Way::Capture, Way::Log, Way::LogThenCapture, Way::Message])
    }

    fn end_of_request(&mut self) -> End {
        let failure = self.failure();
        match self.rng.u32(0..24) {
            0..=5 => End::Fine,
            6..=7 => End::Plain(self.pick(&[500, 503])),
            8..=11 => End::Returned { failure, is_known: false, asks_id: self.rng.bool() },
            12 => End::Unfailed(failure),
            13..=14 => End::Panics(failure, self.payload()),
            15 => End::PanicResumed(failure, self.payload()),
            16 => End::PanicReturned(failure),
            17 => End::PanicLogged(failure),
            18..=19 => {
                let way = self.way();
                End::Dropped(self.rng.bool().then_some((failure, way)))
            }
            20 => End::Stream(failure, self.way(), StreamEnd::Whole),
            21 => End::Stream(failure, Way::Capture, self.pick(&[StreamEnd::Breaks, StreamEnd::BreaksAfterReport])),
            22 => End::Stream(failure, self.way(), StreamEnd::Dropped),
            _ => End::Stream(failure, Way::Capture, StreamEnd::Panics(self.payload())),
        }
    }

    fn end_of_job(&mut self, entry: Entry) -> End {
        let failure = self.failure();
        match self.rng.u32(0..10) {
            0..=2 => End::Fine,
            3..=5 => End::Returned { failure, is_known: false, asks_id: false },
            6 if entry == Entry::Job => End::Withdrawn(failure, self.pick(&[None, Some(Way::Log), Some(Way::LogField)])),
            6..=7 => End::Panics(failure, self.payload()),
            8 => End::PanicResumed(failure, self.payload()),
            _ => {
                let way = self.way();
                End::Dropped(self.rng.bool().then_some((failure, way)))
            }
        }
    }

    fn steps(&mut self, bounds: Bounds) -> Vec<Step> {
        (0..self.rng.u32(0..=4)).map(|_| self.step(bounds)).collect()
    }

    fn crumb(&mut self) -> Step {
        self.crumbs += 1;
        Step::Crumb(self.crumbs)
    }

    fn step(&mut self, bounds: Bounds) -> Step {
        match self.rng.u32(0..20) {
            5..=7 if !bounds.is_shared => {
                self.users += 1;
                Step::User((!self.users.is_multiple_of(3)).then_some(self.users))
            }
            8 if !bounds.is_shared => Step::Level(self.pick(&[None, Some(Level::Info), Some(Level::Warning)])),
            9..=11 => Step::Report(self.failure(), self.way()),
            12 => {
                self.reports += 2;
                Step::Hosts(self.failure())
            }
            13.. if bounds.depth > 0 => self.around(bounds),
            13 => Step::Yield,
            _ => self.crumb(),
        }
    }

    /// A step that has steps.
    fn around(&mut self, bounds: Bounds) -> Step {
        let inside = Bounds { depth: bounds.depth - 1, ..bounds };
        let beside = Bounds { is_beside: true, ..inside };
        match self.rng.u32(0..11) {
            0 => Step::Nested(self.steps(Bounds { is_nested: true, ..inside })),
            1 => Step::Span(self.steps(inside)),
            2 => Step::Spawned(self.steps(beside)),
            3 if !bounds.is_nested => Step::Carried(self.steps(beside)),
            4 => Step::Blocking(self.steps(beside)),
            5 if !bounds.is_shared => {
                let shared = Bounds { is_shared: true, ..inside };
                Step::Join(self.steps(shared), self.steps(shared))
            }
            6..=8 if !bounds.is_part => {
                let scope = if bounds.is_beside { self.scope() } else { 0 };
                let part = Bounds { depth: 0, is_part: true, is_shared: bounds.is_shared && scope == 0, ..inside };
                Step::Part(Arc::new(self.script(Entry::Request, scope, part)))
            }
            9 if !bounds.is_part => {
                let scope = self.scope();
                let inner = Bounds { depth: 0, is_part: true, is_shared: false, is_nested: false, ..inside };
                Step::Inner(Arc::new(self.script(Entry::Task, scope, inner)))
            }
            10 => Step::Crash(self.failure(), self.payload()),
            _ => Step::Yield,
        }
    }

    fn scope(&mut self) -> u32 {
        self.scopes += 1;
        self.scopes
    }
}
