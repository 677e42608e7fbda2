//! What led to an event.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Level, Timestamp};

/// One step on the way to an event. The last 100 of a request ride on its events.
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
    /// What kind it is, where the interface draws kinds apart: `default`, `http`, `query`, `error`, …
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// A dotted name of where it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How severe it is. Defaults to `info`.
    #[serde(default = "info")]
    pub level: Level,
    /// Anything else.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}

fn info() -> Level {
    Level::Info
}

impl Breadcrumb {
    /// A step with a message, at the present moment, level `info`.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { timestamp: Timestamp::now(), message: Some(message.into()), level: Level::Info, ..Self::default() }
    }

    /// Sets where it comes from.
    #[must_use]
    pub fn category(mut self, category: impl Into<String>) -> Self {
        self.category = Some(category.into());
        self
    }

    /// Sets how severe it is.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.data.insert(name.into(), value.into());
        self
    }
}
