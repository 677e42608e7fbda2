//! A cache of texts that were scanned and need no change.
//!
//! Clients send the same headers with each request, and the text of a query is the same each time.
//! For a text of 100 bytes, a lookup takes 150 instructions and a scan takes 1,000. This saves a
//! quarter of an envelope with five spans.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

use super::name_cache::SeededHasher;
use super::place::ValuePlace;
use super::{Redaction, Redactor};

/// The cache has this many sets, chosen by hash, with this many entries each.
///
/// In a full set the oldest entry is replaced.
const SETS: usize = 256;
const ENTRIES: usize = 4;
/// Longer texts are scanned each time, so that a thread's cache holds at most 256 KiB of text.
const LENGTH_LIMIT: usize = 256;

/// The texts that one set of rules has found clean.
struct CleanTexts {
    rules: Arc<Redaction>,
    send_pii: bool,
    hasher: SeededHasher,
    sets: Vec<Set>,
}

#[derive(Clone, Default)]
struct Set {
    entries: [Entry; ENTRIES],
    /// The entry that is replaced next.
    next: usize,
}

#[derive(Clone)]
struct Entry {
    hash: u64,
    place: ValuePlace,
    /// Stored when the text comes for the second time: most texts that vary never come again.
    text: Option<Box<str>>,
}

thread_local! {
    static CLEAN: RefCell<Option<CleanTexts>> = const { RefCell::new(None) };
}

/// Whether a text at this place is known to need no change.
#[inline]
pub(super) fn is_known(redactor: &Redactor, place: ValuePlace, text: &str) -> bool {
    text.len() <= LENGTH_LIMIT
        && with(redactor, |texts| {
            let hash = texts.hash(text);
            let is_it = |entry: &Entry| entry.hash == hash && entry.place == place && entry.text.as_deref() == Some(text);
            texts.set(hash).is_some_and(|set| set.entries.iter().any(is_it))
        })
}

/// Records that a text at this place was scanned and needs no change.
pub(super) fn note(redactor: &Redactor, place: ValuePlace, text: &str) {
    if text.len() > LENGTH_LIMIT {
        return;
    }
    with(redactor, |texts| {
        let hash = texts.hash(text);
        let Some(set) = texts.set(hash) else { return false };
        if let Some(again) = set.entries.iter_mut().find(|entry| entry.hash == hash && entry.place == place) {
            again.text = Some(text.into());
        } else if let Some(oldest) = set.entries.get_mut(set.next) {
            *oldest = Entry { hash, place, text: None };
            set.next = (set.next + 1) % ENTRIES;
        }
        true
    });
}

/// Calls `ask` with this thread's cache for these rules; returns `false` if there is none.
#[inline]
fn with(redactor: &Redactor, ask: impl FnOnce(&mut CleanTexts) -> bool) -> bool {
    let run = |texts: &RefCell<Option<CleanTexts>>| {
        let mut texts = texts.try_borrow_mut().ok()?;
        // A text that is clean by other rules may not be clean by these.
        if texts.as_ref().is_none_or(|texts| !Arc::ptr_eq(&texts.rules, &redactor.rules) || texts.send_pii != redactor.send_pii) {
            *texts = Some(CleanTexts::of(redactor));
        }
        texts.as_mut().map(ask)
    };
    CLEAN.try_with(run).ok().flatten().unwrap_or(false)
}

impl CleanTexts {
    #[cold]
    fn of(redactor: &Redactor) -> Self {
        let Redactor { rules, send_pii } = redactor.clone();
        Self { rules, send_pii, hasher: SeededHasher::default(), sets: vec![Set::default(); SETS] }
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

impl Default for Entry {
    fn default() -> Self {
        Self { hash: 0, place: ValuePlace::Open, text: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_was_clean_twice_is_cached_for_its_place_and_rules() {
        let redactor = Redactor::new(Arc::default(), false);
        let other = Redactor::new(Arc::new(Redaction::default().token_length(20)), false);
        let text = "a text that is clean";
        let known = |redactor: &Redactor| is_known(redactor, ValuePlace::Open, text);

        note(&redactor, ValuePlace::Open, text);
        assert!(!known(&redactor), "once is not enough");
        note(&redactor, ValuePlace::Open, text);
        assert!(known(&redactor));
        assert!(!is_known(&redactor, ValuePlace::Query, text));
        assert!(!is_known(&redactor, ValuePlace::Open, "another text"));
        assert!(!known(&other), "other rules have not looked at it");
        assert!(!known(&redactor), "one set of rules at a time");
    }

    #[test]
    fn the_cache_is_bounded() {
        let redactor = Redactor::new(Arc::default(), false);
        let long = "x ".repeat(LENGTH_LIMIT);

        let texts: Vec<_> = (0..3 * SETS * ENTRIES).map(|number| format!("number {number}")).collect();
        for text in &texts {
            for _ in 0..2 {
                note(&redactor, ValuePlace::Open, text);
                note(&redactor, ValuePlace::Open, &long);
            }
        }

        assert!(!is_known(&redactor, ValuePlace::Open, &long));
        let known = texts.iter().filter(|text| is_known(&redactor, ValuePlace::Open, text)).count();
        assert!((SETS * ENTRIES / 2..=SETS * ENTRIES).contains(&known), "{known}");
        assert!(is_known(&redactor, ValuePlace::Open, &texts[texts.len() - 1]), "the newest are there");
    }
}
