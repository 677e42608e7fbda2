//! Events: errors, panics and messages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::exception::Values;
use super::{Breadcrumb, Contexts, DebugMeta, EventId, Exception, Level, Modules, Request, SdkInfo, Timestamp, TransactionInfo, User};

/// An error, a panic or a message, with its circumstances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// The id of the event.
    pub event_id: EventId,
    /// The time when it happened.
    pub timestamp: Timestamp,
    /// Always `native`, because Sentry does not accept `rust` here.
    pub platform: String,
    /// The severity.
    #[serde(default)]
    pub level: Level,
    /// The logger: a path such as `shop::orders` or `shop.orders`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logger: Option<String>,
    /// The name of the transaction it happened in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    /// The source of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_info: Option<TransactionInfo>,
    /// The machine it happened on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The version of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The environment of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The packages that the program is built from. Hooks do not see them.
    #[serde(skip_deserializing, skip_serializing_if = "Modules::is_empty")]
    pub(crate) modules: Modules,
    /// The SDK that wrote the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sdk: Option<SdkInfo>,
    /// The message, if there is no error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logentry: Option<LogEntry>,
    /// The chain of errors, with the innermost cause first.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub exception: Values<Exception>,
    /// The steps that led to it, with the oldest first.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub breadcrumbs: Values<Breadcrumb>,
    /// The request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// Named groups of facts; `trace` is always set.
    #[serde(default)]
    pub contexts: Contexts,
    /// Searchable tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The binaries that contain the stack frames.
    #[serde(default, skip_serializing_if = "DebugMeta::is_empty")]
    pub debug_meta: DebugMeta,
    /// Further data, which is not searchable.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// The values by which the server groups events.
    ///
    /// If empty, the server's own rules apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprint: Vec<String>,
}

impl Event {
    /// Creates an event with the current time and a new id, for [`capture_event`](crate::capture_event).
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Level;
    /// use tower_sentry::protocol::Event;
    ///
    /// let mut event = Event::new(Level::Warning);
    /// event.logentry = Some("the cache is cold".into());
    /// event.fingerprint = vec!["cold cache".to_owned()];
    /// ```
    pub fn new(level: Level) -> Self {
        Self {
            event_id: EventId::new(),
            timestamp: Timestamp::now(),
            platform: "native".to_owned(),
            level,
            logger: None,
            transaction: None,
            transaction_info: None,
            server_name: None,
            release: None,
            environment: None,
            modules: Modules::default(),
            sdk: None,
            logentry: None,
            exception: Values::default(),
            breadcrumbs: Values::default(),
            request: None,
            user: None,
            contexts: Contexts::default(),
            tags: BTreeMap::new(),
            debug_meta: DebugMeta::default(),
            extra: Map::new(),
            fingerprint: Vec::new(),
        }
    }
}

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LogEntry {
    /// The text, with placeholders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The text, with the placeholders filled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formatted: Option<String>,
}

impl<T: Into<String>> From<T> for LogEntry {
    /// A text without placeholders.
    fn from(text: T) -> Self {
        Self { message: Some(text.into()), formatted: None }
    }
}
