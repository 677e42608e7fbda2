//! Limits, and what gives way to what.

use std::sync::Arc;

use super::super::tests::log_line;
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
fn a_queue_full_of_errors_keeps_the_newest_errors_and_refuses_transactions() {
    let queue = Queue::new(2, usize::MAX);
    for _ in 0..2 {
        assert_eq!(categories(&queue.push(error())), []);
    }

    assert_eq!(categories(&queue.push(error())), [Category::Error]);
    let refused = queue.push(transaction());

    assert!(refused.evicted.is_empty() && refused.refused.is_some());
    assert_eq!(numbers(&queue), [1, 2]);
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

    assert_eq!(numbers(&queue).first(), Some(&3), "the second check-in leaves first");
}

#[test]
fn a_full_place_for_logs_keeps_the_newest() {
    let queue = Queue::new(1, usize::MAX);
    let log = || Item::Log(Box::new(log_line()));

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
