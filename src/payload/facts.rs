//! The values that are the same in every payload of a process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::event::FrameSettings;
use crate::protocol::Modules;
use crate::redaction::Redaction;

/// Values that are the same in every payload of a process, and what payloads contain.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) release: Option<String>,
    pub(crate) environment: String,
    pub(crate) server_name: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    /// The packages that the program is built from.
    pub(crate) modules: Modules,
    /// Queries that take at least this long are marked as slow.
    pub(crate) slow_query: Duration,
    /// Whether frames get their source lines, if the source files are available.
    pub(crate) include_source_context: bool,
    /// What stack traces contain, and which frames are the application's own.
    pub(crate) frames: FrameSettings,
    /// Whether errors get a fingerprint from their types and their place in the code.
    pub(crate) default_fingerprint: bool,
    /// For the dynamic sampling context; empty without a DSN.
    pub(crate) public_key: String,
    pub(crate) org_id: Option<String>,
    /// Which path parameters are hidden, and how.
    pub(crate) redaction: Arc<Redaction>,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            release: None,
            environment: "production".to_owned(),
            server_name: None,
            tags: BTreeMap::new(),
            modules: Modules::default(),
            slow_query: Duration::from_millis(100),
            include_source_context: true,
            frames: FrameSettings::default(),
            default_fingerprint: true,
            public_key: String::new(),
            org_id: None,
            redaction: Arc::default(),
        }
    }
}
