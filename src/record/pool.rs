//! Idle records, kept for the next requests.

use super::Record;
use crate::fork::Lock;

/// Maximum number of idle records; more are freed.
const IDLE_LIMIT: usize = 256;
/// Maximum memory of all idle records, in bytes; more is freed.
const BYTES_LIMIT: usize = 2 * 1024 * 1024;

/// Hands out records and takes them back; shared by requests and the exporter.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Lock<Idle>,
}

#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "the box itself travels through the queue; unboxing would copy a record at every hand-over")]
struct Idle {
    records: Vec<Box<Record>>,
    bytes: usize,
}

impl Pool {
    pub(crate) fn take(&self) -> Box<Record> {
        let mut idle = self.idle.lock();
        let Some(record) = idle.records.pop() else { return Box::default() };
        idle.bytes -= record.retained();
        record
    }

    pub(crate) fn give_back(&self, mut record: Box<Record>) {
        record.clear();
        let bytes = record.retained();
        let mut idle = self.idle.lock();
        if idle.records.len() < IDLE_LIMIT && idle.bytes + bytes <= BYTES_LIMIT {
            idle.bytes += bytes;
            idle.records.push(record);
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

        assert_eq!(pool.idle.lock().records.len(), IDLE_LIMIT);
    }

    #[test]
    fn idle_records_keep_a_limited_memory_however_many_spans_they_had() {
        let pool = Pool::default();
        let large = || {
            let mut record = Box::<Record>::default();
            record.spans.reserve(1000);
            record
        };
        let of_one = large().retained();

        (0..300).for_each(|_| pool.give_back(large()));
        let kept = pool.idle.lock().records.len();
        let taken: Vec<_> = (0..kept).map(|_| pool.take()).collect();
        let bytes = pool.idle.lock().bytes;

        assert!(of_one >= 1000 * size_of::<crate::record::SpanRecord>() && kept >= 1 && kept * of_one <= BYTES_LIMIT, "{kept} of {of_one}");
        assert_eq!((taken.len(), bytes), (kept, 0), "what is taken out leaves room");
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
