//! The bounded queue from requests to the exporter.
//!
//! A push never waits, and it wakes the worker's thread only if it is asleep.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::item::{Class, Item};

/// The protocol's limit for waiting logs. They do not count as items.
const LOGS_LIMIT: usize = 1000;

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    items_limit: usize,
    bytes_limit: usize,
    /// Whether the worker sleeps until it is woken.
    ///
    /// While there is traffic it checks the queue every few milliseconds, so a push needs no system
    /// call.
    asleep: AtomicBool,
    notify: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    /// Errors, check-ins and feedback. They leave first.
    errors: VecDeque<Numbered>,
    transactions: VecDeque<Numbered>,
    logs: VecDeque<Numbered>,
    bytes: usize,
    closed: bool,
    /// The number of the next item, which is also the number of items so far.
    next: u64,
}

#[derive(Debug)]
struct Numbered {
    number: u64,
    size: usize,
    item: Item,
}

impl QueueState {
    fn len(&self) -> usize {
        self.errors.len() + self.transactions.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0 && self.logs.is_empty()
    }

    fn of(&mut self, class: Class) -> &mut VecDeque<Numbered> {
        match class {
            Class::Urgent => &mut self.errors,
            Class::Transactions => &mut self.transactions,
            Class::Logs => &mut self.logs,
        }
    }

    /// The bytes held by items that give way to a class.
    fn held_by_others(&self, class: Class) -> usize {
        let sum = |items: &VecDeque<Numbered>| items.iter().map(|item| item.size).sum::<usize>();
        match class {
            Class::Urgent => sum(&self.logs) + sum(&self.transactions),
            Class::Transactions => sum(&self.logs),
            Class::Logs => 0,
        }
    }

    /// Removes the oldest item that gives way to a class.
    ///
    /// Removing a log frees only bytes, because logs do not count as items.
    fn give_way(&mut self, class: Class, lacks_bytes: bool) -> Option<Numbered> {
        if class == Class::Logs {
            return None;
        }
        let log = if lacks_bytes { self.logs.pop_front() } else { None };
        log.or_else(|| if class == Class::Urgent { self.transactions.pop_front() } else { None })
    }
}

impl Queue {
    pub(super) fn new(items_limit: usize, bytes_limit: usize) -> Self {
        // Reserved up front, so that pushing a transaction does not allocate.
        let state = QueueState {
            errors: VecDeque::with_capacity(items_limit.min(128)),
            transactions: VecDeque::with_capacity(items_limit),
            ..QueueState::default()
        };
        Self { state: Mutex::new(state), items_limit, bytes_limit, asleep: AtomicBool::new(false), notify: Notify::new() }
    }

    /// Adds an item, and returns the items that had to be dropped.
    ///
    /// If the queue is full, older items give way: logs to transactions and errors, transactions to
    /// errors. If that does not help, the item itself is returned.
    pub(super) fn push(&self, item: Item) -> Vec<Item> {
        let size = item.size();
        let class = item.class();
        let mut state = self.lock();
        if state.closed || (class == Class::Logs && state.logs.len() >= LOGS_LIMIT) {
            return vec![item];
        }
        let mut evicted = Vec::new();
        loop {
            let lacks_bytes = state.bytes + size > self.bytes_limit;
            let lacks_room = class != Class::Logs && state.len() >= self.items_limit;
            if !lacks_bytes && !lacks_room {
                break;
            }
            // Evict nothing if the item would not fit even then.
            let fits = size <= self.bytes_limit && (!lacks_bytes || state.held_by_others(class) + self.bytes_limit >= state.bytes + size);
            let oldest = if fits { state.give_way(class, lacks_bytes) } else { None };
            let Some(Numbered { size: freed, item: oldest, .. }) = oldest else {
                evicted.push(item);
                return evicted;
            };
            state.bytes -= freed;
            evicted.push(oldest);
        }
        state.bytes += size;
        let number = state.next;
        state.next += 1;
        state.of(class).push_back(Numbered { number, size, item });
        drop(state);
        if self.asleep.load(Ordering::Relaxed) {
            self.wake();
        }
        evicted
    }

    /// Takes the oldest error, else the oldest transaction, else the oldest log, with its number.
    pub(super) fn pop(&self) -> Option<(u64, Item)> {
        let mut state = self.lock();
        let popped = state.errors.pop_front().or_else(|| state.transactions.pop_front());
        let Numbered { number, size, item } = popped.or_else(|| state.logs.pop_front())?;
        state.bytes -= size;
        Some((number, item))
    }

    /// Whether less than half of each limit is used.
    pub(super) fn has_much_room(&self) -> bool {
        let state = self.lock();
        state.len() < self.items_limit / 2 && state.bytes < self.bytes_limit / 2
    }

    /// The number that the next item will get. All items so far have smaller ones.
    pub(super) fn next_number(&self) -> u64 {
        self.lock().next
    }

    /// The smallest number that still waits in the queue.
    pub(super) fn oldest(&self) -> Option<u64> {
        let state = self.lock();
        [&state.errors, &state.transactions, &state.logs].into_iter().filter_map(|items| Some(items.front()?.number)).min()
    }

    /// Wakes the worker, whatever it waits for.
    pub(super) fn wake(&self) {
        self.asleep.store(false, Ordering::Relaxed);
        self.notify.notify_one();
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Makes the next push wake the worker. Returns `false` if the queue is not empty.
    pub(super) fn fall_asleep(&self) -> bool {
        let state = self.lock();
        let asleep = state.is_empty();
        // Set under the lock, so that a later push sees the flag.
        self.asleep.store(asleep, Ordering::Relaxed);
        asleep
    }

    /// Resolves at the next [`wake`](Self::wake), or at once if there was one since the last call.
    pub(super) async fn woken(&self) {
        self.notify.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{CapturedEvent, EventRecord};
    use crate::protocol::{Category, Level};

    fn transaction() -> Item {
        Item::Transaction(Box::default())
    }

    fn categories(items: &[Item]) -> Vec<Category> {
        items.iter().map(Item::category).collect()
    }

    fn error() -> Item {
        let captured = CapturedEvent::message(Level::Error, String::new());
        Item::Event(Box::new(EventRecord { captured, scope: Box::default() }))
    }

    #[test]
    fn a_full_queue_refuses_transactions_and_makes_room_for_errors() {
        let queue = Queue::new(3, usize::MAX);
        for _ in 0..3 {
            assert!(queue.push(transaction()).is_empty());
        }

        assert_eq!(categories(&queue.push(transaction())), [Category::Transaction]);
        assert_eq!(categories(&queue.push(error())), [Category::Transaction]);
        assert_eq!(queue.pop().map(|(_, item)| item.category()), Some(Category::Error));
        assert_eq!(queue.pop().map(|(_, item)| item.category()), Some(Category::Transaction));
    }

    #[test]
    fn a_queue_full_of_errors_refuses_the_newest() {
        let queue = Queue::new(2, usize::MAX);
        assert!(queue.push(error()).is_empty());
        assert!(queue.push(error()).is_empty());

        assert_eq!(categories(&queue.push(error())), [Category::Error]);
    }

    #[test]
    fn bytes_are_a_limit_of_their_own() {
        let size = transaction().size();
        let queue = Queue::new(1000, 2 * size);

        let refused = (0..10).flat_map(|_| queue.push(transaction())).count();
        let made_room = queue.push(error()).len();

        assert_eq!((refused, made_room), (8, 1), "an error is a little larger than a transaction");
    }

    #[test]
    fn what_had_to_go_leaves_its_bytes_to_others() {
        let size = transaction().size();
        let queue = Queue::new(1000, 3 * size);

        for _ in 0..100 {
            while queue.push(transaction()).is_empty() {}
            assert!(!queue.push(error()).is_empty(), "transactions give way");
            while queue.pop().is_some() {}
        }

        assert!((0..3).all(|_| queue.push(transaction()).is_empty()), "an empty queue has all of its room");
    }

    #[test]
    fn a_closed_queue_takes_nothing() {
        let queue = Queue::new(10, usize::MAX);

        queue.close();

        assert_eq!(categories(&queue.push(error())), [Category::Error]);
    }
}
