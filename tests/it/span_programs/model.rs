//! What was meant: which request each span and each event of a program belongs to, and below which span it is.
//!
//! The rules are those of the docs. A span belongs to the request of its explicit parent, else to the one that is current where it is born. Inside
//! a span, that request is current. A span that is not recorded stands for the nearest recorded one around it.

use std::collections::BTreeMap;

use super::program::{Carry, Parent, Program, Spec, Step};

/// A scope that belongs to no request: what is captured in it has no user.
const DETACHED: usize = usize::MAX;

/// What arrives of a program.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// The request, the span around it (none for the root), and for spans of ours whether they were cancelled.
    pub spans: BTreeMap<u32, (usize, Option<u32>, Option<bool>)>,
    /// The same for messages and logs.
    pub events: BTreeMap<u32, (Option<usize>, Option<u32>)>,
}

/// What is meant to arrive.
pub fn meant(program: &Program) -> Arrived {
    let mut model = Model { program, known: BTreeMap::new(), arrived: Arrived::default() };
    for spec in &program.outside {
        model.create(spec, &Place::default());
    }
    let root = |request| Place { request: Some(request), ..Place::default() };
    model.create(&program.around_shared, &root(0));
    let around = model.enter(&root(0), program.around_shared.id);
    for spec in &program.shared {
        model.create(spec, &around);
    }
    for (request, steps) in program.requests.iter().enumerate() {
        model.steps(steps, &root(request), false);
    }
    model.arrived
}

/// Where code runs.
#[derive(Clone, Debug, Default)]
struct Place {
    request: Option<usize>,
    /// The recorded span around the code; none is the root.
    node: Option<u32>,
    /// The `tracing` spans that are entered, of whatever kind. The Registry keeps only the first of two entries.
    entered: Vec<u32>,
    /// Those that our layer sees.
    seen: Vec<u32>,
    /// The innermost span of ours, or of a handle.
    own: Option<Own>,
}

impl Place {
    /// The current span for the Registry.
    fn current(&self) -> Option<u32> {
        self.entered.last().copied()
    }

    /// Inside a span of ours, or of a handle.
    fn inside(&self, node: Option<u32>) -> Self {
        Self { node, own: Some(Own { node, around: self.seen.last().copied() }), ..self.clone() }
    }
}

/// A span of ours, or that of a handle, which is current without `tracing`.
#[derive(Clone, Copy, Debug)]
struct Own {
    node: Option<u32>,
    /// The innermost `tracing` span around it. To enter it again, as `in_current_span` does, changes nothing.
    around: Option<u32>,
}

/// A span of `tracing`.
struct Known {
    /// The request it belongs to; none if it is born outside of all, or hidden from our layer.
    home: Option<usize>,
    is_hidden: bool,
    is_recorded: bool,
    /// Its parent in the Registry.
    parent: Option<u32>,
    /// The span of ours around it, if it is not recorded itself.
    own: Option<u32>,
}

struct Model<'a> {
    program: &'a Program,
    known: BTreeMap<u32, Known>,
    arrived: Arrived,
}

impl Model<'_> {
    fn create(&mut self, spec: &Spec, place: &Place) {
        let is_hidden = spec.is_hidden && self.program.subscriber.hides();
        let (parent, home, node) = match spec.parent {
            Parent::Contextual => (place.current(), place.request, place.node),
            Parent::Root => (None, place.request, None),
            Parent::Of(parent) => match self.home_of(parent) {
                Some((home, node)) => (Some(parent), Some(home), node),
                None => (Some(parent), place.request, None),
            },
        };
        let least = if self.program.subscriber.is_debug() { 3 } else { 2 };
        let is_recorded = !is_hidden && spec.level <= least && home.is_some_and(|home| home != DETACHED);
        if is_recorded {
            self.arrived.spans.insert(spec.id, (home.unwrap(), node, None));
        }
        // The span of ours that it is directly inside of, which the Registry does not know.
        let own = place.own.filter(|own| own.around == place.seen.last().copied()).and_then(|own| own.node);
        let own = own.filter(|_| matches!(spec.parent, Parent::Contextual) && !is_recorded && !is_hidden);
        let known = Known { home: home.filter(|_| !is_hidden), is_hidden, is_recorded, parent, own };
        self.known.insert(spec.id, known);
    }

    /// A span and those around it in the Registry.
    fn around(&self, id: u32) -> impl Iterator<Item = (u32, &Known)> {
        std::iter::successors(Some(id), |id| self.known[id].parent).map(|id| (id, &self.known[&id]))
    }

    /// The recorded span of a request that a span is, or is inside of.
    fn recorded(&self, id: u32, home: usize) -> Option<u32> {
        self.around(id)
            .filter(|(_, known)| known.home == Some(home))
            .find_map(|(id, known)| if known.is_recorded { Some(id) } else { known.own })
    }

    fn home_of(&self, id: u32) -> Option<(usize, Option<u32>)> {
        let home = self.around(id).find_map(|(_, known)| known.home)?;
        Some((home, self.recorded(id, home)))
    }

    fn enter(&self, place: &Place, id: u32) -> Place {
        let known = &self.known[&id];
        let mut place = place.clone();
        if !place.entered.contains(&id) {
            place.entered.push(id);
        }
        if known.is_hidden {
            return place;
        }
        place.seen.push(id);
        match known.home {
            Some(home) if place.request != Some(home) => {
                let node = place.seen.iter().rev().find_map(|id| self.recorded(*id, home));
                Place { request: Some(home), node, own: None, ..place }
            }
            home => {
                let again = place.own.filter(|own| own.around == Some(id)).map(|own| own.node);
                let recorded = || home.and_then(|home| self.recorded(id, home)).or(place.node);
                Place { node: again.unwrap_or_else(recorded), ..place }
            }
        }
    }

    fn steps(&mut self, steps: &[Step], place: &Place, is_dropped: bool) {
        for step in steps {
            self.step(step, place, is_dropped);
        }
    }

    /// `is_dropped`: the last step never ends.
    fn step(&mut self, step: &Step, place: &Place, is_dropped: bool) {
        match step {
            Step::Message(id) | Step::Log(id, None) => self.event(*id, place.request, place.node),
            Step::Log(id, Some(parent)) => {
                let (request, node) = self.home_of(*parent).map_or((place.request, None), |(home, node)| (Some(home), node));
                self.event(*id, request, node);
            }
            Step::Span { spec, steps, .. } => {
                self.create(spec, place);
                let inside = self.enter(place, spec.id);
                self.steps(steps, &inside, is_dropped);
            }
            Step::Again { id, steps, .. } => {
                let inside = self.enter(place, *id);
                self.steps(steps, &inside, is_dropped);
            }
            Step::Own { id, steps, .. } => {
                let inside = match place.request {
                    Some(request) if request != DETACHED => {
                        let is_cancelled = ends_never(steps);
                        self.arrived.spans.insert(*id, (request, place.node, Some(is_cancelled)));
                        place.inside(Some(*id))
                    }
                    _ => place.clone(),
                };
                self.steps(steps, &inside, is_dropped);
            }
            Step::Nested { steps, .. } => {
                let place = Place { request: place.request.or(Some(DETACHED)), ..place.clone() };
                self.steps(steps, &place.inside(place.node), is_dropped);
            }
            Step::Yield | Step::Never => {}
            Step::Join(branches) => branches.iter().for_each(|steps| self.steps(steps, place, false)),
            Step::Select([loser, winner]) => {
                self.steps(loser, place, true);
                self.steps(winner, place, false);
            }
            Step::Spawn(carry, steps) | Step::Blocking(carry, steps) => {
                let inside = self.carried(carry, place);
                self.steps(steps, &inside, false);
            }
        }
    }

    fn carried(&mut self, carry: &Carry, place: &Place) -> Place {
        match carry {
            Carry::Bind => bound(place),
            Carry::InCurrentSpan => match place.current() {
                Some(current) => self.enter(&Place::default(), current),
                None => Place::default(),
            },
            Carry::Instrument(spec) => {
                self.create(spec, place);
                self.enter(&Place::default(), spec.id)
            }
            Carry::Plain => Place::default(),
        }
    }

    fn event(&mut self, id: u32, request: Option<usize>, node: Option<u32>) {
        let request = request.filter(|request| *request != DETACHED);
        self.arrived.events.insert(id, (request, node.filter(|_| request.is_some())));
    }
}

/// A scope that is carried by its handle. Outside of requests, it is detached.
fn bound(place: &Place) -> Place {
    Place { request: place.request.or(Some(DETACHED)), ..Place::default() }.inside(place.node)
}

fn ends_never(steps: &[Step]) -> bool {
    match steps.last() {
        Some(Step::Never) => true,
        Some(Step::Span { steps, .. } | Step::Own { steps, .. } | Step::Nested { steps, .. }) => ends_never(steps),
        _ => false,
    }
}
