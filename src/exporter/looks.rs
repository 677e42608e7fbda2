//! When the worker looks at the queue by itself, and when an item wakes it.

use std::time::{Duration, Instant};

/// During traffic the worker looks at the queue this often, so that requests need not wake it.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// After this many looks at an empty queue, it sleeps until it is woken.
const LOOKS_BEFORE_SLEEP: u32 = 50;
/// Traffic is judged by two of these.
const HALF: Duration = Duration::from_millis(500);
/// With fewer items in a second, the worker sleeps: looks wake the process a hundred times a second,
/// whatever the traffic.
const BUSY: u32 = 50;
/// For this long after an item, transactions and logs do not wake the worker. It takes all of them at once
/// then, in a quarter of the time that it needs for each of them alone: what it works with is in the
/// processor's caches.
const DOZE: Duration = Duration::from_secs(1);

/// Chooses between looking at an empty queue, dozing and sleeping.
#[derive(Debug)]
pub(super) struct Looks {
    /// When the current half second began.
    began: Instant,
    /// The items in it, and in the one before.
    items: u32,
    before: u32,
    /// The number of looks since the last item.
    empty: u32,
    /// When the last item was found.
    found: Option<Instant>,
}

/// How the worker waits for items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It looks again at this time.
    At(Instant),
    /// It looks again at this time, and an error wakes it.
    DozeUntil(Instant),
    /// Any item wakes it.
    Sleep,
}

impl Looks {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, items: 0, before: 0, empty: 0, found: None }
    }

    /// Notes an item.
    pub(super) fn found(&mut self, now: Instant) {
        self.go_on_to(now);
        self.items = self.items.saturating_add(1);
        self.empty = 0;
        self.found = Some(now);
    }

    /// How to wait for the next item. The queue is empty.
    pub(super) fn next(&mut self, now: Instant) -> Look {
        self.go_on_to(now);
        if self.before.saturating_add(self.items) >= BUSY && self.empty < LOOKS_BEFORE_SLEEP {
            self.empty += 1;
            return Look::At(now + LOOK_EVERY);
        }
        let until = self.found.map(|found| found + DOZE).filter(|until| *until > now);
        until.map_or(Look::Sleep, Look::DozeUntil)
    }

    fn go_on_to(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began);
        if passed >= HALF {
            self.before = if passed < 2 * HALF { self.items } else { 0 };
            self.items = 0;
            self.began = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often the worker looks and how often it is woken in ten seconds with this many transactions a second.
    fn in_ten_seconds(a_second: u32) -> (u32, u32) {
        let start = Instant::now();
        let mut looks = Looks::new(start);
        let (mut looked, mut woken, mut next) = (0, 0, Look::Sleep);
        let mut sent = 0;
        for milli in 0..10_000_u32 {
            let now = start + Duration::from_millis(milli.into());
            let due = milli * a_second / 1000;
            let (is_woken, looks_now) = match next {
                Look::Sleep => (due > sent, false),
                Look::At(at) | Look::DozeUntil(at) => (false, at <= now),
            };
            if is_woken || looks_now {
                looked += u32::from(looks_now);
                woken += u32::from(is_woken);
                (sent..due).for_each(|_| looks.found(now));
                sent = due;
                next = looks.next(now);
            }
        }
        (looked, woken)
    }

    #[test]
    fn a_quiet_service_is_looked_at_once_a_second_a_busy_one_often_and_an_idle_one_not_at_all() {
        assert_eq!(in_ten_seconds(0), (0, 0));
        assert_eq!(in_ten_seconds(10), (9, 1));
        let (looked, woken) = in_ten_seconds(1000);
        assert!(looked >= 900 && woken <= 2, "{looked} looks, woken {woken} times");
    }

    #[test]
    fn it_dozes_for_a_second_after_an_item_and_sleeps_then() {
        let start = Instant::now();
        let mut looks = Looks::new(start);
        let before = looks.next(start);
        looks.found(start);
        let soon = looks.next(start + DOZE / 2);

        assert_eq!((before, soon, looks.next(start + DOZE)), (Look::Sleep, Look::DozeUntil(start + DOZE), Look::Sleep));
    }

    #[test]
    fn it_looks_for_half_a_second_after_the_last_item_of_a_burst() {
        let start = Instant::now();
        let mut looks = Looks::new(start);
        (0..1000).for_each(|_| looks.found(start));
        let mut now = start;
        while let Look::At(next) = looks.next(now) {
            now = next;
        }

        assert_eq!(now - start, LOOKS_BEFORE_SLEEP * LOOK_EVERY);
        (0..1000).for_each(|_| looks.found(now));
        let later = now + Duration::from_secs(3600);
        looks.found(later);
        assert_eq!(looks.next(later), Look::DozeUntil(later + DOZE), "one item is not a burst");
    }
}
