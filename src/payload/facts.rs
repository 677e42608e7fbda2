//! What is the same in every payload of a process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::redaction::Redaction;

/// Values that are the same in every payload of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) release: Option<String>,
    pub(crate) environment: String,
    pub(crate) server_name: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    /// Queries that take at least this long are marked as slow.
    pub(crate) slow_query: Duration,
    /// For the dynamic sampling context; empty without a DSN.
    pub(crate) public_key: String,
    pub(crate) org_id: Option<String>,
    /// Which path parameters are hidden, and how.
    pub(crate) redaction: Arc<Redaction>,
}
