//! The exporter's settings.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::budgets::BudgetSettings;
use super::event_limits::EventLimits;
use super::hooks::Hooks;
use super::security_log::SecurityLog;
use crate::error::Error;
#[cfg(feature = "otlp")]
use crate::otlp::Otlp;
use crate::payload::Facts;
use crate::protocol::{Dsn, TraceLifecycle};
use crate::record::Limits;
use crate::redaction::Privacy;
use crate::transport::{ConsoleForm, Http, HttpSettings, Transport};

/// Where data goes, and how much of it may wait.
#[derive(Clone)]
pub(crate) struct DeliverySettings {
    /// What the application calls this client; empty without a name.
    pub(crate) client_name: String,
    pub(crate) dsn: Option<Dsn>,
    /// Replaces HTTP.
    pub(crate) transport: Option<Arc<dyn Transport>>,
    pub(crate) http: HttpSettings,
    pub(crate) spotlight: Option<::http::Uri>,
    pub(crate) console: Option<ConsoleForm>,
    /// The OpenTelemetry collector, which gets copies of transactions.
    #[cfg(feature = "otlp")]
    pub(crate) otlp: Option<Otlp>,
    pub(crate) security_log: Option<SecurityLog>,
    /// Where envelopes are kept on disk, and how many bytes of them.
    pub(crate) spool_dir: Option<PathBuf>,
    pub(crate) spool_max_bytes: u64,
    /// Whether the spool waits for the disk itself.
    pub(crate) spool_sync: bool,
    /// Whether structured logs are sent.
    pub(crate) enable_logs: bool,
    pub(crate) enable_metrics: bool,
    pub(crate) trace_lifecycle: TraceLifecycle,
    pub(crate) budgets: BudgetSettings,
    pub(crate) queue_items: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) shutdown_timeout: Duration,
}

impl Default for DeliverySettings {
    fn default() -> Self {
        Self {
            client_name: String::new(),
            dsn: None,
            transport: None,
            http: HttpSettings::default(),
            spotlight: None,
            console: None,
            #[cfg(feature = "otlp")]
            otlp: None,
            security_log: None,
            spool_dir: None,
            spool_max_bytes: 50 * 1024 * 1024,
            spool_sync: false,
            enable_logs: false,
            enable_metrics: true,
            trace_lifecycle: TraceLifecycle::Static,
            budgets: BudgetSettings::default(),
            queue_items: 1000,
            queue_bytes: 12 * 1024 * 1024,
            shutdown_timeout: Duration::from_secs(2),
        }
    }
}

impl DeliverySettings {
    /// Whether data goes anywhere: to a server or to a local sink.
    pub(crate) fn is_on(&self) -> bool {
        let is_local = self.console.is_some() || self.spotlight.is_some() || self.security_log.is_some();
        self.dsn.is_some() || self.transport.is_some() || is_local || self.collector().is_some()
    }

    /// The URL of the OpenTelemetry collector.
    #[cfg_attr(not(feature = "otlp"), expect(clippy::unused_self, reason = "this build knows no collector"))]
    pub(crate) fn collector(&self) -> Option<&::http::Uri> {
        #[cfg(feature = "otlp")]
        return self.otlp.as_ref()?.checked().ok();
        #[cfg(not(feature = "otlp"))]
        None
    }

    /// Checks that TLS can be set up for the servers that need it. Reads the platform's certificates.
    pub(crate) fn check_tls(&self) -> Result<(), Error> {
        let server = self.dsn.as_ref().filter(|_| self.transport.is_none()).map(Dsn::envelope_url);
        server.into_iter().chain(&self.spotlight).chain(self.collector()).try_for_each(|url| Http::check_tls(url, &self.http))
    }
}

/// A future that runs on the exporter's thread until the exporter ends.
pub(crate) type Beside = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the client hands over. The exporter does not depend on the code that submits items.
pub(crate) struct ExporterSettings {
    pub(crate) delivery: DeliverySettings,
    pub(crate) facts: Facts,
    pub(crate) hooks: Hooks,
    pub(crate) limits: Limits,
    pub(crate) privacy: Privacy,
    pub(crate) event_limits: Arc<EventLimits>,
    /// Work of the client that runs beside the worker, on its thread. It must not block.
    pub(crate) beside: Vec<Beside>,
    /// The message to log once the exporter has started.
    pub(crate) start_line: Option<String>,
}
