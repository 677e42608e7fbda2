//! Explains which rule hides which part of a text or event, without the value.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::cursor::Reading;
use super::finding::Rule;
use super::place::ValuePlace;
use super::scan::{find, without};
use super::verdict::judge;
use super::{Redaction, Redactor, numbers, serializer};
use crate::protocol::Event;

/// A secret that was found: its place, and the rule that found it. It does not contain the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    rule: Rule,
    field: String,
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

    /// The path of the field in the payload, such as `request.headers.authorization`. Empty for
    /// [`Redaction::explain`], which takes a text.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The bytes that are replaced: in the value of the field, or in its name if the name is the secret.
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
        found.into_iter().map(|secret| Explanation { rule: secret.rule, field: String::new(), range: secret.range }).collect()
    }

    /// Explains which fields of an event would be replaced, and by which rule.
    ///
    /// Headers with personal data are judged as with `send_default_pii(false)`. In a test, pass what
    /// a [`before_send`](crate::ConfigBuilder::before_send) hook receives: that is the event before
    /// redaction.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use tower_sentry::redaction::Redaction;
    /// use tower_sentry::{Client, Config, Level, Scope};
    ///
    /// let explained = Arc::new(Mutex::new(Vec::new()));
    /// let found = Arc::clone(&explained);
    /// let config = Config::builder().transport(|_: &[u8]| ()).before_send(move |event| {
    ///     found.lock().unwrap().extend(Redaction::default().explain_event(&event));
    ///     Some(event)
    /// });
    /// let client = Client::from(config.build()?);
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// client.transaction("sign-in").run(async {
    ///     Scope::current().set_extra("password", "hunter2");
    ///     tower_sentry::capture_message(Level::Error, "cannot sign in");
    /// }).await;
    /// client.flush(std::time::Duration::from_secs(5)).await.unwrap();
    /// # });
    /// let explained = explained.lock().unwrap();
    /// assert_eq!((explained[0].field(), explained[0].rule()), ("extra.password", "a secret name"));
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn explain_event(&self, event: &Event) -> Vec<Explanation> {
        // An event consists of texts, numbers and JSON, all of which can be serialised.
        Redactor::new(Arc::new(self.clone()), false).explained(event).map(|(_, found)| found).unwrap_or_default()
    }
}

/// Shows the field and the rule.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { f.write_str(self.rule()) } else { write!(f, "{}: {}", self.field, self.rule()) }
    }
}

impl Explanation {
    /// A value that is not even copied, because of its name.
    pub(crate) fn withheld(field: String, length: usize) -> Self {
        Self { rule: Rule::Name, field, range: 0..length }
    }
}

impl Redactor {
    /// Serialises a payload, and explains which parts are hidden.
    ///
    /// The redactor does not record what it hides, so its output is compared with the original payload.
    pub(crate) fn explained(&self, payload: &impl Serialize) -> serde_json::Result<(Vec<u8>, Vec<Explanation>)> {
        let whole = serde_json::to_value(payload)?;
        let mut json = Vec::new();
        serializer::write(self, payload, ValuePlace::Open, &mut json)?;
        let mut found = Vec::new();
        self.compare("", &whole, &serde_json::from_slice(&json)?, &mut found);
        Ok((json, found))
    }

    fn compare(&self, field: &str, whole: &Value, shown: &Value, found: &mut Vec<Explanation>) {
        match (whole, shown) {
            (Value::Object(whole), Value::Object(shown)) => {
                for (name, value) in whole {
                    let below = |name: &str| if field.is_empty() { name.to_owned() } else { [field, ".", name].concat() };
                    match shown.get(name) {
                        Some(shown) => self.compare(&below(name), value, shown, found),
                        // The name is secret, or was removed with its value.
                        None => found.extend(self.hidden(below(&self.text(name)), name, "")),
                    }
                }
            }
            (Value::Array(whole), Value::Array(shown)) => {
                for (number, (value, shown)) in whole.iter().zip(shown).enumerate() {
                    self.compare(&format!("{field}[{number}]"), value, shown, found);
                }
            }
            (Value::String(whole), Value::String(shown)) if whole != shown => found.extend(self.hidden(field.to_owned(), whole, shown)),
            (Value::Array(_) | Value::Object(_) | Value::Bool(_) | Value::Number(_), Value::String(_)) => {
                let text = whole.to_string();
                let rule = if numbers::is_card_text(&text) { Rule::Card } else { Rule::Name };
                found.push(Explanation { rule, field: field.to_owned(), range: 0..text.len() });
            }
            _ => {}
        }
    }

    /// Explains why a text is shown as another one.
    fn hidden(&self, field: String, whole: &str, shown: &str) -> Vec<Explanation> {
        let secrets = find(self, whole, Reading::Text).secrets;
        if !secrets.is_empty() && (shown.is_empty() || without(self, whole, &secrets) == shown) {
            return secrets
                .into_iter()
                .map(|secret| Explanation { rule: secret.rule, field: field.clone(), range: secret.range })
                .collect();
        }
        let name = field.rsplit('.').next().unwrap_or_default();
        let is_personal = field.contains("headers.") && self.hides_person(judge(name));
        let found = secrets.first().map(|secret| secret.rule);
        let rule = if is_personal { Rule::Personal } else { found.unwrap_or(Rule::Name) };
        vec![Explanation { rule, field, range: changed(whole, shown) }]
    }
}

/// Returns the part of a text that another one does not have.
fn changed(whole: &str, shown: &str) -> Range<usize> {
    let same = |pairs: &mut dyn Iterator<Item = (char, char)>| -> usize {
        pairs.take_while(|(one, other)| one == other).map(|(one, _)| one.len_utf8()).sum()
    };
    let start = same(&mut whole.chars().zip(shown.chars()));
    let (rest, shown) = (whole.get(start..).unwrap_or_default(), shown.get(start..).unwrap_or_default());
    start..whole.len() - same(&mut rest.chars().rev().zip(shown.chars().rev()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn explained(rules: Redaction, payload: &Value) -> Vec<String> {
        let (json, found) = Redactor::new(Arc::new(rules), false).explained(payload).unwrap();
        assert!(!String::from_utf8(json).unwrap().contains("hunter2"));
        assert!(!format!("{found:?}").contains("hunter2"), "an explanation does not contain the value");
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_place_of_a_payload_says_which_rule_hides_it() {
        let payload = json!({
            "request": {"headers": {"x-api-key": "hunter2-hunter2", "accept": "*/*", "x-real-ip": "192.0.2.7"}},
            "extra": {"steps": [{"note": "fine"}, {"note": "password=hunter2"}], "pin": 4711, "card": 4_111_111_111_111_111_u64},
            "message": "see postgres://app:hunter2@db/shop",
        });

        assert_eq!(
            explained(Redaction::default(), &payload),
            [
                "extra.card: a card number",
                "extra.pin: a secret name",
                "extra.steps[1].note: a secret name",
                "message: a user and a password in an address",
                "request.headers.x-api-key: a secret name",
            ]
        );
    }

    #[test]
    fn a_removed_field_is_explained_and_a_secret_in_a_name_is_not_shown() {
        let payload = json!({"extra": {"password": "hunter2", "token=hunter2": 1}});

        let found = explained(Redaction::default().remove_fields(), &payload);

        assert_eq!(found.iter().filter(|line| line.starts_with("extra.password: ")).count(), 1, "{found:?}");
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn the_range_is_the_part_that_was_replaced() {
        let rows = [("a=1&token=xyz&b=2", "a=1&token=[Filtered]&b=2", 10..13), ("übung", "[Filtered]", 0..6), ("same", "same", 4..4)];
        for (whole, shown, range) in rows {
            assert_eq!(changed(whole, shown), range, "{whole}");
        }
    }
}
