//! Transactions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Contexts, EventId, Request, SdkInfo, Span, Timestamp, User};

/// A request or job with its spans.
///
/// The fields of the root span are in `contexts.trace`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Transaction {
    /// The id of the transaction.
    pub event_id: EventId,
    /// Always `transaction`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Always `native`, because Sentry does not accept `rust` here.
    pub platform: String,
    /// The name, such as `GET /cart/{id}`.
    #[serde(rename = "transaction")]
    pub name: String,
    /// The source of the name.
    pub transaction_info: TransactionInfo,
    /// The start time.
    pub start_timestamp: Timestamp,
    /// The end time.
    pub timestamp: Timestamp,
    /// The version of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The environment of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The machine that ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The SDK that wrote the transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sdk: Option<SdkInfo>,
    /// Searchable tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The root span and other groups of facts.
    pub contexts: Contexts,
    /// The request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// Numbers with units.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measurements: BTreeMap<String, Measurement>,
    /// All spans below the root, in the order in which they started.
    pub spans: Vec<Span>,
}

/// The source of a transaction's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TransactionInfo {
    /// The kind of source.
    pub source: TransactionSource,
}

impl From<TransactionSource> for TransactionInfo {
    fn from(source: TransactionSource) -> Self {
        Self { source }
    }
}

/// The kind of source of a transaction's name.
///
/// The server groups similar names only for raw URLs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TransactionSource {
    /// A name set by the user.
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
