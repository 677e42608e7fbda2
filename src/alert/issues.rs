//! When issues were seen the last time.

use std::collections::{BTreeMap, VecDeque};

/// The latest issues, by their numbers, each with a time. The oldest gives way to a new one.
#[derive(Debug)]
pub(super) struct Issues {
    limit: usize,
    times: BTreeMap<u64, u64>,
    order: VecDeque<u64>,
}

impl Issues {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, times: BTreeMap::new(), order: VecDeque::new() }
    }

    /// The time that was noted for an issue.
    pub(super) fn time_of(&self, issue: u64) -> Option<u64> {
        self.times.get(&issue).copied()
    }

    pub(super) fn note(&mut self, issue: u64, time: u64) {
        if self.times.insert(issue, time).is_some() {
            return;
        }
        self.order.push_back(issue);
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.times.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_issue_gives_way() {
        let mut issues = Issues::new(2);

        (1..=3).for_each(|issue| issues.note(issue, 10 * issue));
        issues.note(2, 99);

        assert_eq!([1, 2, 3].map(|issue| issues.time_of(issue)), [None, Some(99), Some(30)]);
        assert_eq!((issues.times.len(), issues.order.len()), (2, 2));
    }
}
