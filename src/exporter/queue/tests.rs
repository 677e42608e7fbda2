//! Limits, and what gives way to what.

use std::sync::Arc;
use std::task::{Context, Waker};

use super::super::tests::{log_line, metric};
use super::*;
use crate::event::{CapturedEvent, EventRecord};
use crate::protocol::{Attachment, Category, CheckIn, CheckInStatus, EventId, Level};
use crate::record::Record;

fn transaction() -> Item {
    Item::Transaction(Box::default())
}

fn check_in() -> Item {
    let check_in_id = EventId::new();
    Item::CheckIn(Box::new(CheckIn {
        check_in_id,
        monitor_slug: "nightly".to_owned(),
        status: CheckInStatus::Ok,
        duration: None,
        release: None,
        environment: None,
        monitor_config: None,
        contexts: None,
    }))
}

/// What had to go: older items, then the new one.
fn categories(overflow: &Overflow) -> Vec<Category> {
    overflow.evicted.iter().chain(&overflow.refused).map(Item::category).collect()
}

/// The numbers of all items that wait, in the order in which they leave.
fn numbers(queue: &Queue) -> Vec<u64> {
    std::iter::from_fn(|| Some(queue.pop()?.0)).collect()
}

fn log() -> Item {
    Item::Log(Box::new(log_line()))
}

fn error() -> Item {
    let captured = CapturedEvent::message(Level::Error, String::new());
    Item::Event(Box::new(EventRecord { captured, scope: Box::default() }))
}

#[test]
fn a_full_queue_drops_the_oldest_transactions() {
    let queue = Queue::new(3, usize::MAX);
    for _ in 0..3 {
        assert_eq!(categories(&queue.push(transaction())), []);
    }

    assert_eq!(categories(&queue.push(transaction())), [Category::Transaction]);
    assert_eq!(categories(&queue.push(error())), [Category::Transaction]);

    assert_eq!(numbers(&queue), [4, 2, 3], "the error first, then the newest transactions");
}

#[test]
fn neither_errors_nor_transactions_push_out_more_than_what_is_beyond_the_share_of_the_others() {
    type Make = fn() -> Item;
    let rows: [(Make, Make, usize); 2] = [(error, transaction, 375), (transaction, error, 625)];
    for (first, then, kept) in rows {
        let queue = Queue::new(1000, usize::MAX);
        (0..1500).for_each(|_| drop(queue.push(first())));

        let dropped: Vec<_> = (0..1500).flat_map(|_| categories(&queue.push(then()))).collect();

        let of_first = dropped.iter().filter(|category| **category == first().category()).count();
        assert_eq!((dropped.len(), of_first), (1500, kept), "the rest are older ones of the same class");
        let left = std::iter::from_fn(|| Some(queue.pop()?.1.category())).filter(|category| *category == then().category()).count();
        assert_eq!(left, kept);
    }
}

#[test]
fn a_queue_full_of_errors_keeps_the_newest_errors() {
    let queue = Queue::new(1, usize::MAX);
    assert_eq!(categories(&queue.push(error())), []);

    assert_eq!(categories(&queue.push(error())), [Category::Error]);
    let refused = queue.push(transaction());

    assert!(refused.evicted.is_empty() && refused.refused.is_some(), "one place is that of an error");
    assert_eq!(numbers(&queue), [1]);
}

#[test]
fn each_class_has_its_share_of_the_bytes() {
    let size = transaction().size();
    let sized = |class: Class| match class {
        Class::Errors => error(),
        Class::Transactions => transaction(),
        Class::CheckIns | Class::Logs => {
            let mut line = log_line();
            line.log.fields = vec![0; size - size_of_val(&line)];
            Item::Log(Box::new(line))
        }
        Class::Metrics => {
            let mut metric = metric();
            metric.sample.fields = vec![0; size - size_of_val(&metric) - metric.size()];
            Item::Metric(Box::new(metric))
        }
    };
    let classes = [Class::Errors, Class::Transactions, Class::Logs, Class::Metrics];
    for flood in classes {
        let queue = Queue::new(100_000, 100 * size);
        for class in classes.into_iter().filter(|class| *class != flood).chain([flood]) {
            (0..300).for_each(|_| drop(queue.push(sized(class))));
        }

        let left: Vec<_> = std::iter::from_fn(|| Some(queue.pop()?.1.class())).collect();

        let counts = classes.map(|class| left.iter().filter(|other| **other == class).count());
        assert_eq!(counts, [50, 30, 15, 5], "{flood:?} came last");
    }
}

#[test]
fn a_class_that_was_away_does_not_make_up_for_it() {
    let queue = Queue::new(1000, usize::MAX);
    for _ in 0..100 {
        queue.push(error());
        queue.pop();
    }
    for _ in 0..80 {
        queue.push(error());
        queue.push(transaction());
    }

    let first: Vec<_> = std::iter::from_fn(|| Some(queue.pop()?.1.class())).take(80).collect();

    assert_eq!(first.iter().filter(|class| **class == Class::Errors).count(), 50);
}

#[test]
fn errors_transactions_and_logs_leave_in_turns() {
    let queue = Queue::new(1000, usize::MAX);
    for _ in 0..100 {
        for item in [error(), transaction(), Item::Log(Box::new(log_line()))] {
            queue.push(item);
        }
    }

    let first: Vec<_> = std::iter::from_fn(|| Some(queue.pop()?.1.class())).filter(|class| *class != Class::Logs).take(80).collect();

    assert_eq!(first.iter().filter(|class| **class == Class::Errors).count(), 50);
}

#[test]
fn check_ins_have_a_hundred_places_whatever_else_waits() {
    let queue = Queue::new(2, usize::MAX);
    for _ in 0..2 {
        queue.push(error());
    }

    let dropped: usize = (0..100).map(|_| categories(&queue.push(check_in())).len()).sum();
    assert_eq!(dropped, 0);
    assert_eq!(categories(&queue.push(error())), [Category::Error], "check-ins do not give way");
    assert_eq!(categories(&queue.push(check_in())), [Category::Monitor], "the oldest of them");

    let left = numbers(&queue);
    assert!(!left.contains(&2) && left.contains(&3), "{left:?}");
}

#[test]
fn a_full_place_for_logs_keeps_the_newest() {
    let queue = Queue::new(1, usize::MAX);

    let dropped: usize = (0..1003).map(|_| categories(&queue.push(log())).len()).sum();

    assert_eq!((dropped, numbers(&queue).first()), (3, Some(&3)));
}

#[test]
fn bytes_are_a_limit_of_their_own() {
    let size = transaction().size();
    let queue = Queue::new(1000, 2 * size);

    let evicted: usize = (0..10).map(|_| queue.push(transaction()).evicted.len()).sum();
    let made_room = categories(&queue.push(error()));

    assert_eq!(evicted, 8);
    assert_eq!(made_room, [Category::Transaction; 1], "an error is a little larger than a transaction");
}

#[test]
fn envelopes_on_the_way_count_against_the_bytes() {
    let size = transaction().size();
    let queue = Queue::new(1000, 2 * size);

    queue.set_on_the_way(size);
    let dropped: Vec<_> = (0..3).map(|_| categories(&queue.push(transaction())).len()).collect();
    queue.set_on_the_way(2 * size);
    let refused = queue.push(transaction()).refused;

    assert_eq!(dropped, [0, 1, 1]);
    assert!(refused.is_some(), "nothing that could give way would make enough room");
}

#[test]
fn attachments_do_not_push_out_errors() {
    let attached = || {
        let captured = CapturedEvent::message(Level::Error, String::new());
        let mut scope = Box::<Record>::default();
        scope.set.add_attachment(Arc::new(Attachment::new("note.txt", vec![0; 10_000])));
        Item::Event(Box::new(EventRecord { captured, scope }))
    };
    let queue = Queue::new(1000, attached().size() + error().size() - 1);
    queue.push(error());

    let overflow = queue.push(attached());

    assert!(overflow.evicted.is_empty() && overflow.refused.is_some());
}

#[test]
fn what_had_to_go_leaves_its_bytes_to_others() {
    let size = transaction().size();
    let queue = Queue::new(1000, 3 * size);

    for _ in 0..100 {
        while queue.push(transaction()).evicted.is_empty() {}
        assert!(!queue.push(error()).evicted.is_empty(), "transactions give way");
        while queue.pop().is_some() {}
    }

    assert!((0..3).all(|_| queue.push(transaction()).evicted.is_empty()), "an empty queue has all of its room");
}

#[test]
fn a_closed_queue_takes_nothing() {
    let queue = Queue::new(10, usize::MAX);

    queue.close();

    assert_eq!(categories(&queue.push(error())), [Category::Error]);
}

#[test]
fn the_newest_error_leaves_its_bytes_to_others() {
    let queue = Queue::new(100, error().size() + transaction().size());
    for _ in 0..10 {
        queue.push(error());
        assert!(queue.pop_newest().is_some());
    }
    assert_eq!(queue.lock().errors.bytes, 0);
    queue.push(error());
    queue.push(transaction());

    let overflow = queue.push(transaction());

    assert_eq!((overflow.evicted.len(), overflow.refused.is_some()), (1, false), "the older transaction gives way");
}

/// Whether the worker was woken since the last call.
fn is_woken(queue: &Queue) -> bool {
    let woken = std::pin::pin!(queue.woken());
    woken.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn an_error_wakes_a_worker_that_dozes_and_a_transaction_does_not() {
    type Push = fn() -> Item;

    let queue = Queue::new(1000, usize::MAX);
    let rows: [(Sleep, Push, bool); 9] = [
        (Sleep::Awake, error, false),
        (Sleep::Awake, transaction, false),
        (Sleep::Light, error, true),
        (Sleep::Light, check_in, true),
        (Sleep::Light, transaction, false),
        (Sleep::Light, log, false),
        (Sleep::Deep, error, true),
        (Sleep::Deep, transaction, true),
        (Sleep::Deep, log, true),
    ];
    for (sleep, item, wakes) in rows {
        assert!(queue.fall_asleep(sleep));

        queue.push(item());

        assert_eq!(is_woken(&queue), wakes, "{sleep:?}, {:?}", item().category());
        assert!(!queue.fall_asleep(sleep), "it is not empty");
        numbers(&queue);
    }
}

#[test]
fn a_queue_that_fills_up_wakes_a_worker_that_dozes() {
    let queue = Queue::new(1000, usize::MAX);
    queue.fall_asleep(Sleep::Light);
    let many = (1..=1000).find(|_| {
        queue.push(transaction());
        is_woken(&queue)
    });

    let gathered = [log, || Item::Metric(Box::new(metric()))].map(|item: fn() -> Item| {
        let queue = Queue::new(1000, usize::MAX);
        queue.fall_asleep(Sleep::Light);
        (1..=1000).find(|_| {
            queue.push(item());
            is_woken(&queue)
        })
    });
    let large = Queue::new(1000, 4 * transaction().size());
    large.fall_asleep(Sleep::Light);
    large.push(transaction());

    assert_eq!((many, is_woken(&large)), (Some(DOZE_ITEMS), true));
    assert_eq!(gathered, [Some(DOZE_GATHERED); 2], "logs and metrics do not count as items");
}
