//! What a name implies about its value, cached.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::memory::{Memory, Seeded};
use super::place::Place;
use super::{Redactor, escape, names, patterns};

/// What a name implies about its value.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is the answer of a rule of its own")]
pub(super) struct Judged {
    /// Secret anywhere: span fields, tags, contexts, breadcrumbs, JSON.
    pub(super) sensitive: bool,
    /// Secret even in prose.
    pub(super) surely_sensitive: bool,
    /// Secret as a header or cookie.
    pub(super) sensitive_header: bool,
    /// Secret as a query parameter.
    pub(super) sensitive_parameter: bool,
    /// Hidden as a header while PII is off.
    pub(super) personal_header: bool,
    /// The place of its value as an attribute.
    pub(super) attribute_place: Place,
    /// The place of its value as a header.
    pub(super) header_place: Place,
    /// JSON takes the text unchanged.
    pub(super) needs_no_escape: bool,
    /// JSON takes the text unchanged, and it contains no secret itself.
    pub(super) is_plain: bool,
}

/// Maximum number of cached texts of the program; most programs have fewer.
const STATICS: usize = 4096;
/// Names from this length on are scanned each time: the user may have changed the token length.
const LONG_NAME: usize = 32;

/// Judges a name, or returns the cached result of this thread.
///
/// A service uses few names, and judging one takes 1,500 instructions.
pub(super) fn judge(name: &str) -> Judged {
    thread_local! {
        static JUDGED: RefCell<Memory<Judged>> = RefCell::default();
    }
    JUDGED
        .try_with(|judged| Some(judged.try_borrow_mut().ok()?.recall(name, judge_anew)))
        .ok()
        .flatten()
        .unwrap_or_else(|| judge_anew(name))
}

fn judge_anew(name: &str) -> Judged {
    static BUILT_IN: LazyLock<Redactor> = LazyLock::new(|| Redactor::new(Arc::default(), true));
    let needs_no_escape = escape::is_plain(name);
    Judged {
        sensitive: names::is_sensitive(name),
        surely_sensitive: names::is_surely_sensitive(name),
        sensitive_header: names::is_sensitive_header(name),
        sensitive_parameter: names::is_sensitive_parameter(name),
        personal_header: names::is_personal_header(name),
        attribute_place: Place::of_attribute(name),
        header_place: Place::of_header(name),
        needs_no_escape,
        is_plain: needs_no_escape && name.len() < LONG_NAME && !patterns::scan(&BUILT_IN, name).has_secret,
    }
}

/// Like [`judge`], for a text of the program, which is identified by its address.
///
/// That takes 40 instructions; a lookup by text takes 150.
pub(super) fn judge_static(name: &'static str) -> Judged {
    thread_local! {
        static KNOWN: RefCell<HashMap<(usize, usize), Judged, Seeded>> = RefCell::default();
    }
    let key = (name.as_ptr().addr(), name.len());
    let recall = |known: &RefCell<HashMap<_, _, _>>| {
        let mut known = known.try_borrow_mut().ok()?;
        if let Some(judged) = known.get(&key) {
            return Some(*judged);
        }
        if known.len() >= STATICS {
            known.clear();
        }
        let judged = judge_anew(name);
        known.insert(key, judged);
        Some(judged)
    };
    KNOWN.try_with(recall).ok().flatten().unwrap_or_else(|| judge_anew(name))
}
