//! What a name says about its value, found out once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::memory::{Memory, Seeded};
use super::place::Place;
use super::{Redactor, escape, names, patterns};

/// What a name says about its value.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is the answer of a rule of its own")]
pub(super) struct Judged {
    /// Wherever it stands: span fields, tags, contexts, breadcrumbs, JSON.
    pub(super) sensitive: bool,
    /// Even where the text around it is prose.
    pub(super) surely_sensitive: bool,
    /// As a header or cookie.
    pub(super) sensitive_header: bool,
    /// As a query parameter.
    pub(super) sensitive_parameter: bool,
    /// As a header while PII is off.
    pub(super) personal_header: bool,
    /// What its value is as an attribute.
    pub(super) attribute_place: Place,
    /// What its value is as a header.
    pub(super) header_place: Place,
    /// JSON takes the text as it is.
    pub(super) needs_no_escape: bool,
    /// And as a name it has no secret in it.
    pub(super) is_plain: bool,
}

/// As many texts of the program are remembered: more than most programs have.
const STATICS: usize = 4096;
/// Longer names are looked through each time: a user may have set from how many characters on a text is a token.
const LONG_NAME: usize = 32;

/// Judges a name, or remembers how it was judged on this thread: a service uses few names, and judging takes 1,500 instructions.
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

/// The same for a text of the program, which is known by its address: 40 instructions where a look at the text takes 150.
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
