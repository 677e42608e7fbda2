//! A limit on distinct transaction names: the server keeps a row for each one forever.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

/// Stands for the names beyond the limit of an hour.
pub(super) const OVERFLOW: &str = "<overflow>";
/// Distinct names that user code may set per hour.
const NAMES: usize = 1000;
const HOUR: u64 = 60 * 60 * 1_000_000_000;

/// The names of the current hour. Only hashes are stored, because a name may be long.
#[derive(Debug, Default)]
pub(super) struct Names {
    seen: HashSet<u64>,
    hasher: RandomState,
    since: u64,
}

impl Names {
    /// The name, or the one of all those beyond the limit. `now` is in nanoseconds.
    pub(super) fn admitted<'n>(&mut self, name: &'n str, now: u64) -> &'n str {
        if self.admit(name, now) { name } else { OVERFLOW }
    }

    /// Whether the name is known or there is room for it.
    fn admit(&mut self, name: &str, now: u64) -> bool {
        if now.saturating_sub(self.since) >= HOUR {
            self.seen.clear();
            self.since = now;
        }
        let hash = self.hasher.hash_one(name);
        if self.seen.len() < NAMES {
            self.seen.insert(hash);
        }
        self.seen.contains(&hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_names_an_hour() {
        let mut names = Names::default();
        let mut admitted = |from: u64, now| (from..from + 5000).filter(|number| names.admit(&format!("name {number}"), now)).count();

        assert_eq!(admitted(0, 1), 1000);
        assert_eq!(admitted(0, HOUR - 1), 1000, "the known ones stay");
        assert_eq!(admitted(5000, HOUR - 1), 0);
        assert_eq!(admitted(5000, HOUR + 1), 1000, "a new hour");
    }
}
