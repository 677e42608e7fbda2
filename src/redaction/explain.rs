//! Says which rule hides what, without the value.

use std::ops::Range;
use std::sync::Arc;

use super::cursor::Reading;
use super::finding::Rule;
use super::scan::find;
use super::{Redaction, Redactor};

/// A secret that was found in a text: its place, and the rule that found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    rule: Rule,
    range: Range<usize>,
}

impl Explanation {
    /// The rule, in the words of the guide's page on [privacy](crate::guide::privacy).
    pub fn rule(&self) -> &'static str {
        match self.rule {
            Rule::Card => "a card number",
            Rule::Command => "an option of a command line",
            Rule::Iban => "an account number",
            Rule::Key => "a key of a provider",
            Rule::LongToken => "a long token",
            Rule::Name => "a secret name",
            Rule::OneTimeCode => "a one-time code",
            Rule::Path => "a token in a path",
            Rule::Personal => "a token or an address in a header",
            Rule::PrivateKey => "a private key",
            Rule::Scheme => "a scheme of authentication",
            Rule::Sentence => "a sentence that names a secret",
            Rule::Ssn => "a social security number",
            Rule::Statement => "a value in a statement",
            Rule::UserInfo => "a user and a password in an address",
            Rule::Webhook => "the address of a webhook",
        }
    }

    /// The bytes of the text that are replaced.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

impl Redaction {
    /// Explains which parts of a text would be replaced, and by which rule.
    ///
    /// Use it to find out why a text arrives changed. The explanations do not contain the values.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::redaction::Redaction;
    ///
    /// let text = "login failed: password=hunter2, see postgres://app:hunter3@db/shop";
    /// let explained = Redaction::default().explain(text);
    ///
    /// let rules: Vec<_> = explained.iter().map(|found| found.rule()).collect();
    /// assert_eq!(rules, ["a secret name", "a user and a password in an address"]);
    /// assert_eq!(explained[0].range(), 23..30);
    /// ```
    pub fn explain(&self, text: &str) -> Vec<Explanation> {
        let redactor = Redactor::new(Arc::new(self.clone()), false);
        let found = find(&redactor, text, Reading::Text).secrets;
        found.into_iter().map(|secret| Explanation { rule: secret.rule, range: secret.range }).collect()
    }
}
