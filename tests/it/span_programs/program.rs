//! Random programs of spans, from a seed.

use fastrand::Rng;

/// A program: two requests at once, and what was there before them.
#[derive(Debug)]
pub struct Program {
    pub seed: u64,
    pub subscriber: Subscriber,
    pub has_threads: bool,
    /// Whether the requests are served by a `SentryLayer`, or are jobs.
    pub is_served: bool,
    /// Spans that are born before all requests.
    pub outside: Vec<Spec>,
    /// Spans that the first request makes first, inside a span of its own: the second one enters them.
    pub around_shared: Spec,
    pub shared: Vec<Spec>,
    pub requests: [Vec<Step>; 2],
}

/// The layers of the subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscriber {
    Alone,
    /// A per-layer filter hides some spans from our layer, and another layer takes them.
    Filtered,
    FilteredAtDebug,
    AtDebug,
    BesideOthers,
}

impl Subscriber {
    pub fn is_debug(self) -> bool {
        matches!(self, Self::AtDebug | Self::FilteredAtDebug)
    }

    pub fn hides(self) -> bool {
        matches!(self, Self::Filtered | Self::FilteredAtDebug)
    }
}

/// A span of `tracing`.
#[derive(Clone, Debug)]
pub struct Spec {
    pub id: u32,
    /// From 0 for ERROR to 4 for TRACE.
    pub level: u8,
    pub is_hidden: bool,
    pub parent: Parent,
    /// Whether its handle is kept until the end: later steps refer to it.
    pub is_kept: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Parent {
    Contextual,
    Root,
    Of(u32),
}

/// How work on another task or thread finds home.
#[derive(Clone, Debug)]
pub enum Carry {
    Bind,
    InCurrentSpan,
    Instrument(Spec),
    Plain,
}

#[derive(Debug)]
pub enum Step {
    /// A message is captured.
    Message(u32),
    /// An error is logged, with an explicit parent or without one.
    Log(u32, Option<u32>),
    /// A span with work inside, polled as a future or run in a closure.
    Span {
        spec: Spec,
        is_async: bool,
        steps: Vec<Self>,
    },
    /// Enters a span that is open already.
    Again {
        id: u32,
        is_async: bool,
        steps: Vec<Self>,
    },
    /// A span of ours.
    Own {
        id: u32,
        is_async: bool,
        steps: Vec<Self>,
    },
    /// A nested scope.
    Nested {
        is_async: bool,
        steps: Vec<Self>,
    },
    Yield,
    Join(Vec<Vec<Self>>),
    /// The first one never ends, and is dropped when the second one does.
    Select([Vec<Self>; 2]),
    Never,
    Spawn(Carry, Vec<Self>),
    Blocking(Carry, Vec<Self>),
}

/// Makes a program with about `size` steps in each request.
pub fn program(seed: u64, size: usize) -> Program {
    let mut maker = Maker { random: Rng::with_seed(seed), next: 0, left: 0, hides: false };
    let subscribers = [Subscriber::Alone, Subscriber::Filtered, Subscriber::FilteredAtDebug, Subscriber::AtDebug, Subscriber::BesideOthers];
    let subscriber = *maker.choose(&subscribers);
    maker.hides = subscriber.hides();
    let (has_threads, is_served) = (maker.random.u8(..5) == 0, maker.random.bool());
    let outside: Vec<_> = (0..2).map(|_| Spec { is_kept: true, ..maker.spec(&[]) }).collect();
    let around_shared = Spec { level: 2, is_hidden: false, is_kept: true, parent: Parent::Contextual, ..maker.spec(&[]) };
    let visible: Vec<_> = outside.iter().map(|spec| spec.id).chain([around_shared.id]).collect();
    let shared = |maker: &mut Maker| Spec { is_kept: true, is_hidden: false, parent: Parent::Contextual, ..maker.spec(&[]) };
    let shared: Vec<_> = (0..3).map(|_| shared(&mut maker)).collect();
    let visible: Vec<_> = visible.into_iter().chain(shared.iter().map(|spec| spec.id)).collect();
    let requests = [(); 2].map(|()| {
        maker.left = size;
        maker.steps(visible.clone(), true, 0)
    });
    Program { seed, subscriber, has_threads, is_served, outside, around_shared, shared, requests }
}

struct Maker {
    random: Rng,
    next: u32,
    left: usize,
    hides: bool,
}

impl Maker {
    fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.random.usize(..from.len())]
    }

    fn id(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn spec(&mut self, visible: &[u32]) -> Spec {
        let level = *self.choose(&[0, 1, 2, 2, 2, 3, 3, 4]);
        let parent = match self.random.u8(..10) {
            0 => Parent::Root,
            1..=2 if !visible.is_empty() => Parent::Of(*self.choose(visible)),
            _ => Parent::Contextual,
        };
        Spec { id: self.id(), level, is_hidden: self.hides && self.random.u8(..4) == 0, parent, is_kept: self.random.u8(..3) == 0 }
    }

    /// Steps one after the other. `visible` are the spans that can be referred to.
    fn steps(&mut self, mut visible: Vec<u32>, is_async: bool, depth: u32) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..self.random.usize(1..=4) {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            let step = self.step(&visible, is_async, depth);
            if let Step::Span { spec, .. } = &step
                && spec.is_kept
            {
                visible.push(spec.id);
            }
            steps.push(step);
        }
        steps
    }

    fn step(&mut self, visible: &[u32], is_async: bool, depth: u32) -> Step {
        if depth > 6 {
            return Step::Message(self.id());
        }
        let inner = is_async && self.random.u8(..4) > 0;
        match self.random.u8(..if is_async { 24 } else { 16 }) {
            0..=1 => Step::Message(self.id()),
            2 => Step::Log(self.id(), if self.random.bool() { Some(*self.choose(visible)) } else { None }),
            3..=8 => {
                let spec = self.spec(visible);
                let visible = if spec.is_kept { [visible, &[spec.id]].concat() } else { visible.to_vec() };
                Step::Span { spec, is_async: inner, steps: self.steps(visible, inner, depth + 1) }
            }
            9..=11 => Step::Again { id: *self.choose(visible), is_async: inner, steps: self.steps(visible.to_vec(), inner, depth + 1) },
            12..=14 => Step::Own { id: self.id(), is_async: inner, steps: self.steps(visible.to_vec(), inner, depth + 1) },
            15 => Step::Nested { is_async: inner, steps: self.steps(visible.to_vec(), inner, depth + 1) },
            16 => Step::Yield,
            17..=18 => {
                let branches = self.random.usize(2..=3);
                Step::Join((0..branches).map(|_| self.steps(visible.to_vec(), true, depth + 1)).collect())
            }
            19 => Step::Select([self.loser(visible, depth + 1), self.steps(visible.to_vec(), true, depth + 1)]),
            20..=22 => Step::Spawn(self.carry(visible), self.steps(visible.to_vec(), true, depth + 1)),
            _ => Step::Blocking(self.carry(visible), self.steps(visible.to_vec(), false, depth + 1)),
        }
    }

    fn carry(&mut self, visible: &[u32]) -> Carry {
        match self.random.u8(..8) {
            0..=2 => Carry::Bind,
            3..=4 => Carry::InCurrentSpan,
            5..=6 => Carry::Instrument(self.spec(visible)),
            _ => Carry::Plain,
        }
    }

    /// Work that does all it does at its first poll, and then never ends.
    fn loser(&mut self, visible: &[u32], depth: u32) -> Vec<Step> {
        let mut steps = self.steps(visible.to_vec(), false, depth);
        steps.push(match self.random.u8(..4) {
            0 if depth < 6 => Step::Own { id: self.id(), is_async: true, steps: self.loser(visible, depth + 1) },
            1 if depth < 6 => Step::Span { spec: self.spec(visible), is_async: true, steps: self.loser(visible, depth + 1) },
            2 if depth < 6 => Step::Nested { is_async: true, steps: self.loser(visible, depth + 1) },
            _ => Step::Never,
        });
        steps
    }
}
