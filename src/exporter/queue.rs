//! The bounded queue from requests to the exporter.
//!
//! A push never waits, and it wakes the worker's thread only if it is asleep.

use std::collections::VecDeque;

use tokio::sync::Notify;

use super::item::{Class, Item};
use super::shares::{self, Turns};
use crate::fork::sync::{AtomicU8, AtomicUsize, MutexGuard, Ordering};
use crate::fork::{Home, Lock};

/// The protocol's limit for waiting logs, and for waiting metrics. They do not count as items.
const GATHERED_LIMIT: usize = 1000;
/// Check-ins have places of their own: a lost one is a false alarm. They do not count as items.
const CHECK_INS_LIMIT: usize = 100;

/// So many items, or this share of the bytes, wake a worker that dozes.
const DOZE_ITEMS: usize = 32;
const DOZE_SHARE: usize = 8;
/// So many logs, or metrics, wake it too: an envelope is full, and their lane has room for nine more.
const DOZE_GATHERED: usize = 100;

/// An item that does not find the queue empty looks for a fork only if its number is a multiple of this.
const LOOK_EVERY: u64 = 16;

#[derive(Debug)]
pub(super) struct Queue {
    state: Lock<QueueState>,
    items_limit: usize,
    bytes_limit: usize,
    /// Bytes that left the queue but not the process: envelopes in flight or before a retry.
    ///
    /// They count against `bytes_limit`.
    on_the_way: AtomicUsize,
    /// How the worker sleeps, as a number.
    ///
    /// While there is traffic it checks the queue every few milliseconds, so a push needs no system
    /// call.
    sleep: AtomicU8,
    notify: Notify,
    /// The process that has the worker.
    home: Home,
}

/// How the worker waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sleep {
    /// It looks at the queue by itself, or works.
    Awake,
    /// It looks at the queue soon. Errors and check-ins wake it, and a queue that fills up.
    Light,
    /// Any item wakes it.
    Deep,
}

#[derive(Debug, Default)]
struct QueueState {
    check_ins: Lane,
    /// Errors and feedback.
    errors: Lane,
    transactions: Lane,
    logs: Lane,
    metrics: Lane,
    /// Of all lanes.
    bytes: usize,
    turns: Turns,
    closed: bool,
    /// The number of the next item, which is also the number of items so far.
    next: u64,
}

/// The items of one class, the oldest first.
#[derive(Debug, Default)]
struct Lane {
    items: VecDeque<Numbered>,
    bytes: usize,
}

#[derive(Debug)]
struct Numbered {
    number: u64,
    size: usize,
    item: Item,
}

/// What had to be dropped for a new item.
#[derive(Debug, Default)]
pub(super) struct Overflow {
    /// Older items that gave way.
    pub(super) evicted: Vec<Item>,
    /// The new item, if nothing else could give way.
    pub(super) refused: Option<Item>,
}

impl Lane {
    fn with_capacity(items: usize) -> Self {
        Self { items: VecDeque::with_capacity(items), bytes: 0 }
    }

    fn pop(&mut self) -> Option<Numbered> {
        let oldest = self.items.pop_front()?;
        self.bytes -= oldest.size;
        Some(oldest)
    }
}

impl QueueState {
    /// Removes the newest error, if there is one.
    fn pop_newest_error(&mut self) -> Option<Numbered> {
        let newest = self.errors.items.pop_back()?;
        self.errors.bytes -= newest.size;
        Some(newest)
    }

    /// The items that `queue_items` limits.
    fn len(&self) -> usize {
        self.errors.items.len() + self.transactions.items.len()
    }

    fn lanes(&self) -> [&Lane; 5] {
        [&self.check_ins, &self.errors, &self.transactions, &self.logs, &self.metrics]
    }

    fn is_empty(&self) -> bool {
        self.lanes().iter().all(|lane| lane.items.is_empty())
    }

    fn of(&mut self, class: Class) -> &mut Lane {
        match class {
            Class::CheckIns => &mut self.check_ins,
            Class::Errors => &mut self.errors,
            Class::Transactions => &mut self.transactions,
            Class::Logs => &mut self.logs,
            Class::Metrics => &mut self.metrics,
        }
    }

    fn lane(&self, class: Class) -> &Lane {
        match class {
            Class::CheckIns => &self.check_ins,
            Class::Errors => &self.errors,
            Class::Transactions => &self.transactions,
            Class::Logs => &self.logs,
            Class::Metrics => &self.metrics,
        }
    }

    /// Whether a new item has room in `limit` bytes, once all has gone that may give way to it.
    ///
    /// Neither counts check-ins, which never give way.
    fn fits(&self, new: &New, limit: usize) -> bool {
        let kept = |class: Class| match self.lane(class).bytes {
            bytes if !new.displaces(class) => bytes,
            _ if class == new.class => 0,
            bytes => bytes.min(shares::bytes(class, limit)),
        };
        let kept: usize = [Class::Errors, Class::Transactions, Class::Logs, Class::Metrics].into_iter().map(kept).sum();
        kept + if new.class == Class::CheckIns { 0 } else { new.size } <= limit
    }

    /// Removes the oldest item of a class that has more than its share of `limit` bytes, the new item
    /// included. If several have, the lowest one gives way.
    fn give_bytes(&mut self, new: &New, limit: usize) -> Option<Numbered> {
        let is_over = |class: &Class| {
            let added = if *class == new.class { new.size } else { 0 };
            new.displaces(*class) && self.lane(*class).bytes + added > shares::bytes(*class, limit)
        };
        let giving = [Class::Metrics, Class::Logs, Class::Transactions, Class::Errors].into_iter().find(is_over)?;
        self.of(giving).pop()
    }

    /// The same for the number of items.
    fn give_place(&mut self, new: &New, limit: usize) -> Option<Numbered> {
        let is_over = |class: &Class| {
            let added = usize::from(*class == new.class);
            new.displaces(*class) && self.lane(*class).items.len() + added > shares::places(*class, limit)
        };
        let giving = [Class::Transactions, Class::Errors].into_iter().find(is_over)?;
        self.of(giving).pop()
    }
}

/// What counts of a new item.
struct New {
    class: Class,
    size: usize,
    attaches: bool,
}

impl New {
    /// Whether items of a class may give way to it. Check-ins never do, and errors not to attachments.
    fn displaces(&self, class: Class) -> bool {
        match class {
            Class::CheckIns => false,
            Class::Errors => !self.attaches,
            Class::Transactions | Class::Logs | Class::Metrics => true,
        }
    }
}

impl Queue {
    pub(super) fn new(items_limit: usize, bytes_limit: usize) -> Self {
        // Reserved up front, so that pushing a transaction does not allocate.
        let state = QueueState {
            errors: Lane::with_capacity(items_limit.min(128)),
            transactions: Lane::with_capacity(items_limit),
            ..QueueState::default()
        };
        let on_the_way = AtomicUsize::new(0);
        Self {
            state: Lock::new(state),
            items_limit,
            bytes_limit,
            on_the_way,
            sleep: AtomicU8::new(Sleep::Awake as u8),
            notify: Notify::new(),
            home: Home::here(),
        }
    }

    /// Adds an item, and returns the items that had to be dropped.
    ///
    /// If the queue is full, the oldest item of a class with more than its share gives way: of metrics,
    /// else of logs, else of transactions, else of errors. The new item is refused if that makes too little room.
    pub(super) fn push(&self, item: Item) -> Overflow {
        let class = item.class();
        let new = New { class, size: item.size(), attaches: class == Class::Errors && item.attaches() };
        let size = new.size;
        let on_the_way = self.on_the_way.load(Ordering::Relaxed);
        let mut state = self.lock();
        let mut overflow = Overflow::default();
        if state.closed {
            overflow.refused = Some(item);
            return overflow;
        }
        let own_limit = match class {
            Class::CheckIns => CHECK_INS_LIMIT,
            Class::Logs | Class::Metrics => GATHERED_LIMIT,
            Class::Errors | Class::Transactions => usize::MAX,
        };
        if state.of(class).items.len() >= own_limit
            && let Some(oldest) = state.of(class).pop()
        {
            state.bytes -= oldest.size;
            overflow.evicted.push(oldest.item);
        }
        loop {
            let lacks_bytes = state.bytes + on_the_way + size > self.bytes_limit;
            let lacks_room = own_limit == usize::MAX && state.len() >= self.items_limit;
            if !lacks_bytes && !lacks_room {
                break;
            }
            let check_ins = state.check_ins.bytes + if class == Class::CheckIns { size } else { 0 };
            let oldest = match self.bytes_limit.checked_sub(on_the_way + check_ins) {
                _ if !lacks_bytes => state.give_place(&new, self.items_limit),
                Some(limit) if state.fits(&new, limit) => state.give_bytes(&new, limit),
                // Evict nothing if the item would not fit even then.
                _ => None,
            };
            let Some(Numbered { size: freed, item: oldest, .. }) = oldest else {
                overflow.refused = Some(item);
                return overflow;
            };
            state.bytes -= freed;
            overflow.evicted.push(oldest);
        }
        // A system call for each item would cost as much as the push.
        let is_time_to_look = state.bytes == 0 || state.next.is_multiple_of(LOOK_EVERY);
        state.bytes += size;
        let number = state.next;
        state.next += 1;
        if state.lane(class).items.is_empty() {
            state.turns.join(class);
        }
        let lane = state.of(class);
        lane.bytes += size;
        lane.items.push_back(Numbered { number, size, item });
        let is_urgent = matches!(class, Class::CheckIns | Class::Errors);
        let fills_lane = matches!(class, Class::Logs | Class::Metrics) && lane.items.len() >= DOZE_GATHERED;
        let fills_up = fills_lane || state.len() >= DOZE_ITEMS || state.bytes >= self.bytes_limit / DOZE_SHARE;
        drop(state);
        if is_time_to_look {
            self.is_orphan();
        }
        self.wake_from(if is_urgent || fills_up { Sleep::Light } else { Sleep::Deep });
        overflow
    }

    /// Whether this process was forked from the one that has the worker. A system call.
    pub(super) fn is_orphan(&self) -> bool {
        self.home.look()
    }

    /// As after a fork.
    #[cfg(test)]
    pub(super) fn fork(&mut self) {
        self.home = Home::elsewhere();
    }

    /// The same, if it was noticed before.
    pub(super) fn is_known_orphan(&self) -> bool {
        self.home.is_left()
    }

    /// Wakes the worker if it does not look at the queue soon by itself.
    pub(super) fn wake_if_asleep(&self) {
        self.wake_from(Sleep::Deep);
    }

    /// Wakes the worker from this sleep, and from a deeper one.
    pub(super) fn wake_from(&self, sleep: Sleep) {
        // A worker that is not here cannot be woken: its locks may be held for good.
        if self.sleep.load(Ordering::Relaxed) >= sleep as u8 && !self.is_orphan() {
            self.wake();
        }
    }

    /// Takes the oldest item of the class whose turn it is, with its number.
    pub(super) fn pop(&self) -> Option<(u64, Item)> {
        self.pop_in(|state| state.errors.pop())
    }

    /// The same, but with the newest error in place of the oldest.
    pub(super) fn pop_newest(&self) -> Option<(u64, Item)> {
        self.pop_in(QueueState::pop_newest_error)
    }

    fn pop_in(&self, error: impl FnOnce(&mut QueueState) -> Option<Numbered>) -> Option<(u64, Item)> {
        let mut state = self.lock();
        let QueueState { check_ins, errors, transactions, logs, metrics, turns, .. } = &mut *state;
        let class = turns.next(|class| match class {
            Class::CheckIns => !check_ins.items.is_empty(),
            Class::Errors => !errors.items.is_empty(),
            Class::Transactions => !transactions.items.is_empty(),
            Class::Logs => !logs.items.is_empty(),
            Class::Metrics => !metrics.items.is_empty(),
        })?;
        let Numbered { number, size, item } = match class {
            Class::Errors => error(&mut state),
            class => state.of(class).pop(),
        }?;
        state.bytes -= size;
        Some((number, item))
    }

    /// Sets the bytes of envelopes that are in flight or wait for a retry.
    pub(super) fn set_on_the_way(&self, bytes: usize) {
        self.on_the_way.store(bytes, Ordering::Relaxed);
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
        state.lanes().into_iter().filter_map(|lane| Some(lane.items.front()?.number)).min()
    }

    /// Wakes the worker from any wait.
    pub(super) fn wake(&self) {
        self.sleep.store(Sleep::Awake as u8, Ordering::Relaxed);
        self.notify.notify_one();
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Makes a later push wake the worker. Returns `false` if the queue is not empty.
    pub(super) fn fall_asleep(&self, sleep: Sleep) -> bool {
        let state = self.lock();
        let is_empty = state.is_empty();
        // Set under the lock, so that a later push sees it.
        self.sleep.store(if is_empty { sleep } else { Sleep::Awake } as u8, Ordering::Relaxed);
        is_empty
    }

    /// Resolves at the next [`wake`](Self::wake), or at once if there was one since the last call.
    pub(super) async fn woken(&self) {
        self.notify.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests;
