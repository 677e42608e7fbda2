//! An error, a panic or a message.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::exception::Values;
use super::{Breadcrumb, Contexts, DebugMeta, EventId, Exception, Level, Request, SdkInfo, Timestamp, TransactionInfo, User};

/// An error, a panic or a message, with what is known about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// Its id.
    pub event_id: EventId,
    /// When it happened.
    pub timestamp: Timestamp,
    /// Always `native`; Sentry does not know `rust` here.
    pub platform: String,
    /// How severe it is.
    #[serde(default)]
    pub level: Level,
    /// What logged it, as a dotted or double-colon path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logger: Option<String>,
    /// The name of the transaction it happened in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    /// Where that name comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_info: Option<TransactionInfo>,
    /// The machine it happened on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The version that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Where it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Who wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdk: Option<SdkInfo>,
    /// The message, where there is no error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logentry: Option<LogEntry>,
    /// The chain of errors, innermost cause first.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub exception: Values<Exception>,
    /// What led to it, oldest first.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub breadcrumbs: Values<Breadcrumb>,
    /// The request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// Groups of facts; `trace` is always there.
    #[serde(default)]
    pub contexts: Contexts,
    /// Facts to search by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The binaries that frames lie in.
    #[serde(default, skip_serializing_if = "DebugMeta::is_empty")]
    pub debug_meta: DebugMeta,
    /// Further facts, which cannot be searched by.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// What the server groups by; empty means its own rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprint: Vec<String>,
}

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LogEntry {
    /// The text with placeholders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The text as a reader sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formatted: Option<String>,
}
