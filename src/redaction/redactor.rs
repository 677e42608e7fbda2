//! Judges names by the rules.

use std::sync::Arc;

use super::verdict::{Verdict, judge};
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

    /// Whether a header's value is replaced: it is a secret, or personal data while PII is off.
    pub(super) fn hides_header(&self, name: &str, verdict: Verdict) -> bool {
        verdict.sensitive_header
            || (!self.send_pii && verdict.personal_header)
            || self.rules.withholds(name)
            || self.is_hidden_by_user(name)
    }

    /// Whether a name means a secret even in prose.
    pub(super) fn is_surely_sensitive(&self, name: &str) -> bool {
        judge(name).surely_sensitive || self.is_hidden_by_user(name)
    }

    /// Whether a name means a secret in a field.
    pub(super) fn is_sensitive(&self, name: &str) -> bool {
        judge(name).sensitive || self.is_hidden_by_user(name)
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
