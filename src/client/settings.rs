//! The resolved configuration: every setting, its value and its source.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use crate::exporter::{BeforeSend, BeforeSendTransaction, IgnoredErrors, SecurityLog};
use crate::propagation::Target;
use crate::protocol::Dsn;
use crate::redaction::Redaction;
use crate::sampling::TrustParent;
use crate::status_codes::StatusCodes;
use crate::transport::{HttpSettings, Transport};

/// The source of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Builder,
    Default,
    /// The name of the variable.
    Environment(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builder => f.write_str("builder"),
            Self::Default => f.write_str("default"),
            Self::Environment(name) => f.write_str(name),
        }
    }
}

/// All settings, after the checks.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own that a user sets by name")]
pub(crate) struct Settings {
    pub(crate) dsn: Option<Dsn>,
    pub(crate) environment: String,
    pub(crate) release: Option<String>,
    pub(crate) server_name: Option<String>,
    pub(crate) traces_sample_rate: f64,
    pub(crate) keep_failed: bool,
    pub(crate) auto_session_tracking: bool,
    pub(crate) trust_parent: TrustParent,
    pub(crate) trace_propagation_targets: Arc<[Target]>,
    pub(crate) propagate_traceparent: bool,
    pub(crate) failed_status_codes: StatusCodes,
    pub(crate) send_default_pii: bool,
    pub(crate) trusted_hops: usize,
    pub(crate) redaction: Arc<Redaction>,
    pub(crate) ignored: IgnoredErrors,
    pub(crate) include_source_context: bool,
    pub(crate) default_fingerprint: bool,
    pub(crate) max_attachment_size: usize,
    pub(crate) enable_logs: bool,
    pub(crate) security_log: Option<SecurityLog>,
    pub(crate) slow_query_threshold: Duration,
    pub(crate) min_span_duration: Duration,
    pub(crate) max_breadcrumbs: usize,
    pub(crate) max_spans: usize,
    pub(crate) queue_items: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) http: HttpSettings,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) console: bool,
    pub(crate) spotlight: Option<Uri>,
    pub(crate) transport: Option<Arc<dyn Transport>>,
    pub(crate) panic_hook: bool,
    pub(crate) debug: bool,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) before_send: Option<BeforeSend>,
    pub(crate) before_send_transaction: Option<BeforeSendTransaction>,
    /// Warnings to log at the start.
    pub(crate) warnings: Vec<String>,
    /// The sources of settings that can have more than one.
    pub(crate) sources: Vec<(&'static str, Source)>,
}

impl Settings {
    /// Whether requests are counted for release health. This needs a release.
    pub(crate) fn tracks_sessions(&self) -> bool {
        self.auto_session_tracking && self.release.is_some()
    }

    /// Whether anything is recorded, that is, whether there is a DSN or a local sink.
    pub(crate) fn is_on(&self) -> bool {
        self.dsn.is_some() || self.console || self.spotlight.is_some() || self.transport.is_some() || self.security_log.is_some()
    }
}

/// Lists one setting per line, with secrets masked. `examples/boot.rs` prints this.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24} {}", "recording", if self.is_on() { "on" } else { "off" })?;
        let mut row = |name: &str, value: &dyn fmt::Display| {
            let source = self.sources.iter().find(|(of, _)| *of == name).map_or(Source::Default, |(_, source)| *source);
            writeln!(f, "{name:<24} {value:<32} {source}", value = value.to_string())
        };
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        let on_off = |on: bool| if on { "on" } else { "off" };
        row("dsn", &or_none(self.dsn.as_ref().map(ToString::to_string)))?;
        row("environment", &self.environment)?;
        row("release", &or_none(self.release.clone()))?;
        row("server_name", &or_none(self.server_name.clone()))?;
        row("traces_sample_rate", &self.traces_sample_rate)?;
        row("keep_failed", &on_off(self.keep_failed))?;
        row("auto_session_tracking", &on_off(self.auto_session_tracking))?;
        row("trust_parent", &format!("{:?}", self.trust_parent))?;
        let targets: Vec<_> = self.trace_propagation_targets.iter().map(ToString::to_string).collect();
        row("trace_propagation_targets", &or_none(Some(targets.join(", ")).filter(|targets| !targets.is_empty())))?;
        row("propagate_traceparent", &on_off(self.propagate_traceparent))?;
        row("failed_status_codes", &self.failed_status_codes)?;
        row("send_default_pii", &on_off(self.send_default_pii))?;
        row("trusted_hops", &self.trusted_hops)?;
        row("slow_query_threshold", &format!("{:?}", self.slow_query_threshold))?;
        row("min_span_duration", &format!("{:?}", self.min_span_duration))?;
        row("max_breadcrumbs", &self.max_breadcrumbs)?;
        row("max_spans", &self.max_spans)?;
        row("include_source_context", &on_off(self.include_source_context))?;
        row("default_fingerprint", &on_off(self.default_fingerprint))?;
        row("max_attachment_size", &format!("{} KiB", self.max_attachment_size / 1024))?;
        row("enable_logs", &on_off(self.enable_logs))?;
        row("security_log", &or_none(self.security_log.as_ref().map(|log| log.path.display().to_string())))?;
        row("queue", &format!("{} items, {} KiB", self.queue_items, self.queue_bytes / 1024))?;
        row("connect_timeout", &format!("{:?}", self.http.connect_timeout))?;
        row("request_timeout", &format!("{:?}", self.http.request_timeout))?;
        #[cfg(feature = "reqwest")]
        row("http_client", &self.http.client.as_ref().map_or("built in", |_| "your own"))?;
        // The URL may contain a password.
        #[cfg(feature = "reqwest")]
        row("proxy", &self.http.proxy.as_ref().map_or("environment", |proxy| if proxy.trim().is_empty() { "none" } else { "set" }))?;
        #[cfg(feature = "rustls")]
        row("ca_certificate", &format!("{} of your own", self.http.certificates.len()))?;
        row("shutdown_timeout", &format!("{:?}", self.shutdown_timeout))?;
        row("console", &on_off(self.console))?;
        row("spotlight", &or_none(self.spotlight.as_ref().map(ToString::to_string)))?;
        row("panic_hook", &on_off(self.panic_hook))?;
        row("debug", &on_off(self.debug))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("dsn", &self.dsn)
            .field("environment", &self.environment)
            .field("release", &self.release)
            .finish_non_exhaustive()
    }
}
