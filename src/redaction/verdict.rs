//! What a name implies about its value, cached.

use std::cell::RefCell;

use super::name_cache::NameCache;
use super::names::{self, Level};
use super::place::ValuePlace;
use super::value_class::ValueClass;
use super::{headers, value_class};

/// What a name implies about its value.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is the answer of a rule of its own")]
pub(super) struct Verdict {
    /// As a field: span fields, tags, contexts, breadcrumbs, JSON.
    pub(super) field: Level,
    /// As a header.
    pub(super) header: Level,
    /// As a parameter of a query.
    pub(super) parameter: Level,
    pub(super) cookie: Level,
    /// Hidden as a header while PII is off.
    pub(super) personal_header: bool,
    /// Hidden as a cookie while PII is off.
    pub(super) personal_cookie: bool,
    /// Whether the value may be a name, whose value is in another field.
    pub(super) names_a_name: bool,
    /// Whether the value belongs to a name in another field.
    pub(super) names_a_value: bool,
    /// Whether the name is one of numbers, such as `pin`.
    pub(super) is_numeric: bool,
    pub(super) is_plural: bool,
    /// The place of its value as an attribute.
    pub(super) attribute_place: ValuePlace,
    /// The place of its value as a header.
    pub(super) header_place: ValuePlace,
}

/// A name whose value may be secret. The value decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecretName {
    pub(super) level: Level,
    is_numeric: bool,
    is_plural: bool,
}

impl SecretName {
    /// The name that decides about a value: this one, or the more telling one around it, as in `{"password": {"key": "…"}}`.
    pub(super) fn within(self, outer: Option<Self>) -> Self {
        outer.filter(|outer| outer.level > self.level).unwrap_or(self)
    }

    /// Whether a value under this name is hidden.
    pub(super) fn hides(self, value: &str) -> bool {
        value_class::is_hidden(self.level, value, self.is_numeric, self.is_plural)
    }
}

impl SecretName {
    /// Whether a value of this class is hidden.
    pub(super) fn hides_class(self, class: ValueClass) -> bool {
        value_class::is_hidden_class(self.level, class, self.is_numeric, self.is_plural)
    }
}

impl Verdict {
    pub(super) fn of(name: &str) -> Self {
        Self {
            field: names::of_field(name),
            header: names::of_header(name),
            parameter: names::of_parameter(name),
            cookie: names::of_cookie(name),
            personal_header: headers::is_personal(name),
            personal_cookie: names::is_personal_cookie(name),
            names_a_name: names::names_a_name(name),
            names_a_value: names::names_a_value(name),
            is_numeric: names::is_numeric(name),
            is_plural: names::is_plural(name),
            attribute_place: match ValuePlace::of_attribute(name) {
                ValuePlace::Open if names::is_of_digest(name) => ValuePlace::Name,
                place => place,
            },
            header_place: ValuePlace::of_header(name),
        }
    }

    /// The name at a level, if it may have a secret value at all.
    pub(super) fn at(self, level: Level) -> Option<SecretName> {
        (level > Level::Harmless).then_some(SecretName { level, is_numeric: self.is_numeric, is_plural: self.is_plural })
    }
}

/// Judges a name, or returns the cached verdict of this thread.
///
/// A service uses few names. A lookup takes 150 instructions, and judging a name takes many thousands.
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
