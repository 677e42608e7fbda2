//! Judges names by the rules.

use std::sync::Arc;

use super::verdict::Verdict;
use super::{Redaction, names};

/// Applies the rules during serialization.
#[derive(Clone, Debug)]
pub(crate) struct Redactor {
    pub(super) rules: Arc<Redaction>,
    /// Whether personal data may leave the process (`send_default_pii`).
    pub(super) send_pii: bool,
}

impl Redactor {
    pub(crate) fn new(rules: Arc<Redaction>, send_pii: bool) -> Self {
        Self { rules, send_pii }
    }

    /// The text that replaces a value.
    pub(super) fn placeholder(&self) -> &str {
        &self.rules.placeholder
    }

    /// Whether a header's value is replaced, whatever it is: it is a credential, a rule of the user hides it, or it is
    /// personal data while PII is off.
    pub(super) fn hides_header(&self, name: &str, verdict: Verdict) -> bool {
        self.hides_person(verdict) || self.rules.withholds(name) || self.is_hidden_by_user(name)
    }

    /// Whether a header's value is personal data, while PII is off.
    pub(super) fn hides_person(&self, verdict: Verdict) -> bool {
        !self.send_pii && verdict.personal_header
    }

    /// Whether a user's rule hides a name.
    pub(super) fn is_hidden_by_user(&self, name: &str) -> bool {
        names::is_listed(name, &self.rules.fields)
    }

    /// Whether the user has rules for names.
    #[inline]
    pub(super) fn has_own_names(&self) -> bool {
        !self.rules.fields.is_empty()
    }
}
