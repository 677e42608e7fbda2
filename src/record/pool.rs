//! Idle records, kept for the next requests.

use std::sync::{Mutex, PoisonError};

use super::Record;

/// Maximum number of idle records; more are freed.
const IDLE_LIMIT: usize = 256;

/// Hands out records and takes them back; shared by requests and the exporter.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "the box itself travels through the queue; unboxing would copy a record at every hand-over")]
pub(crate) struct Pool {
    idle: Mutex<Vec<Box<Record>>>,
}

impl Pool {
    pub(crate) fn take(&self) -> Box<Record> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&self, mut record: Box<Record>) {
        record.clear();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_LIMIT {
            idle.push(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_records_beyond_the_limit_are_freed() {
        let pool = Pool::default();

        for _ in 0..10_000 {
            pool.give_back(Box::default());
        }

        assert_eq!(pool.idle.lock().map_or(0, |idle| idle.len()), IDLE_LIMIT);
    }

    #[test]
    fn a_record_comes_back_empty() {
        let pool = Pool::default();
        let mut record = Box::<Record>::default();
        record.name_by_user("checkout");
        record.kept = Some("failed");

        pool.give_back(record);
        let again = pool.take();

        assert_eq!((again.name, again.kept), (None, None));
    }
}
