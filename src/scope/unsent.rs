//! The errors of a request or job that are not sent.

use crate::protocol::EventId;

/// At most this many are known. A job may run for weeks, and each later report of its errors looks for them here.
const LIMIT: usize = 64;

/// The ids of errors that a rule of the user ignores or `error_sample_rate` leaves out: no event will have them.
#[derive(Debug, Default)]
pub(super) struct Unsent(Vec<EventId>);

impl Unsent {
    /// Adds an id. Beyond the limit the oldest one is forgotten, except `first`, the first error of all.
    pub(super) fn add(&mut self, id: EventId, first: Option<EventId>) {
        if self.0.len() >= LIMIT {
            let oldest = self.0.iter().position(|known| Some(*known) != first);
            self.0.remove(oldest.unwrap_or_default());
        }
        self.0.push(id);
    }

    pub(super) fn contains(&self, id: EventId) -> bool {
        self.0.contains(&id)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut EventId> {
        self.0.iter_mut()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_known_and_the_first_error() {
        let ids: Vec<_> = (0..1000).map(|_| EventId::new()).collect();
        let mut unsent = Unsent::default();

        for id in &ids {
            unsent.add(*id, ids.first().copied());
        }

        let known: Vec<_> = ids.iter().filter(|id| unsent.contains(**id)).collect();
        assert_eq!((unsent.0.len(), known.len()), (LIMIT, LIMIT));
        assert_eq!((known.first(), known.last()), (ids.first().as_ref(), ids.last().as_ref()));
        assert!(!unsent.contains(ids[500]));
    }
}
