//! The resolved configuration: every setting, its value and its source.

use std::fmt;
use std::sync::Arc;

use super::preset::Preset;
use super::settings_file::SettingsFile;
use crate::exporter::{DeliverySettings, Hooks};
use crate::payload::Facts;
#[cfg(feature = "profiling")]
use crate::profiling::ProfilingSettings;
use crate::propagation::PropagationSettings;
use crate::record::Limits;
use crate::redaction::Privacy;
use crate::sampling::{LiveSettings, Sampling};
use crate::status_codes::StatusCodes;
use crate::transport::ConsoleForm;

/// The source of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Builder,
    /// A default that the application has set, below the environment.
    BuilderDefault,
    Default,
    /// The name of the variable.
    Environment(&'static str),
    File,
    Preset,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builder => f.write_str("builder"),
            Self::BuilderDefault => f.write_str("builder's default"),
            Self::Default => f.write_str("default"),
            Self::Environment(name) => f.write_str(name),
            Self::File => f.write_str("settings_file"),
            Self::Preset => f.write_str("preset"),
        }
    }
}

/// How to treat `tracing` events besides breadcrumbs and errors.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeepsLogs {
    /// Send them as structured logs.
    pub(crate) sends: bool,
    /// Write them to the security log at any level.
    pub(crate) writes: bool,
}

/// All settings, in groups. Each room that needs a group gets it whole.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) preset: Option<Preset>,
    pub(crate) delivery: DeliverySettings,
    pub(crate) facts: Facts,
    pub(crate) hooks: Hooks,
    pub(crate) limits: Limits,
    pub(crate) privacy: Privacy,
    #[cfg(feature = "profiling")]
    pub(crate) profiling: ProfilingSettings,
    pub(crate) sampling: Sampling,
    /// The values at the start.
    pub(crate) live: LiveSettings,
    pub(super) file: Option<Box<SettingsFile>>,
    pub(crate) propagation: PropagationSettings,
    pub(crate) failed_status_codes: Arc<StatusCodes>,
    pub(crate) auto_session_tracking: bool,
    pub(crate) panic_hook: bool,
    pub(crate) debug: bool,
    /// Warnings to log at the start.
    pub(crate) warnings: Vec<String>,
    /// The settings that do not have their default.
    pub(super) sources: Vec<(&'static str, Source)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            preset: None,
            delivery: DeliverySettings::default(),
            facts: Facts::default(),
            hooks: Hooks::default(),
            limits: Limits::default(),
            privacy: Privacy::default(),
            #[cfg(feature = "profiling")]
            profiling: ProfilingSettings::default(),
            sampling: Sampling::default(),
            live: LiveSettings::default(),
            file: None,
            propagation: PropagationSettings::default(),
            failed_status_codes: Arc::new(StatusCodes::from(500..=599)),
            auto_session_tracking: true,
            panic_hook: true,
            debug: false,
            warnings: Vec::new(),
            sources: Vec::new(),
        }
    }
}

impl Settings {
    /// Whether requests are counted for release health. This needs a release.
    pub(crate) fn tracks_sessions(&self) -> bool {
        self.auto_session_tracking && self.facts.release.is_some()
    }

    /// Whether anything is recorded: data goes somewhere, or an alert rule needs it.
    pub(crate) fn is_on(&self) -> bool {
        self.delivery.is_on() || !self.hooks.on_alert.is_empty()
    }

    pub(super) fn source(&self, setting: &str) -> Source {
        self.sources.iter().find(|(name, _)| *name == setting).map_or(Source::Default, |(_, source)| *source)
    }
}

/// Lists one setting per line, with secrets masked. `examples/boot.rs` prints this.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24} {}", "recording", if self.is_on() { "on" } else { "off" })?;
        let mut row = |name: &str, value: &dyn fmt::Display| {
            writeln!(f, "{name:<24} {value:<32} {source}", value = value.to_string(), source = self.source(name))
        };
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        let on_off = |on: bool| if on { "on" } else { "off" };
        let a_minute = |limit: u32| if limit == u32::MAX { "no limit".to_owned() } else { format!("{limit} a minute") };
        row("preset", &or_none(self.preset.map(|preset| preset.to_string())))?;
        row("dsn", &or_none(self.delivery.dsn.as_ref().map(ToString::to_string)))?;
        row("environment", &self.facts.environment)?;
        row("release", &or_none(self.facts.release.clone()))?;
        row("client_name", &or_none(Some(self.delivery.client_name.clone()).filter(|name| !name.is_empty())))?;
        row(
            "modules",
            &(if self.facts.modules.is_empty() { "none".to_owned() } else { format!("{} packages", self.facts.modules.len()) }),
        )?;
        row("server_name", &or_none(self.facts.server_name.clone()))?;
        row("traces_sample_rate", &self.live.traces_sample_rate)?;
        row("traces_sampler", &self.sampling.traces_sampler.as_ref().map_or("none", |_| "set"))?;
        row("traces_target", &or_none(self.sampling.traces_target.map(|target| target.to_string())))?;
        row("error_sample_rate", &self.live.error_sample_rate)?;
        #[cfg(feature = "profiling")]
        row("profiles_sample_rate", &or_none(self.profiling.profiles_sample_rate.map(|rate| rate.to_string())))?;
        #[cfg(feature = "profiling")]
        row("profile_session_sample_rate", &self.profiling.profile_session_sample_rate)?;
        #[cfg(feature = "profiling")]
        row("profile_lifecycle", &self.profiling.profile_lifecycle)?;
        row("ignore_transaction_statuses", &or_none(self.sampling.ignored_statuses.as_ref().map(ToString::to_string)))?;
        row("keep_failed", &on_off(self.sampling.keep_failed))?;
        row("keep_failed_budget", &format!("{} a second", self.live.keep_failed_budget))?;
        row("keep_slow", &self.sampling.keep_slow)?;
        row("keep_slow_budget", &format!("{} a second", self.live.keep_slow_budget))?;
        row("backpressure", &on_off(self.sampling.backpressure))?;
        row("failure_budget", &format!("{} a second", self.live.failure_budget))?;
        row("max_events_per_issue", &a_minute(self.live.max_events_per_issue))?;
        row("max_logs_per_callsite", &a_minute(self.live.max_logs_per_callsite))?;
        row("max_metrics_per_name", &a_minute(self.live.max_metrics_per_name))?;
        let budgets: Vec<_> = self.delivery.budgets.iter().map(ToString::to_string).collect();
        row("budget", &or_none(Some(budgets.join("; ")).filter(|budgets| !budgets.is_empty())))?;
        row("budget_file", &or_none(self.delivery.budgets.file.as_ref().map(|path| path.display().to_string())))?;
        row("on_alert", &or_none(Some(self.hooks.on_alert.len()).filter(|rules| *rules > 0).map(|rules| format!("{rules} rules"))))?;
        row(
            "routes",
            &match self.live.routes.len() {
                0 => "none".to_owned(),
                rows => format!("{rows} in a table"),
            },
        )?;
        row("settings_file", &or_none(self.file.as_ref().map(|file| file.path().display().to_string())))?;
        #[cfg(all(unix, feature = "signal"))]
        row("reload_on_sighup", &on_off(self.file.as_ref().is_some_and(|file| file.on_hangup)))?;
        row("auto_session_tracking", &on_off(self.auto_session_tracking))?;
        row("trust_parent", &format!("{:?}", self.sampling.trust_parent))?;
        row("parent_budget", &format!("{} a second", self.live.parent_budget))?;
        let targets: Vec<_> = self.propagation.targets.iter().map(ToString::to_string).collect();
        row("trace_propagation_targets", &or_none(Some(targets.join(", ")).filter(|targets| !targets.is_empty())))?;
        row("propagate_traceparent", &on_off(self.propagation.traceparent))?;
        row("failed_status_codes", &self.failed_status_codes)?;
        row("send_default_pii", &on_off(self.privacy.send_default_pii))?;
        row("trusted_hops", &self.privacy.trusted_hops)?;
        row("slow_query_threshold", &format!("{:?}", self.facts.slow_query))?;
        row("min_span_duration", &format!("{:?}", self.limits.min_span_duration))?;
        row("max_breadcrumbs", &self.limits.max_breadcrumbs)?;
        row("max_spans", &self.limits.max_spans)?;
        row("trace_lifecycle", &self.delivery.trace_lifecycle)?;
        row("include_source_context", &on_off(self.facts.include_source_context))?;
        row("in_app_include", &or_none(Some(self.facts.frames.in_app_include.join(", ")).filter(|list| !list.is_empty())))?;
        row("in_app_exclude", &or_none(Some(self.facts.frames.in_app_exclude.join(", ")).filter(|list| !list.is_empty())))?;
        row("trim_backtraces", &on_off(self.facts.frames.trim_backtraces))?;
        row("default_fingerprint", &on_off(self.facts.default_fingerprint))?;
        row("max_attachment_size", &format!("{} KiB", self.limits.max_attachment_size / 1024))?;
        row("enable_logs", &on_off(self.delivery.enable_logs))?;
        row("enable_metrics", &on_off(self.delivery.enable_metrics))?;
        row("security_log", &or_none(self.delivery.security_log.as_ref().map(|log| log.path.display().to_string())))?;
        row("spool_dir", &or_none(self.delivery.spool_dir.as_ref().map(|dir| dir.display().to_string())))?;
        row("spool_max_bytes", &format!("{} KiB", self.delivery.spool_max_bytes / 1024))?;
        row("spool_sync", &self.delivery.spool_sync)?;
        row("queue", &format!("{} items, {} KiB", self.delivery.queue_items, self.delivery.queue_bytes / 1024))?;
        row("connect_timeout", &format!("{:?}", self.delivery.http.connect_timeout))?;
        row("first_byte_timeout", &format!("{:?}", self.delivery.http.first_byte_timeout))?;
        row("request_timeout", &format!("{:?}", self.delivery.http.request_timeout))?;
        row("http_compression", &on_off(self.delivery.http.compression))?;
        #[cfg(feature = "reqwest")]
        row("http_client", &self.delivery.http.client.as_ref().map_or("built in", |_| "your own"))?;
        // The URL may contain a password.
        #[cfg(feature = "reqwest")]
        row(
            "proxy",
            &self.delivery.http.proxy.as_ref().map_or("environment", |proxy| if proxy.trim().is_empty() { "none" } else { "set" }),
        )?;
        #[cfg(feature = "rustls")]
        row("ca_certificate", &format!("{} of your own", self.delivery.http.certificates.len()))?;
        row("shutdown_timeout", &format!("{:?}", self.delivery.shutdown_timeout))?;
        row("console", &self.delivery.console.map_or("off", ConsoleForm::name))?;
        row("spotlight", &or_none(self.delivery.spotlight.as_ref().map(ToString::to_string)))?;
        #[cfg(feature = "otlp")]
        row("otlp", &or_none(self.delivery.otlp.as_ref().map(crate::otlp::Otlp::shown)))?;
        row("panic_hook", &on_off(self.panic_hook))?;
        row("debug", &on_off(self.debug))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("dsn", &self.delivery.dsn)
            .field("environment", &self.facts.environment)
            .field("release", &self.facts.release)
            .finish_non_exhaustive()
    }
}
