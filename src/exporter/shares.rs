//! What each class of items is guaranteed: of the places in the queue, and of what leaves it.
//!
//! The weights are those of the protocol: 5 for errors, 4 for check-ins, 3 for transactions, 2 for
//! logs and 2 for metrics. What a class does not need is free for the others.

use super::item::Class;

/// The classes in the order of their weights.
const CLASSES: [Class; 5] = [Class::Errors, Class::CheckIns, Class::Transactions, Class::Logs, Class::Metrics];

/// One envelope of the weight 1. Each weight divides it.
const ENVELOPE: u64 = 60 * BATCH;
/// At most this many logs, or metrics, share an envelope.
const BATCH: u64 = 100;

/// Returns the items that a class may always have in a queue of `limit` items.
///
/// Check-ins, logs and metrics have places of their own.
pub(super) fn places(class: Class, limit: usize) -> usize {
    // Of two places, each class has one.
    let transactions = (limit / 8 * 3 + limit % 8 * 3 / 8).max(usize::from(limit > 1));
    match class {
        Class::Errors => limit - transactions,
        Class::Transactions => transactions,
        Class::CheckIns | Class::Logs | Class::Metrics => limit,
    }
}

/// Returns the bytes that a class may always have of `limit` bytes.
///
/// Check-ins are small and never give way.
pub(super) fn bytes(class: Class, limit: usize) -> usize {
    match class {
        Class::Errors => limit / 10 * 5,
        Class::Transactions => limit / 10 * 3,
        Class::Logs => limit / 20 * 3,
        // They are small: this is room for a thousand of 600 bytes in the default queue.
        Class::Metrics => limit / 20,
        Class::CheckIns => limit,
    }
}

/// Whose turn it is to leave the queue.
///
/// Each class pays for what it sends, those with large weights less. The one that has paid least is
/// next.
#[derive(Debug, Default)]
pub(super) struct Turns {
    paid: [u64; CLASSES.len()],
    /// What the class of the latest turn had paid before it.
    now: u64,
}

impl Turns {
    /// Notes that a class has items again. It cannot make up for the time without.
    pub(super) fn join(&mut self, class: Class) {
        let now = self.now;
        if let Some(paid) = self.paid_by(class) {
            *paid = now.max(*paid);
        }
    }

    /// Returns the next class, of those that have items. It pays for one.
    pub(super) fn next(&mut self, has_items: impl Fn(Class) -> bool) -> Option<Class> {
        let waiting = CLASSES.into_iter().zip(self.paid).filter(|(class, _)| has_items(*class));
        let (class, before) = waiting.min_by_key(|(_, paid)| *paid)?;
        self.now = before;
        if let Some(paid) = self.paid_by(class) {
            *paid += price(class);
        }
        Some(class)
    }

    fn paid_by(&mut self, class: Class) -> Option<&mut u64> {
        let place = CLASSES.iter().position(|other| *other == class)?;
        self.paid.get_mut(place)
    }
}

fn price(class: Class) -> u64 {
    match class {
        Class::Errors => ENVELOPE / 5,
        Class::CheckIns => ENVELOPE / 4,
        Class::Transactions => ENVELOPE / 3,
        Class::Logs | Class::Metrics => ENVELOPE / 2 / BATCH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `turns` each class has.
    fn taken(turns: &mut Turns, count: usize, waiting: &[Class]) -> [usize; 5] {
        let mut taken = [0; 5];
        for _ in 0..count {
            let class = turns.next(|class| waiting.contains(&class));
            if let Some(count) = CLASSES.iter().position(|other| Some(*other) == class).and_then(|place| taken.get_mut(place)) {
                *count += 1;
            }
        }
        taken
    }

    #[test]
    fn each_class_has_its_share_of_the_envelopes_and_the_rest_of_the_others() {
        let mut turns = Turns::default();

        // A hundred logs are one envelope: 500 + 400 + 300 envelopes of one item, 200 of logs, and 200 of metrics.
        assert_eq!(taken(&mut turns, 41_200, &CLASSES), [500, 400, 300, 20_000, 20_000]);
        assert_eq!(taken(&mut turns, 800, &[Class::Errors, Class::Transactions]), [500, 0, 300, 0, 0]);
        assert_eq!(taken(&mut turns, 10, &[Class::Transactions]), [0, 0, 10, 0, 0]);
        assert_eq!(turns.next(|_| false), None);
    }

    #[test]
    fn a_class_that_was_away_does_not_make_up_for_it() {
        let mut turns = Turns::default();
        taken(&mut turns, 10_000, &[Class::Errors]);

        turns.join(Class::Transactions);

        assert_eq!(taken(&mut turns, 800, &[Class::Errors, Class::Transactions]), [500, 0, 300, 0, 0]);
    }

    #[test]
    fn the_places_of_a_queue_are_divided_without_a_rest() {
        for (limit, errors, transactions) in [(0, 0, 0), (1, 1, 0), (2, 1, 1), (8, 5, 3), (1000, 625, 375)] {
            assert_eq!((places(Class::Errors, limit), places(Class::Transactions, limit)), (errors, transactions), "{limit}");
        }
        let shares = [Class::Errors, Class::Transactions, Class::Logs, Class::Metrics].map(|class| bytes(class, 1000));
        assert_eq!(shares, [500, 300, 150, 50]);
    }
}
