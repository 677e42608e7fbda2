//! Limits how many events of one issue, and how many logs of one place, are sent in a minute.
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
use crate::fork::Lock;
use crate::payload::{Facts, RouteName};
use crate::record::{Moment, Record, Suppressed, clock};

/// How long a window lasts.
const WINDOW: Duration = Duration::from_secs(60);
/// At most this many issues, and this many places, have a window. The oldest gives way to a new one.
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

/// The windows of all issues and places. No user code runs under its locks.
pub(super) struct FloodGuard {
    limits: Arc<EventLimits>,
    frames: FrameSettings,
    default_fingerprint: bool,
    issues: Lock<Windows>,
    places: Lock<Windows>,
}

impl FloodGuard {
    pub(super) fn new(limits: Arc<EventLimits>, facts: &Facts) -> Self {
        let Facts { frames, default_fingerprint, .. } = facts;
        let (issues, places) = Default::default();
        Self { limits, frames: frames.clone(), default_fingerprint: *default_fingerprint, issues, places }
    }

    /// Decides about an item at a moment. Also returns what waited in windows that have ended.
    pub(super) fn admit(&self, item: Item, now: impl FnOnce() -> Moment) -> (Fate, Vec<Item>) {
        let limit = match &item {
            Item::Event(_) => self.limits.events_per_issue(),
            Item::Log(_) => self.limits.logs_per_callsite(),
            _ => u32::MAX,
        };
        let (windows, key) = match &item {
            Item::Event(event) if limit < u32::MAX => {
                let EventRecord { captured, scope } = &**event;
                (&self.issues, self.issue(captured, scope, &RouteName(scope)))
            }
            Item::Log(line) if limit < u32::MAX => (&self.places, event::callsite(&line.log)),
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
        self.both(|windows| windows.end_due(Moment::at(now)))
    }

    /// When the next window ends in which something waits.
    pub(super) fn next_due(&self) -> Option<Instant> {
        [&self.issues, &self.places].into_iter().filter_map(|windows| windows.lock().next_due()).min()
    }

    /// Takes what waits, for a flush. The windows go on.
    pub(super) fn take_all(&self) -> Vec<Item> {
        self.both(Windows::take_all)
    }

    /// Takes what waits. From now on everything passes, to a queue that is about to close.
    pub(super) fn close(&self) -> Vec<Item> {
        self.both(Windows::close)
    }

    fn both(&self, take: impl Fn(&mut Windows) -> Vec<Item>) -> Vec<Item> {
        let mut taken = take(&mut self.issues.lock());
        taken.append(&mut take(&mut self.places.lock()));
        taken
    }
}

/// The windows of issues, or of places, by their numbers.
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
mod tests {
    use super::super::tests::log_line;
    use super::*;
    use crate::protocol::Level;
    use crate::sampling::LiveSettings;

    fn limits(events: u32, logs: u32) -> LiveSettings {
        LiveSettings { max_events_per_issue: events, max_logs_per_callsite: logs, ..LiveSettings::default() }
    }

    fn guard(events: u32, logs: u32) -> FloodGuard {
        FloodGuard::new(Arc::new(EventLimits::new(&limits(events, logs))), &Facts::default())
    }

    /// An event of the issue of this name.
    fn event(issue: &str) -> Item {
        let captured = CapturedEvent::message(Level::Error, issue.to_owned());
        Item::Event(Box::new(EventRecord { captured, scope: Box::default() }))
    }

    /// What becomes of an item: what is queued, and whether it waits.
    fn fate(guard: &FloodGuard, item: Item, now: Instant) -> (usize, bool) {
        let (fate, ended) = guard.admit(item, || Moment::at(now));
        (ended.len() + usize::from(matches!(fate, Fate::Passes(_))), matches!(fate, Fate::Waits(_)))
    }

    fn suppressed(item: &Item) -> Option<u64> {
        match item {
            Item::Event(event) => event.captured.suppressed.map(|suppressed| suppressed.count),
            Item::Log(line) => line.suppressed.map(|suppressed| suppressed.count),
            _ => None,
        }
    }

    /// How many issues have a window.
    fn sizes(guard: &FloodGuard) -> (usize, usize) {
        let issues = guard.issues.lock();
        (issues.by_key.len(), issues.order.len())
    }

    /// What waits: items and bytes.
    fn waiting(guard: &FloodGuard) -> (usize, usize) {
        let issues = guard.issues.lock();
        (issues.waiting.items, issues.waiting.bytes)
    }

    #[cfg(unix)]
    #[test]
    fn a_forked_child_does_not_wait_for_the_windows_of_its_parent() {
        let guard = guard(1, 1);
        crate::fork::run_in_child(
            || (guard.issues.lock(), guard.places.lock()),
            || {
                fate(&guard, event("a"), Instant::now());
                guard.next_due();
                guard.take_all();
                guard.close();
            },
        );
    }

    #[test]
    fn a_window_ends_a_minute_after_it_began_if_something_waits_in_it() {
        let guard = guard(1, 1);
        let now = Instant::now();

        assert_eq!(fate(&guard, event("a"), now), (1, false));
        assert_eq!(guard.next_due(), None, "an idle service is not woken for nothing");
        let later = now + Duration::from_secs(10);
        let fates: Vec<_> = (0..4).map(|_| fate(&guard, event("a"), later)).collect();

        assert_eq!(fates, [(0, true), (0, false), (0, false), (0, false)]);
        assert_eq!(guard.next_due(), Some(now + WINDOW));
        assert!(guard.end_due(now + Duration::from_nanos(59_999_999_999)).is_empty());
        assert_eq!(guard.end_due(now + WINDOW).iter().map(suppressed).collect::<Vec<_>>(), [Some(3)]);
        assert_eq!((guard.next_due(), fate(&guard, event("a"), now + WINDOW)), (None, (1, false)), "it begins anew");
    }

    #[test]
    fn the_number_comes_with_the_time_of_the_first_and_the_last() {
        let guard = guard(0, 0);
        let captured = |at| CapturedEvent { at, ..CapturedEvent::message(Level::Error, "a".to_owned()) };
        // Events of several threads come in any order.
        for at in [3, 9, 5] {
            let event = EventRecord { captured: captured(at), scope: Box::default() };
            fate(&guard, Item::Event(Box::new(event)), Instant::now());
        }

        let [Item::Event(event)] = &guard.take_all()[..] else { panic!("one waits") };
        assert_eq!(event.captured.suppressed, Some(Suppressed { count: 2, from: 3, to: 9 }));
    }

    #[test]
    fn an_event_that_would_be_dropped_is_counted_before_it_is_made() {
        let guard = guard(1, 1);
        let now = clock::now().instant().unwrap_or_else(Instant::now);
        let captured = CapturedEvent::message(Level::Error, "a".to_owned());
        let counts = || guard.counts(&captured, &Record::default(), &"");

        assert!(!counts(), "it would pass");
        fate(&guard, event("a"), now);
        assert!(!counts(), "it would wait");
        fate(&guard, event("a"), now);
        assert!(counts() && counts());

        assert_eq!(guard.take_all().iter().map(suppressed).collect::<Vec<_>>(), [Some(2)]);
        assert!(!counts(), "the next one waits again");
    }

    #[test]
    fn a_thousand_issues_have_a_window_and_the_oldest_gives_way() {
        let guard = guard(1, 1);
        let now = Instant::now();
        let name = |number: u32| char::from_u32(0x4e00 + number).map(String::from).unwrap_or_default();
        (0..3).for_each(|_| _ = fate(&guard, event(&name(0)), now));

        let queued: usize = (1..1000).map(|number| fate(&guard, event(&name(number)), now).0).sum();
        let beyond = guard.admit(event(&name(1000)), || Moment::at(now));

        assert_eq!(queued, 999);
        assert!(matches!(beyond.0, Fate::Passes(_)), "a new issue always has a place");
        assert_eq!(beyond.1.iter().map(suppressed).collect::<Vec<_>>(), [Some(1)], "what waited in the oldest goes");
        assert_eq!(sizes(&guard), (1000, 1000));
        assert_eq!(fate(&guard, event(&name(999)), now), (0, true), "the others stay");
    }

    #[test]
    fn what_waits_has_a_limit_of_bytes_and_the_rest_is_dropped() {
        let guard = guard(0, 0);
        let now = Instant::now();
        let large = |letter: char| {
            let mut captured = CapturedEvent::message(Level::Error, letter.to_string());
            captured.message = Some(letter.to_string().repeat(300_000));
            Item::Event(Box::new(EventRecord { captured, scope: Box::default() }))
        };

        let waits: Vec<_> = ['a', 'b', 'c', 'd'].map(|letter| fate(&guard, large(letter), now).1).into();
        let released = guard.take_all().len();

        assert_eq!((waits, released), (vec![true, true, true, false], 3));
        assert_eq!(waiting(&guard), (0, 0));
        assert_eq!(fate(&guard, large('d'), now), (0, true), "there is room again");
    }

    #[test]
    fn logs_are_limited_by_their_place_and_apart_from_events() {
        let guard = guard(0, 2);
        let now = Instant::now();

        let fates: Vec<_> = (0..4).map(|_| fate(&guard, Item::Log(Box::new(log_line())), now)).collect();

        assert_eq!(fates, [(1, false), (1, false), (0, true), (0, false)]);
        assert_eq!(fate(&guard, event("a"), now), (0, true));
        assert_eq!(guard.take_all().iter().map(suppressed).collect::<Vec<_>>(), [None, Some(1)]);
    }

    #[test]
    fn a_closed_guard_lets_everything_pass_to_the_queue_that_closes() {
        let guard = guard(0, 0);
        let now = Instant::now();
        fate(&guard, event("a"), now);

        assert_eq!(guard.close().len(), 1);
        assert_eq!(fate(&guard, event("a"), now), (1, false));
        assert!(guard.take_all().is_empty());
    }

    #[test]
    fn a_limit_that_changes_counts_for_the_next_event() {
        let guard = guard(1, 1);
        let now = Instant::now();
        let passed = |count: usize| (0..count).map(|_| fate(&guard, event("a"), now).0).sum::<usize>();

        let before = passed(5);
        guard.limits.set(&limits(4, 1));
        let after = passed(5);
        guard.limits.set(&limits(u32::MAX, 1));

        assert_eq!((before, after, passed(5)), (1, 3, 5));
        assert_eq!(guard.take_all().iter().map(suppressed).collect::<Vec<_>>(), [Some(5)], "what was counted is said");
    }
}
