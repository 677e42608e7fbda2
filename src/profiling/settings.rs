//! Settings of profiles.

use std::fmt;

/// When the profile of a session runs.
///
/// # Examples
///
/// ```
/// use tower_sentry::{Config, ProfileLifecycle};
///
/// let config = Config::builder().profile_session_sample_rate(0.1).profile_lifecycle(ProfileLifecycle::Trace).build()?;
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProfileLifecycle {
    /// From [`start_profiler`](crate::Client::start_profiler) to [`stop_profiler`](crate::Client::stop_profiler).
    #[default]
    Manual,
    /// While a sampled transaction runs.
    Trace,
}

impl fmt::Display for ProfileLifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manual => "manual",
            Self::Trace => "trace",
        })
    }
}

/// What is profiled: transactions, or sessions, and never both.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ProfilingSettings {
    /// The share of the sampled transactions.
    pub(crate) profiles_sample_rate: Option<f64>,
    /// The share of the runs of the process.
    pub(crate) profile_session_sample_rate: f64,
    pub(crate) profile_lifecycle: ProfileLifecycle,
}

impl ProfilingSettings {
    /// Whether transactions may be profiled.
    pub(crate) fn has_transactions(self) -> bool {
        self.profiles_sample_rate.is_some_and(|rate| rate > 0.0)
    }

    /// Whether the session may be profiled.
    pub(crate) fn has_sessions(self) -> bool {
        self.profiles_sample_rate.is_none() && self.profile_session_sample_rate > 0.0
    }
}
