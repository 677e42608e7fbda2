//! What a client gives its exporter, and the line that says where it sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::live::Live;
use super::settings::Settings;
use super::watch::watches;
use crate::exporter::{DeliverySettings, ExporterSettings};

pub(super) fn exporter_settings(settings: &Settings, live: &Arc<Live>) -> ExporterSettings {
    ExporterSettings {
        delivery: settings.delivery.clone(),
        facts: settings.facts.clone(),
        hooks: settings.hooks.clone(),
        limits: settings.limits.clone(),
        privacy: settings.privacy.clone(),
        event_limits: Arc::clone(&live.event_limits),
        beside: settings.file.as_ref().map(|file| watches(live, file.on_hangup)).unwrap_or_default(),
        start_line: Some(start_line(settings)),
    }
}

/// The URL of the OpenTelemetry collector for people to read.
fn collector(delivery: &DeliverySettings) -> Option<String> {
    #[cfg(feature = "otlp")]
    return delivery.otlp.as_ref().map(crate::otlp::Otlp::shown);
    #[cfg(not(feature = "otlp"))]
    {
        let _ = delivery;
        None
    }
}

/// Says where this client sends what it records. From the second client of a process on it has a number:
/// two may send to one place.
fn start_line(settings: &Settings) -> String {
    static CLIENTS: AtomicU32 = AtomicU32::new(0);
    let DeliverySettings { client_name, dsn, transport, spotlight, console, security_log, .. } = &settings.delivery;
    let to = match (dsn, transport) {
        (Some(dsn), _) => dsn.to_string(),
        (None, Some(_)) => "a transport of your own".to_owned(),
        (None, None) if spotlight.is_some() => "Spotlight".to_owned(),
        (None, None) if console.is_some() => "the console".to_owned(),
        (None, None) => {
            let log = security_log.as_ref().map(|log| format!("the security log '{}' is written", log.path.display()));
            let rules = (!settings.hooks.on_alert.is_empty()).then(|| "alert rules are checked".to_owned());
            let spans = collector(&settings.delivery).map(|url| format!("spans go to the OpenTelemetry collector {url}"));
            let local = spans.into_iter().chain(log).chain(rules).collect::<Vec<_>>().join(", and ");
            return format!("Sentry is off: no DSN is set; only {local}");
        }
    };
    // A line of a client with a name begins with that name.
    let number = match CLIENTS.fetch_add(1, Ordering::Relaxed) {
        0 => String::new(),
        _ if !client_name.is_empty() => String::new(),
        earlier => format!(" (client {} of this process)", earlier.saturating_add(1)),
    };
    let preset = settings.preset.map(|preset| format!(" (preset: {preset})")).unwrap_or_default();
    let beside = collector(&settings.delivery).map(|url| format!(", and spans to the OpenTelemetry collector {url}")).unwrap_or_default();
    format!("Sentry initialized for environment '{}', sends to {to}{beside}{preset}{number}", settings.facts.environment)
}
