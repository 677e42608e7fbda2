//! One text with secrets, or without, and the place where an application or a client puts it.

use serde_json::Value;

use super::random::Random;

/// Where a text is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The message of an event.
    Message,
    /// An error's cause.
    Cause,
    Header,
    /// A cookie among others, which is judged by its own name.
    Cookie,
    Query,
    Path,
    Tag,
    /// A context, an extra, or a JSON file.
    Json,
    Extra,
    Attachment,
    SpanField,
    /// The description of a span.
    SpanName,
    Crumb,
    /// A field of the user.
    User,
    /// The text of a query to a database of this system.
    Sql(&'static str),
}

/// A text at its place, the secrets in it, and the harmless words around them.
#[derive(Clone, Debug)]
pub struct Case {
    pub kind: &'static str,
    pub place: Place,
    /// The name of the header, parameter or field.
    pub name: String,
    pub value: Value,
    pub secrets: Vec<String>,
    pub kept: Vec<String>,
}

impl Case {
    pub fn new(place: Place, name: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { kind: "", place, name: name.into(), value: value.into(), secrets: Vec::new(), kept: Vec::new() }
    }

    /// A secret in it.
    pub fn hides(mut self, secret: impl Into<String>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    /// A harmless word beside the secret.
    pub fn keeps(mut self, word: impl Into<String>) -> Self {
        self.kept.push(word.into());
        self
    }

    pub fn text(&self) -> String {
        match &self.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// A kind of texts.
pub struct Kind {
    pub name: &'static str,
    pub make: fn(&mut Random) -> Case,
}

/// A text at one of the places that take any text, whatever their names are.
///
/// `words` are the harmless words in it, separated by blanks.
pub fn prose(random: &mut Random, text: impl Into<String>, words: &str) -> Case {
    let place = [Place::Message, Place::Message, Place::Cause, Place::Json, Place::Extra, Place::Tag, Place::SpanField, Place::Crumb]
        [random.below(8)];
    let name = random.pick(&["note", "detail", "text", "info", "outcome"]);
    let text: String = text.into();
    let case = match place {
        Place::Json | Place::Extra => Case::new(place, name, serde_json::json!({ name: text })),
        _ => Case::new(place, name, text),
    };
    words.split_whitespace().fold(case, Case::keeps)
}

/// A text without secrets, all of which is kept.
pub fn harmless(random: &mut Random, text: impl Into<String>) -> Case {
    let text: String = text.into();
    let case = prose(random, text.clone(), "");
    case.keeps(text)
}

/// A harmless value under a name, all of which is kept.
pub fn harmless_field(random: &mut Random, name: &str, value: impl Into<Value>) -> Case {
    let value: Value = value.into();
    let text = if let Value::String(text) = &value { text.clone() } else { value.to_string() };
    let place = [Place::Json, Place::Extra, Place::Attachment, Place::Tag, Place::Crumb, Place::User][random.below(6)];
    let value = match place {
        Place::Json | Place::Extra | Place::Attachment => serde_json::json!({ name: value, "n": 1 }),
        _ => text.clone().into(),
    };
    Case::new(place, name, value).keeps(text)
}

/// A secret value under a name.
pub fn secret_field(random: &mut Random, name: &str, value: impl Into<Value>) -> Case {
    let value: Value = value.into();
    let text = if let Value::String(text) = &value { text.clone() } else { value.to_string() };
    let place = [Place::Json, Place::Extra, Place::Attachment, Place::Tag, Place::Crumb, Place::User][random.below(6)];
    let value = match place {
        Place::Json | Place::Extra | Place::Attachment => serde_json::json!({ "plan": "gold-plan", "inner": [{ name: value }] }),
        _ => text.clone().into(),
    };
    let case = Case::new(place, name, value).hides(text);
    if matches!(place, Place::Json | Place::Extra | Place::Attachment) { case.keeps("gold-plan") } else { case }
}
