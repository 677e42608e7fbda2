//! When the worker looks at the queue by itself, and when an item wakes it.

use std::time::{Duration, Instant};

/// During traffic the worker looks at the queue this often, so that requests need not wake it.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// After this many looks at an empty queue, it sleeps until it is woken.
const LOOKS_BEFORE_SLEEP: u32 = 50;
/// Traffic is judged by two of these.
const HALF: Duration = Duration::from_millis(500);
/// With fewer items in a second, each of them wakes the worker.
///
/// That costs a request one system call. Looks wake the process a hundred times a second, whatever the
/// traffic.
const BUSY: u32 = 50;

/// Chooses between looking at an empty queue and sleeping.
#[derive(Debug)]
pub(super) struct Looks {
    /// When the current half second began.
    began: Instant,
    /// The items in it, and in the one before.
    items: u32,
    before: u32,
    /// The number of looks since the last item.
    empty: u32,
}

impl Looks {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, items: 0, before: 0, empty: 0 }
    }

    /// Notes an item.
    pub(super) fn found(&mut self, now: Instant) {
        self.go_on_to(now);
        self.items = self.items.saturating_add(1);
        self.empty = 0;
    }

    /// When to look again at the queue, which is empty. `None` means to sleep until an item wakes the worker.
    pub(super) fn next(&mut self, now: Instant) -> Option<Instant> {
        self.go_on_to(now);
        if self.before.saturating_add(self.items) < BUSY || self.empty >= LOOKS_BEFORE_SLEEP {
            return None;
        }
        self.empty += 1;
        Some(now + LOOK_EVERY)
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

    /// How often the worker looks and how often it is woken in ten seconds with this many items a second.
    fn in_ten_seconds(a_second: u32) -> (u32, u32) {
        let start = Instant::now();
        let mut looks = Looks::new(start);
        let (mut looked, mut woken, mut next) = (0, 0, None);
        let mut sent = 0;
        for milli in 0..10_000_u32 {
            let now = start + Duration::from_millis(milli.into());
            let due = milli * a_second / 1000;
            // It sleeps: each item wakes it at once.
            let is_woken = next.is_none() && due > sent;
            let looks_now = next.is_some_and(|next| next <= now);
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
    fn a_quiet_service_is_woken_by_its_items_and_a_busy_one_looks() {
        assert_eq!(in_ten_seconds(0), (0, 0));
        assert_eq!(in_ten_seconds(10), (0, 99));
        let (looked, woken) = in_ten_seconds(1000);
        assert!(looked > 900 && woken < 60, "{looked} looks, woken {woken} times");
    }

    #[test]
    fn it_sleeps_half_a_second_after_the_last_item_of_a_burst() {
        let start = Instant::now();
        let mut looks = Looks::new(start);
        (0..1000).for_each(|_| looks.found(start));
        let mut now = start;
        while let Some(next) = looks.next(now) {
            now = next;
        }

        assert_eq!(now - start, LOOKS_BEFORE_SLEEP * LOOK_EVERY);
        (0..1000).for_each(|_| looks.found(now));
        let later = now + Duration::from_secs(3600);
        looks.found(later);
        assert_eq!(looks.next(later), None, "one item is not a burst");
    }
}
