//! What is set up once: four clients with four DSNs, and the alerts.

use std::env;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tower_sentry::alert::{Alert, AlertRule};
use tower_sentry::html::Browser;
use tower_sentry::redaction::Redaction;
use tower_sentry::{Client, Config, ConfigBuilder, Error, Preset};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// No other host gets the headers of a trace.
const TARGETS: [&str; 2] = ["localhost", "api.amply-impact.org"];

/// The DSNs of the four projects.
#[derive(Clone, Debug, Default)]
pub struct Dsns {
    pub backend: Option<String>,
    pub dashboard: Option<String>,
    pub public: Option<String>,
    pub widgets: Option<String>,
}

impl Dsns {
    /// Reads `SENTRY_DSN`, and for the other parts `VITE_SENTRY_DSN`, `PUBLIC_SENTRY_DSN` and `WIDGET_SENTRY_DSN`. A
    /// part without its own reports to the project of `SENTRY_DSN`.
    pub fn from_env() -> Self {
        let read = |name: &str| env::var(name).ok().filter(|dsn| !dsn.trim().is_empty());
        let backend = read("SENTRY_DSN");
        let or_backend = |name: &str| read(name).or_else(|| backend.clone());
        Self {
            dashboard: or_backend("VITE_SENTRY_DSN"),
            public: or_backend("PUBLIC_SENTRY_DSN"),
            widgets: or_backend("WIDGET_SENTRY_DSN"),
            backend,
        }
    }
}

/// The environments, with what each sends:
///
/// | environment | transactions | where |
/// |---|---|---|
/// | production | 10 % | its projects |
/// | staging | all | its projects |
/// | development | all | the console of this machine, whatever DSN is set |
///
/// Reads `ENVIRONMENT`. Without it, a process with a DSN is in production.
pub fn environment_from_env(dsns: &Dsns) -> Result<Preset, String> {
    match env::var("ENVIRONMENT").unwrap_or_default().as_str() {
        "production" => Ok(Preset::Production),
        "staging" => Ok(Preset::Staging),
        "development" => Ok(Preset::Development),
        "" if dsns.backend.is_some() => Ok(Preset::Production),
        "" => Ok(Preset::Development),
        other => Err(format!("ENVIRONMENT: expected production, staging or development, found '{other}'")),
    }
}

/// Reads the file that `SENTRY_BROWSER_SDK` names: `@sentry/browser` as one script.
pub fn browser_sdk_from_env() -> std::io::Result<Vec<u8>> {
    env::var("SENTRY_BROWSER_SDK").map_or(Ok(Vec::new()), std::fs::read)
}

/// How the service is started.
#[derive(Clone, Debug)]
pub struct Settings {
    pub environment: Preset,
    pub dsns: Dsns,
    /// Sentry's SDK for the pages of the dashboard. It is served from here, because blockers know Sentry's hosts.
    pub browser_sdk: Vec<u8>,
    /// The address of a Spotlight, which gets a copy of everything.
    pub spotlight: Option<String>,
    /// Where alerts go: the channel and what it says.
    pub alerts: Sender<String>,
    /// Where the service listens: an address and a port.
    pub address: String,
    /// Whether `x-forwarded-user` names the user of the dashboard. Only if a proxy sets it, and no client reaches the
    /// service past that proxy.
    pub trusts_proxy: bool,
    /// The payment providers' address.
    pub payments: String,
    /// The address of the storage for checkpoints.
    pub storage: String,
    /// The most jobs that run, and the most that wait in the queue. A request that brings one more gets a 503.
    pub most_jobs: usize,
    /// How long a webhook waits for its next attempt.
    pub retry_after: Duration,
    /// How long other services may take to answer.
    pub call_timeout: Duration,
    /// How long requests may take after the stop, and then jobs. More than twice `call_timeout`, so that a webhook whose attempt
    /// runs can have its last one.
    pub grace: Duration,
}

/// One client for each project.
#[derive(Clone, Debug)]
pub struct Clients {
    pub backend: Client,
    pub dashboard: Client,
    pub public: Client,
    pub widgets: Client,
}

impl Clients {
    /// All four.
    pub fn all(&self) -> [&Client; 4] {
        [&self.backend, &self.dashboard, &self.public, &self.widgets]
    }
}

/// How the pages of the dashboard set up Sentry's browser SDK, and the DSN in them.
#[derive(Clone, Debug)]
pub struct BrowserSettings {
    pub dsn: String,
    pub snippet: Browser,
}

impl Settings {
    /// Starts the clients.
    pub fn clients(&self) -> Result<Clients, Error> {
        let client = |project, dsn| Ok::<_, Error>(Client::from(self.config(project, dsn).build()?));
        Ok(Clients {
            dashboard: client("amply-dashboard", &self.dsns.dashboard)?,
            public: client("amply-public", &self.dsns.public)?,
            widgets: client("amply-widgets", &self.dsns.widgets)?,
            // The last one also gets what is reported outside of requests and jobs.
            backend: Client::from(self.with_alerts(self.config("amply-backend", &self.dsns.backend)).build()?),
        })
    }

    fn config(&self, project: &str, dsn: &Option<String>) -> ConfigBuilder {
        let mut config = Config::builder()
            .preset(self.environment)
            .release(format!("{project}@{VERSION}"))
            .client_name(project)
            .send_default_pii(false)
            .redaction(Redaction::default().placeholder("[REDACTED]"))
            .trace_propagation_targets(TARGETS);
        if let Some(dsn) = self.sent_to(dsn) {
            config = config.dsn(dsn);
        }
        if let Some(url) = &self.spotlight {
            config = config.spotlight(url);
        }
        config
    }

    /// What is recorded in development stays on the machine.
    fn sent_to<'a>(&self, dsn: &'a Option<String>) -> Option<&'a String> {
        dsn.as_ref().filter(|_| self.environment != Preset::Development)
    }

    /// The rules are checked in this process, so they need no server.
    fn with_alerts(&self, config: ConfigBuilder) -> ConfigBuilder {
        let to = |channel: &'static str| {
            let alerts = self.alerts.clone();
            move |alert: Alert| match alerts.try_send(format!("{channel}: {alert}")) {
                Err(TrySendError::Full(alert)) => eprintln!("too many alerts wait, so this one is lost: {alert}"),
                // The receiver is away at the end of the process only.
                Ok(()) | Err(TrySendError::Closed(_)) => {}
            }
        };
        config
            .on_alert(AlertRule::new_issue(), to("Slack #amply-alerts"))
            .on_alert(AlertRule::errors_above(100), to("Slack #amply-alerts and e-mail"))
            .on_alert(AlertRule::each_error().environment("production").tag("domain", "payment"), to("PagerDuty"))
            .on_alert(AlertRule::percentile_above(0.95, Duration::from_secs(2)), to("Slack #amply-alerts"))
    }

    /// `None` if nothing is sent: then the pages have no script of Sentry.
    pub fn browser(&self) -> Result<Option<BrowserSettings>, Error> {
        let Some(dsn) = self.sent_to(&self.dsns.dashboard) else { return Ok(None) };
        // `mask_all_text` and `block_all_media` are on by default; they are here because people depend on them.
        let snippet = Browser::new(dsn)
            .script("/static/sentry.js")
            .tunnel("/t")
            .replay_session_sample_rate(0.1)
            .replay_on_error_sample_rate(1.0)
            .mask_all_text(true)
            .block_all_media(true)
            .trace_propagation_targets(TARGETS)
            .build()?;
        Ok(Some(BrowserSettings { dsn: dsn.clone(), snippet }))
    }
}
