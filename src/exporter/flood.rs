//! Limits how many events of one issue, logs of one place and metrics of one name are sent in a minute.
//!
//! The first ones pass. Of those beyond the limit, one waits for the end of the minute, or for a
//! flush, and then says how many others there were. These are dropped and counted. All of this happens
//! before the queue, so that a flood of one error pushes out nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::event_limits::EventLimits;
use super::item::Item;
use crate::event::{self, CapturedEvent, EventRecord, FrameSettings};
use crate::fnv;
use crate::fork::Lock;
use crate::payload::{Facts, RouteName};
use crate::record::{Moment, Record, Suppressed, clock};

/// How long a window lasts.
const WINDOW: Duration = Duration::from_secs(60);
/// At most this many issues, this many places and this many names have a window. The oldest gives way to a new one.
const WINDOWS_LIMIT: usize = 1000;
/// The items that wait for the end of their windows may have this many bytes together. Without room,
/// only the accounts have the number of those that were dropped.
const BYTES_LIMIT: usize = 1024 * 1024;

/// What becomes of an item.
pub(super) enum Fate {
    Passes(Item),
    /// It waits for the end of its window. The bytes are those of its attachments, which it has lost.
    Waits(u64),
    /// It is dropped.
    Suppressed(Item),
}

/// The windows of all issues, places and names. No user code runs under its locks.
pub(super) struct FloodGuard {
    limits: Arc<EventLimits>,
    frames: FrameSettings,
    default_fingerprint: bool,
    issues: Lock<Windows>,
    places: Lock<Windows>,
    names: Lock<Windows>,
}

impl FloodGuard {
    pub(super) fn new(limits: Arc<EventLimits>, facts: &Facts) -> Self {
        let Facts { frames, default_fingerprint, .. } = facts;
        let (issues, places, names) = Default::default();
        Self { limits, frames: frames.clone(), default_fingerprint: *default_fingerprint, issues, places, names }
    }

    /// Decides about an item at a moment. Also returns what waited in windows that have ended.
    pub(super) fn admit(&self, item: Item, now: impl FnOnce() -> Moment) -> (Fate, Vec<Item>) {
        let limit = match &item {
            Item::Event(_) => self.limits.events_per_issue(),
            Item::Log(_) => self.limits.logs_per_callsite(),
            Item::Metric(_) => self.limits.metrics_per_name(),
            _ => u32::MAX,
        };
        let (windows, key) = match &item {
            Item::Event(event) if limit < u32::MAX => {
                let EventRecord { captured, scope } = &**event;
                (&self.issues, self.issue(captured, scope, &RouteName(scope)))
            }
            Item::Log(line) if limit < u32::MAX => (&self.places, event::callsite(&line.log)),
            Item::Metric(metric) if limit < u32::MAX => (&self.names, fnv::add(fnv::START, &metric.sample.name)),
            _ => return (Fate::Passes(item), Vec::new()),
        };
        windows.lock().admit(key, item, limit, now())
    }

    /// Counts an event that [`admit`](Self::admit) would drop, so that it need not be made. Returns
    /// `false` if it would not drop it.
    pub(super) fn counts(&self, captured: &CapturedEvent, scope: &Record, route: &dyn fmt::Display) -> bool {
        let limit = self.limits.events_per_issue();
        limit < u32::MAX && self.issues.lock().counts(self.issue(captured, scope, route), captured.at, limit, clock::now())
    }

    /// The number of an event's issue.
    pub(super) fn issue(&self, captured: &CapturedEvent, scope: &Record, route: &dyn fmt::Display) -> u64 {
        event::issue(captured, captured.given_fingerprint(scope), route, &self.frames, self.default_fingerprint)
    }

    /// Takes what waited in windows that have ended.
    pub(super) fn end_due(&self, now: Instant) -> Vec<Item> {
        self.each(|windows| windows.end_due(Moment::at(now)))
    }

    /// When the next window ends in which something waits.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.all().into_iter().filter_map(|windows| windows.lock().next_due()).min()
    }

    /// Takes what waits, for a flush. The windows go on.
    pub(super) fn take_all(&self) -> Vec<Item> {
        self.each(Windows::take_all)
    }

    /// Takes what waits. From now on everything passes, to a queue that is about to close.
    pub(super) fn close(&self) -> Vec<Item> {
        self.each(Windows::close)
    }

    fn all(&self) -> [&Lock<Windows>; 3] {
        [&self.issues, &self.places, &self.names]
    }

    fn each(&self, take: impl Fn(&mut Windows) -> Vec<Item>) -> Vec<Item> {
        self.all().into_iter().flat_map(|windows| take(&mut windows.lock())).collect()
    }
}

/// The windows of issues, of places or of names, by their numbers.
#[derive(Default)]
struct Windows {
    by_key: BTreeMap<u64, Window>,
    /// All last equally long, so the first one ends first.
    order: VecDeque<u64>,
    waiting: Waiting,
    is_closed: bool,
}

/// What waits in all windows together.
#[derive(Debug, Default)]
struct Waiting {
    items: usize,
    bytes: usize,
}

#[derive(Default)]
struct Window {
    began: Moment,
    passed: u32,
    /// The first one beyond the limit, with its size.
    waits: Option<(usize, Item)>,
    /// Those after it, which were dropped.
    others: u64,
    /// When the latest of them was captured, in nanoseconds since the epoch.
    last: u64,
}

impl Window {
    fn has_ended(&self, now: Moment) -> bool {
        u128::from(now.nanos_since(self.began)) >= WINDOW.as_nanos()
    }

    /// Takes an item beyond the limit.
    fn take(&mut self, mut item: Item, waiting: &mut Waiting) -> Fate {
        if self.waits.is_some() {
            self.count(item.began_at());
            return Fate::Suppressed(item);
        }
        let attached = item.withhold_attachments();
        let size = item.size();
        if waiting.bytes + size > BYTES_LIMIT {
            return Fate::Suppressed(item);
        }
        waiting.items += 1;
        waiting.bytes += size;
        self.waits = Some((size, item));
        Fate::Waits(attached)
    }

    fn count(&mut self, at: Option<u64>) {
        self.others += 1;
        self.last = self.last.max(at.unwrap_or_default());
    }

    /// Releases what waits, and says in it how many others there were.
    fn release(&mut self, waiting: &mut Waiting) -> Option<Item> {
        let (size, mut item) = self.waits.take()?;
        waiting.items -= 1;
        waiting.bytes -= size;
        let count = std::mem::take(&mut self.others);
        if count > 0 {
            let from = item.began_at().unwrap_or_default();
            item.note_suppressed(Suppressed { count, from, to: self.last.max(from) });
        }
        Some(item)
    }
}

impl Windows {
    fn admit(&mut self, key: u64, item: Item, limit: u32, now: Moment) -> (Fate, Vec<Item>) {
        if self.is_closed {
            return (Fate::Passes(item), Vec::new());
        }
        let mut ended = self.end_due(now);
        if !self.by_key.contains_key(&key) {
            if self.by_key.len() >= WINDOWS_LIMIT {
                ended.extend(self.end_oldest());
            }
            self.order.push_back(key);
        }
        let window = self.by_key.entry(key).or_insert_with(|| Window { began: now, ..Window::default() });
        if window.passed < limit {
            window.passed += 1;
            return (Fate::Passes(item), ended);
        }
        (window.take(item, &mut self.waiting), ended)
    }

    fn counts(&mut self, key: u64, at: u64, limit: u32, now: Moment) -> bool {
        let is_full = |window: &&mut Window| window.passed >= limit && window.waits.is_some() && !window.has_ended(now);
        self.by_key.get_mut(&key).filter(is_full).map(|window| window.count(Some(at))).is_some()
    }

    fn end_due(&mut self, now: Moment) -> Vec<Item> {
        let mut ended = Vec::new();
        while self.order.front().and_then(|key| self.by_key.get(key)).is_some_and(|window| window.has_ended(now)) {
            ended.extend(self.end_oldest());
        }
        ended
    }

    fn end_oldest(&mut self) -> Option<Item> {
        let mut window = self.by_key.remove(&self.order.pop_front()?)?;
        window.release(&mut self.waiting)
    }

    fn next_due(&self) -> Option<Instant> {
        // Mostly nothing waits, and then no timer wakes the exporter.
        let keys = self.order.iter().filter(|_| self.waiting.items > 0);
        let first = keys.filter_map(|key| self.by_key.get(key)).find(|window| window.waits.is_some())?;
        Some(first.began.instant()? + WINDOW)
    }

    fn take_all(&mut self) -> Vec<Item> {
        let Self { by_key, order, waiting, .. } = self;
        order.iter().filter_map(|key| by_key.get_mut(key)?.release(waiting)).collect()
    }

    fn close(&mut self) -> Vec<Item> {
        let left = self.take_all();
        *self = Self { is_closed: true, ..Self::default() };
        left
    }
}

#[cfg(test)]
mod tests;
