//! Steps that led to an event.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::bounded;
use super::{Level, Timestamp};

/// One step that led to an event.
///
/// The last 100 breadcrumbs of a request are sent with its events, unless
/// [`max_breadcrumbs`](crate::ConfigBuilder::max_breadcrumbs) says otherwise.
///
/// # Examples
///
/// ```
/// use tower_sentry::{Breadcrumb, Level};
///
/// let crumb = Breadcrumb::new("charge started").category("payment").level(Level::Info).field("attempt", 2);
/// assert_eq!(crumb.category.as_deref(), Some("payment"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Breadcrumb {
    /// When it happened.
    pub timestamp: Timestamp,
    /// The kind, which selects the icon in Sentry: `default`, `http`, `query`, `error`, …
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The source, as a dotted name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The severity.
    ///
    /// Defaults to `info`.
    #[serde(default = "info")]
    pub level: Level,
    /// Further fields.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}

fn info() -> Level {
    Level::Info
}

impl Breadcrumb {
    /// Creates a breadcrumb with a message, the current time and the level `info`.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { timestamp: Timestamp::now(), message: Some(message.into()), level: Level::Info, ..Self::default() }
    }

    /// Sets the source, as a dotted name such as `payment`.
    #[must_use]
    pub fn category(mut self, category: impl Into<String>) -> Self {
        self.category = Some(category.into());
        self
    }

    /// Sets the severity.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Adds a field. Lists and maps below 32 levels are replaced with `[nested too deep]`.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.data.insert(name.into(), bounded(value.into()));
        self
    }
}
