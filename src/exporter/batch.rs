//! Gathers logs or metrics, because one envelope may hold a hundred of them.

use std::time::{Duration, Instant};

use super::entry::Entry;

/// The protocol's limit for the entries of one envelope.
const BATCH: usize = 100;
/// The entries of one envelope have at most this many bytes, not counting the last one. Their JSON may be
/// six times as long, and servers accept 12 MiB.
const BATCH_BYTES: usize = 1024 * 1024;
/// The protocol's limit for how long the first entry of a batch waits.
const WAIT: Duration = Duration::from_secs(5);

/// Entries that wait to be sent together. They come boxed out of the queue.
#[derive(Debug)]
pub(super) struct Batch<T> {
    entries: Vec<Box<T>>,
    /// The numbers that the queue gave to `entries`, in the same order.
    numbers: Vec<u64>,
    bytes: usize,
    since: Option<Instant>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), numbers: Vec::new(), bytes: 0, since: None }
    }
}

impl<T: Entry> Batch<T> {
    pub(super) fn push(&mut self, number: u64, entry: Box<T>, now: Instant) {
        self.bytes += entry.bytes();
        self.since.get_or_insert(now);
        self.numbers.push(number);
        self.entries.push(entry);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    /// When the entries must be sent at the latest.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + WAIT)
    }

    /// Whether the entries must be sent now.
    pub(super) fn is_due(&self, now: Instant, is_asked: bool) -> bool {
        !self.is_empty() && (is_asked || self.is_full() || self.due().is_some_and(|due| due <= now))
    }

    /// The smallest number among the waiting entries.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.numbers.first().copied()
    }

    /// Takes the entries of one envelope: at most a hundred, and not many more bytes than the limit.
    pub(super) fn take(&mut self) -> (Vec<u64>, Vec<Box<T>>) {
        let (mut count, mut bytes) = (0, 0);
        for entry in self.entries.iter().take(BATCH) {
            if bytes >= BATCH_BYTES {
                break;
            }
            count += 1;
            bytes += entry.bytes();
        }
        self.bytes -= bytes;
        let (rest, numbers) = (self.entries.split_off(count), self.numbers.split_off(count));
        self.since = self.since.filter(|_| !rest.is_empty());
        (std::mem::replace(&mut self.numbers, numbers), std::mem::replace(&mut self.entries, rest))
    }

    /// Takes all entries.
    pub(super) fn take_all(&mut self) -> Vec<Box<T>> {
        std::mem::take(self).entries
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::log_line;
    use super::*;

    #[test]
    fn a_log_waits_five_seconds_for_others() {
        let now = Instant::now();
        let mut batch = Batch::default();

        batch.push(0, Box::new(log_line()), now);
        batch.push(1, Box::new(log_line()), now + Duration::from_secs(4));

        assert!(!batch.is_due(now + Duration::from_millis(4_999), false));
        assert!(batch.is_due(now + WAIT, false), "the first has waited long enough");
        assert!(batch.is_due(now, true), "a flush does not wait");
    }

    #[test]
    fn large_logs_do_not_wait_for_a_hundred() {
        let mut batch = Batch::default();
        let mut push = |number| {
            let mut line = log_line();
            line.log.fields = vec![0; BATCH_BYTES / 2];
            batch.push(number, Box::new(line), Instant::now());
            batch.is_full()
        };

        assert_eq!([push(0), push(1)], [false, true]);
    }

    #[test]
    fn the_first_of_each_batch_waits_anew() {
        let now = Instant::now();
        let mut batch = Batch::default();

        batch.push(0, Box::new(log_line()), now);
        batch.take();
        batch.push(1, Box::new(log_line()), now + WAIT);

        assert!(!batch.is_due(now + WAIT, false));
        assert!(batch.is_due(now + 2 * WAIT, false));
    }
}
