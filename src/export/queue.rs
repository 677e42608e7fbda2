//! The bounded way from requests to the exporter: a push never waits and never wakes a thread that is awake.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::protocol::Category;
use crate::record::{EventRecord, Record};

/// What is handed over.
#[derive(Debug)]
pub(crate) enum Item {
    Event(Box<EventRecord>),
    Transaction(Box<Record>),
}

impl Item {
    pub(crate) fn category(&self) -> Category {
        match self {
            Self::Event(_) => Category::Error,
            Self::Transaction(_) => Category::Transaction,
        }
    }

    /// How many spans count with it: a transaction's children and its root.
    pub(crate) fn spans(&self) -> u64 {
        match self {
            Self::Event(_) => 0,
            Self::Transaction(record) => record.spans.len() as u64 + 1,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Event(event) => event.size(),
            Self::Transaction(record) => record.size(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    items_limit: usize,
    bytes_limit: usize,
    /// Whether the worker sleeps until someone wakes it. While it works it looks by itself every few milliseconds,
    /// so a push costs no system call.
    asleep: AtomicBool,
    notify: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Errors leave first.
    errors: VecDeque<(usize, Item)>,
    transactions: VecDeque<(usize, Item)>,
    bytes: usize,
    closed: bool,
}

impl State {
    fn len(&self) -> usize {
        self.errors.len() + self.transactions.len()
    }

    fn of(&mut self, category: Category) -> &mut VecDeque<(usize, Item)> {
        if category == Category::Error { &mut self.errors } else { &mut self.transactions }
    }
}

impl Queue {
    pub(super) fn new(items_limit: usize, bytes_limit: usize) -> Self {
        // The room is there from the start: a push allocates nothing.
        let state = State {
            errors: VecDeque::with_capacity(items_limit.min(128)),
            transactions: VecDeque::with_capacity(items_limit),
            ..State::default()
        };
        Self { state: Mutex::new(state), items_limit, bytes_limit, asleep: AtomicBool::new(false), notify: Notify::new() }
    }

    /// Takes the item, and gives back what had to go: the item itself, or the oldest transactions when an error needs their place.
    pub(super) fn push(&self, item: Item) -> Vec<Item> {
        let size = item.size();
        let category = item.category();
        let mut state = self.lock();
        if state.closed {
            return vec![item];
        }
        let mut evicted = Vec::new();
        while state.len() >= self.items_limit || state.bytes + size > self.bytes_limit {
            let oldest = if category == Category::Error && size <= self.bytes_limit { state.transactions.pop_front() } else { None };
            let Some((freed, oldest)) = oldest else {
                evicted.push(item);
                return evicted;
            };
            state.bytes -= freed;
            evicted.push(oldest);
        }
        state.bytes += size;
        state.of(category).push_back((size, item));
        drop(state);
        if self.asleep.load(Ordering::Relaxed) {
            self.wake();
        }
        evicted
    }

    /// The oldest error, else the oldest transaction.
    pub(super) fn pop(&self) -> Option<Item> {
        let mut state = self.lock();
        let (size, item) = match state.errors.pop_front() {
            Some(error) => error,
            None => state.transactions.pop_front()?,
        };
        state.bytes -= size;
        Some(item)
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
        self.lock().len() == 0
    }

    /// Says that from now on a push must wake the worker; `false` if there is something to do already.
    pub(super) fn fall_asleep(&self) -> bool {
        let state = self.lock();
        let asleep = state.len() == 0;
        // Under the lock: a push that comes later sees the flag.
        self.asleep.store(asleep, Ordering::Relaxed);
        asleep
    }

    /// Resolves at the next [`wake`](Self::wake), or at once if there was one since the last time.
    pub(super) async fn woken(&self) {
        self.notify.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{EventId, Level, SpanId};
    use crate::record::Captured;

    fn transaction() -> Item {
        Item::Transaction(Box::default())
    }

    fn categories(items: &[Item]) -> Vec<Category> {
        items.iter().map(Item::category).collect()
    }

    fn error() -> Item {
        let captured = Captured {
            event_id: EventId::new(),
            at: 0,
            level: Level::Error,
            log: None,
            message: None,
            follows_name: false,
            exceptions: Vec::new(),
            mechanism: "generic",
            handled: true,
            addresses: Vec::new(),
            span: SpanId::new(),
        };
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
        assert_eq!(queue.pop().map(|item| item.category()), Some(Category::Error));
        assert_eq!(queue.pop().map(|item| item.category()), Some(Category::Transaction));
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
    fn a_closed_queue_takes_nothing() {
        let queue = Queue::new(10, usize::MAX);

        queue.close();

        assert_eq!(categories(&queue.push(error())), [Category::Error]);
    }
}
