use super::super::tests::{log_line, metric};
use super::*;
use crate::protocol::Level;
use crate::sampling::LiveSettings;

fn limits(events: u32, logs: u32) -> LiveSettings {
    LiveSettings { max_events_per_issue: events, max_logs_per_callsite: logs, max_metrics_per_name: 3, ..LiveSettings::default() }
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
        Item::Metric(metric) => metric.suppressed.map(|suppressed| suppressed.count),
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
        || (guard.issues.lock(), guard.places.lock(), guard.names.lock()),
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
fn metrics_are_limited_by_their_name_and_apart_from_logs() {
    let guard = guard(0, 0);
    let now = Instant::now();
    let of = |name: &'static str| {
        let mut metric = metric();
        metric.sample.name = name.into();
        Item::Metric(Box::new(metric))
    };

    let fates: Vec<_> = (0..5).map(|_| fate(&guard, of("orders"), now)).collect();

    assert_eq!(fates, [(1, false), (1, false), (1, false), (0, true), (0, false)]);
    assert_eq!((fate(&guard, of("other"), now), fate(&guard, Item::Log(Box::new(log_line())), now)), ((1, false), (0, true)));
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
