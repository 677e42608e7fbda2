//! What a name implies about its value, cached.

use std::cell::RefCell;

use super::name_cache::NameCache;
use super::names;
use super::place::ValuePlace;

/// What a name implies about its value.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is the answer of a rule of its own")]
pub(super) struct Verdict {
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
    pub(super) attribute_place: ValuePlace,
    /// The place of its value as a header.
    pub(super) header_place: ValuePlace,
}

impl Verdict {
    pub(super) fn of(name: &str) -> Self {
        Self {
            sensitive: names::is_sensitive(name),
            surely_sensitive: names::is_surely_sensitive(name),
            sensitive_header: names::is_sensitive_header(name),
            sensitive_parameter: names::is_sensitive_parameter(name),
            personal_header: names::is_personal_header(name),
            attribute_place: ValuePlace::of_attribute(name),
            header_place: ValuePlace::of_header(name),
        }
    }
}

/// Judges a name, or returns the cached verdict of this thread.
///
/// A service uses few names. A lookup takes 150 instructions, and judging a name takes 1,500.
pub(super) fn judge(name: &str) -> Verdict {
    thread_local! {
        static VERDICTS: RefCell<NameCache<Verdict>> = RefCell::default();
    }
    VERDICTS
        .try_with(|verdicts| Some(verdicts.try_borrow_mut().ok()?.get_or_insert(name, Verdict::of)))
        .ok()
        .flatten()
        .unwrap_or_else(|| Verdict::of(name))
}
