//! Settings of alert rules.

use std::sync::Arc;

use super::ConfigBuilder;
use crate::alert::{Alert, AlertRule};

impl ConfigBuilder {
    /// Adds a rule that the service checks itself, and the hook that gets each alert.
    ///
    /// Rules see what is captured, before sampling, limits and hooks leave anything out. They work while
    /// the server is down, and without a DSN: a rule alone switches recording on.
    ///
    /// The hook runs on the exporter's thread. What it captures itself is dropped. Nothing is sent while it
    /// runs, so it must not block: pass the alert to a task or a channel. If it panics, a warning says so.
    /// At most 100 alerts wait for their hooks; a warning says how many more there were.
    ///
    /// Each replica and each client checks its own traffic. A process that is killed may lose its last
    /// alert. Defaults to no rules.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if a rule has a value outside its range, see [`AlertRule`].
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    /// use tower_sentry::alert::AlertRule;
    ///
    /// let (alerts, mut received) = tokio::sync::mpsc::unbounded_channel();
    /// let config = Config::builder().on_alert(AlertRule::errors_above(100), move |alert| {
    ///     // The other end posts it to a chat.
    ///     _ = alerts.send(alert.to_string());
    /// });
    /// # drop(config);
    /// # assert!(received.try_recv().is_err());
    /// ```
    pub fn on_alert(self, rule: AlertRule, hook: impl Fn(Alert) + Send + Sync + 'static) -> Self {
        self.set("on_alert", |settings| settings.hooks.on_alert.push((rule, Arc::new(hook))))
    }
}
