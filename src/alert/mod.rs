//! Alert rules that the service checks itself, also while no server can be reached.
//!
//! [`ConfigBuilder::on_alert`](crate::ConfigBuilder::on_alert) takes an [`AlertRule`] and a hook. The rules
//! are those of Sentry's own alerts: a new issue, a number of errors, a percentile of the duration, the
//! Apdex.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//! use tower_sentry::Config;
//! use tower_sentry::alert::{Alert, AlertRule};
//!
//! fn slack(alert: Alert) { /* hands it over to a task that posts it */ }
//! fn pager(alert: Alert) { /* the same */ }
//!
//! let config = Config::builder()
//!     .environment("production")
//!     .on_alert(AlertRule::new_issue(), slack)
//!     .on_alert(AlertRule::errors_above(100), slack)
//!     .on_alert(AlertRule::each_error().environment("production").tag("domain", "payment"), pager)
//!     .on_alert(AlertRule::percentile_above(0.95, Duration::from_secs(2)), slack)
//!     .build()?;
//! # Ok::<(), tower_sentry::Error>(())
//! ```
// Everything here is a pure function of its inputs; callers pass clocks.

mod durations;
mod found;
mod issues;
mod rule;
mod watch;

pub use found::Alert;
pub use rule::AlertRule;
pub(crate) use watch::{AlertWatch, Finding, Observed};
