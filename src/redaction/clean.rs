//! A cache of texts that were scanned and need no change.
//!
//! Clients send the same headers with each request, and the text of a query is the same each time.
//! For a text of 100 bytes, a lookup takes 150 instructions and a scan takes 1,000.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

use super::memory::Seeded;
use super::place::Place;
use super::{Redaction, Redactor};

/// The cache has this many sets, chosen by hash, with this many entries each.
///
/// In a full set the oldest entry is replaced.
const SETS: usize = 256;
const WAYS: usize = 4;
/// Longer texts are scanned each time, so that a thread's cache holds at most 256 KiB of text.
const LONGEST: usize = 256;

/// The texts that one set of rules has found clean.
struct Memory {
    rules: Arc<Redaction>,
    send_pii: bool,
    hasher: Seeded,
    sets: Vec<Set>,
}

#[derive(Clone, Default)]
struct Set {
    ways: [Way; WAYS],
    /// The entry that is replaced next.
    next: usize,
}

#[derive(Clone)]
struct Way {
    hash: u64,
    place: Place,
    /// Stored when the text comes for the second time: most texts that vary never come again.
    text: Option<Box<str>>,
}

thread_local! {
    static MEMORY: RefCell<Option<Memory>> = const { RefCell::new(None) };
}

/// Whether a text at this place is known to need no change.
#[inline]
pub(super) fn is_known(redactor: &Redactor, place: Place, text: &str) -> bool {
    text.len() <= LONGEST
        && with(redactor, |memory| {
            let hash = memory.hash(text);
            let is_it = |way: &Way| way.hash == hash && way.place == place && way.text.as_deref() == Some(text);
            memory.set(hash).is_some_and(|set| set.ways.iter().any(is_it))
        })
}

/// Records that a text at this place was scanned and needs no change.
pub(super) fn note(redactor: &Redactor, place: Place, text: &str) {
    if text.len() > LONGEST {
        return;
    }
    with(redactor, |memory| {
        let hash = memory.hash(text);
        let Some(set) = memory.set(hash) else { return false };
        if let Some(again) = set.ways.iter_mut().find(|way| way.hash == hash && way.place == place) {
            again.text = Some(text.into());
        } else if let Some(oldest) = set.ways.get_mut(set.next) {
            *oldest = Way { hash, place, text: None };
            set.next = (set.next + 1) % WAYS;
        }
        true
    });
}

/// Calls `ask` with this thread's cache for these rules; returns `false` if there is none.
#[inline]
fn with(redactor: &Redactor, ask: impl FnOnce(&mut Memory) -> bool) -> bool {
    let run = |memory: &RefCell<Option<Memory>>| {
        let mut memory = memory.try_borrow_mut().ok()?;
        // A text that is clean by other rules may not be clean by these.
        if memory.as_ref().is_none_or(|memory| !Arc::ptr_eq(&memory.rules, &redactor.rules) || memory.send_pii != redactor.send_pii) {
            *memory = Some(Memory::of(redactor));
        }
        memory.as_mut().map(ask)
    };
    MEMORY.try_with(run).ok().flatten().unwrap_or(false)
}

impl Memory {
    #[cold]
    fn of(redactor: &Redactor) -> Self {
        let Redactor { rules, send_pii } = redactor.clone();
        Self { rules, send_pii, hasher: Seeded::default(), sets: vec![Set::default(); SETS] }
    }

    #[inline]
    fn hash(&self, text: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(text.as_bytes());
        hasher.finish()
    }

    #[inline]
    fn set(&mut self, hash: u64) -> Option<&mut Set> {
        self.sets.get_mut(usize::try_from(hash % SETS as u64).unwrap_or_default())
    }
}

impl Default for Way {
    fn default() -> Self {
        Self { hash: 0, place: Place::Open, text: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_twice_is_known_at_its_place_and_by_its_rules() {
        let redactor = Redactor::new(Arc::default(), false);
        let other = Redactor::new(Arc::new(Redaction::default().token_length(20)), false);
        let text = "a text that is clean";
        let known = |redactor: &Redactor| is_known(redactor, Place::Open, text);

        note(&redactor, Place::Open, text);
        assert!(!known(&redactor), "once is not enough");
        note(&redactor, Place::Open, text);
        assert!(known(&redactor));
        assert!(!is_known(&redactor, Place::Query, text));
        assert!(!is_known(&redactor, Place::Open, "another text"));
        assert!(!known(&other), "other rules have not looked at it");
        assert!(!known(&redactor), "one set of rules at a time");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let redactor = Redactor::new(Arc::default(), false);
        let long = "x ".repeat(LONGEST);

        let texts: Vec<_> = (0..3 * SETS * WAYS).map(|number| format!("number {number}")).collect();
        for text in &texts {
            for _ in 0..2 {
                note(&redactor, Place::Open, text);
                note(&redactor, Place::Open, &long);
            }
        }

        assert!(!is_known(&redactor, Place::Open, &long));
        let known = texts.iter().filter(|text| is_known(&redactor, Place::Open, text)).count();
        assert!((SETS * WAYS / 2..=SETS * WAYS).contains(&known), "{known}");
        assert!(is_known(&redactor, Place::Open, &texts[texts.len() - 1]), "the newest are there");
    }
}
