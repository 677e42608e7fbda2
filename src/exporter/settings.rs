//! The exporter's settings.

use std::sync::Arc;
use std::time::Duration;

use super::hooks::{BeforeSend, BeforeSendTransaction};
use super::ignore::IgnoredErrors;
use super::security_log::SecurityLog;
use crate::payload::Facts;
use crate::protocol::Dsn;
use crate::redaction::Redactor;
use crate::transport::{HttpSettings, Transport};

/// What the client hands over. The exporter does not depend on the code that submits items.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own that a user sets by name")]
pub(crate) struct Settings {
    pub(crate) dsn: Option<Dsn>,
    pub(crate) spotlight: Option<::http::Uri>,
    pub(crate) console: bool,
    pub(crate) transport: Option<Arc<dyn Transport>>,
    pub(crate) facts: Facts,
    pub(crate) redactor: Redactor,
    pub(crate) ignored: IgnoredErrors,
    pub(crate) include_source_context: bool,
    pub(crate) default_fingerprint: bool,
    pub(crate) min_span_duration: Duration,
    pub(crate) security_log: Option<SecurityLog>,
    /// Whether structured logs are sent.
    pub(crate) enable_logs: bool,
    pub(crate) before_send: Option<BeforeSend>,
    pub(crate) before_send_transaction: Option<BeforeSendTransaction>,
    pub(crate) http: HttpSettings,
    pub(crate) queue_items: usize,
    pub(crate) queue_bytes: usize,
    /// The message to log once the exporter has started.
    pub(crate) start_line: Option<String>,
}
