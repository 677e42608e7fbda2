//! A request or job as one timed tree.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Contexts, EventId, Request, SdkInfo, Span, Timestamp, User};

/// A request or job as one timed tree. The root span's own fields live in `contexts.trace`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Transaction {
    /// Its id.
    pub event_id: EventId,
    /// Always `transaction`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Always `native`; Sentry does not know `rust` here.
    pub platform: String,
    /// Its name, such as `GET /cart/{id}`.
    #[serde(rename = "transaction")]
    pub name: String,
    /// Where the name comes from.
    pub transaction_info: TransactionInfo,
    /// When it began.
    pub start_timestamp: Timestamp,
    /// When it ended.
    pub timestamp: Timestamp,
    /// The version that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Where it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The machine that ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Who wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdk: Option<SdkInfo>,
    /// Facts to search by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The root span and other groups of facts.
    pub contexts: Contexts,
    /// The request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// Numbers with units.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measurements: BTreeMap<String, Measurement>,
    /// All spans below the root, in the order they began.
    pub spans: Vec<Span>,
}

/// Where a transaction's name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TransactionInfo {
    /// The kind of name.
    pub source: TransactionSource,
}

impl From<TransactionSource> for TransactionInfo {
    fn from(source: TransactionSource) -> Self {
        Self { source }
    }
}

/// What kind of name a transaction has; the server folds only raw URLs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TransactionSource {
    /// Given by the user.
    Custom,
    /// A raw path.
    Url,
    /// A route template.
    #[default]
    Route,
    /// The name of a handler.
    View,
    /// The name of a function or middleware.
    Component,
    /// The name of a job.
    Task,
}

/// A number with its unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Measurement {
    /// The number.
    pub value: f64,
    /// The unit, such as `millisecond` or `byte`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl Measurement {
    /// A number with its unit: `millisecond`, `byte`, `percent`, …
    pub fn new(value: f64, unit: impl Into<String>) -> Self {
        Self { value, unit: Some(unit.into()) }
    }
}
