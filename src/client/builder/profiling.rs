//! Settings of profiles.

use super::ConfigBuilder;
use crate::profiling::ProfileLifecycle;

impl ConfigBuilder {
    /// The share of sampled transactions that get a profile, from `0.0` to `1.0`: which functions used the processor.
    ///
    /// It is a share of those that [`traces_sample_rate`](Self::traces_sample_rate) and its neighbours choose when the
    /// request begins: with 0.1 for both, one request in a hundred has a profile. A transaction that is
    /// only [kept](Self::keep_failed) because it failed or was slow has none. `SENTRY_PROFILES_SAMPLE_RATE` sets it as well.
    /// Above 0, a thread of the process takes samples while such transactions run, and the process needs some 90 MB
    /// more memory: see the [guide](crate::guide::profiling) for the costs and the limits. On other systems than Linux and macOS, and
    /// other processors than `x86_64` and `aarch64`, no profiles are taken, and a warning says so. Defaults to none.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if `rate` is outside `0.0..=1.0` or not a number.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// let config = Config::builder().traces_sample_rate(0.1).profiles_sample_rate(0.1).build()?;
    /// assert!(config.to_string().contains("profiles_sample_rate     0.1 "));
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn profiles_sample_rate(self, rate: f64) -> Self {
        self.set("profiles_sample_rate", |settings| settings.profiling.profiles_sample_rate = Some(rate))
    }

    /// The share of runs of the process whose session is profiled, from `0.0` to `1.0`.
    ///
    /// Chance decides once, when the process starts. The profile has all threads, and is sent in chunks of at most 20 seconds;
    /// [`profile_lifecycle`](Self::profile_lifecycle) says when it runs. `SENTRY_PROFILE_SESSION_SAMPLE_RATE` sets it as well.
    /// It has no effect beside [`profiles_sample_rate`](Self::profiles_sample_rate), and a warning says so. The costs are the same. Defaults to `0.0`.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if `rate` is outside `0.0..=1.0` or not a number.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::{Config, ProfileLifecycle};
    ///
    /// let config = Config::builder().profile_session_sample_rate(0.1).profile_lifecycle(ProfileLifecycle::Trace).build()?;
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn profile_session_sample_rate(self, rate: f64) -> Self {
        self.set("profile_session_sample_rate", |settings| settings.profiling.profile_session_sample_rate = rate)
    }

    /// When the profile of a session runs. Defaults to [`ProfileLifecycle::Manual`].
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::{Config, ProfileLifecycle};
    ///
    /// let config = Config::builder().profile_session_sample_rate(1.0).profile_lifecycle(ProfileLifecycle::Manual).build()?;
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn profile_lifecycle(self, lifecycle: ProfileLifecycle) -> Self {
        self.set("profile_lifecycle", |settings| settings.profiling.profile_lifecycle = lifecycle)
    }
}
