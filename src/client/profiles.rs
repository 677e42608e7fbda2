//! Profiles of a client: their variables, and when they start and stop.

use std::time::Duration;

use super::settings::Settings;
use super::{Client, LiveClient};
#[cfg(feature = "profiling")]
use crate::diagnostics;
use crate::error::Error;
#[cfg(profiles)]
use crate::exporter::Item;
#[cfg(feature = "profiling")]
use crate::profiling::ProfileLifecycle;
#[cfg(profiles)]
use crate::profiling::{self, SessionChunk};
#[cfg(feature = "profiling")]
use crate::protocol::TraceLifecycle;
#[cfg(profiles)]
use crate::protocol::{Category, DiscardReason};
#[cfg(feature = "profiling")]
use crate::sampling::rate_fault;

/// A value from the environment, with the name of its variable.
type Rate = Option<(&'static str, f64)>;

impl Settings {
    /// Chooses the shares, and warns of what has no effect.
    #[cfg(feature = "profiling")]
    pub(super) fn choose_profiles(&mut self, of_transactions: Rate, of_sessions: Rate) -> Result<(), Error> {
        if let Some(rate) = self.fill("profiles_sample_rate", of_transactions) {
            self.profiling.profiles_sample_rate = Some(rate);
        }
        if let Some(rate) = self.fill("profile_session_sample_rate", of_sessions) {
            self.profiling.profile_session_sample_rate = rate;
        }
        let profiling = self.profiling;
        let of_session = ("profile_session_sample_rate", profiling.profile_session_sample_rate);
        for (name, rate) in profiling.profiles_sample_rate.map(|rate| ("profiles_sample_rate", rate)).into_iter().chain([of_session]) {
            if let Some(fault) = rate_fault(rate) {
                return Err(Error::setting(format!("{name}: {fault}")));
            }
        }
        if profiling.has_transactions() && self.delivery.trace_lifecycle == TraceLifecycle::Stream {
            self.profiling.profiles_sample_rate = None;
            self.warnings.push(
                "profiles_sample_rate has no effect with trace_lifecycle `stream`: such a profile is sent beside a transaction; \
                 profile_session_sample_rate profiles the whole process"
                    .to_owned(),
            );
        }
        let profiling = self.profiling;
        if profiling.profiles_sample_rate.is_some() && profiling.profile_session_sample_rate > 0.0 {
            self.warnings.push("profile_session_sample_rate has no effect: profiles_sample_rate is set".to_owned());
        }
        if cfg!(not(profiles)) && (profiling.has_transactions() || profiling.has_sessions()) {
            self.warnings.push("no profiles are taken: this system or processor has none".to_owned());
        }
        Ok(())
    }

    #[cfg(not(feature = "profiling"))]
    #[expect(clippy::unnecessary_wraps, reason = "with the feature, it may fail")]
    pub(super) fn choose_profiles(&mut self, of_transactions: Rate, of_sessions: Rate) -> Result<(), Error> {
        for (name, _) in [of_transactions, of_sessions].into_iter().flatten().filter(|(_, rate)| *rate > 0.0) {
            self.warnings.push(format!("{name} has no effect: tower-sentry was built without its feature `profiling`"));
        }
        Ok(())
    }
}

impl Client {
    /// Starts what takes profiles, if any are wanted.
    pub(super) fn with_profiler(self) -> Self {
        #[cfg(profiles)]
        if let Some(profiling) = self.settings().map(|settings| settings.profiling) {
            if profiling.has_sessions() {
                let client = self.downgrade();
                profiling::set_up(self.number(), profiling, move |chunk| client.upgrade().submit_chunk(chunk));
            }
            if profiling.has_sessions() || profiling.has_transactions() {
                profiling::start();
            }
        }
        self
    }

    /// Takes the samples of the session before the client closes. Returns the rest of `timeout`.
    #[cfg_attr(not(profiles), expect(clippy::unused_self, reason = "this build has none"))]
    pub(super) fn finish_profiles(&self, timeout: Duration, closes: bool) -> Duration {
        #[cfg(not(profiles))]
        let _ = closes;
        #[cfg(profiles)]
        if closes && self.settings().is_some_and(|settings| settings.profiling.has_sessions()) {
            let begun = std::time::Instant::now();
            profiling::finish(self.number(), timeout);
            return timeout.saturating_sub(begun.elapsed());
        }
        timeout
    }

    /// A number that no other client has, as long as there is a handle to this one, also a weak one.
    #[cfg(profiles)]
    pub(crate) fn number(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| inner.number())
    }

    /// Gives the chunk back if this client was dropped.
    #[cfg(profiles)]
    fn submit_chunk(&self, chunk: SessionChunk) -> Result<(), SessionChunk> {
        if !self.is_enabled() {
            return Err(chunk);
        }
        if chunk.samples.taken.is_empty() {
            self.discard(DiscardReason::InsufficientData, Category::ProfileChunk, 1);
        } else {
            self.submit(Item::ProfileChunk(Box::new(chunk)));
        }
        Ok(())
    }

    /// Starts the profile of the session, with [`ProfileLifecycle::Manual`].
    ///
    /// If chance has decided against this run of the process, this does nothing, and so does a second call. With another
    /// lifecycle, or without a [`profile_session_sample_rate`](crate::ConfigBuilder::profile_session_sample_rate), it is a warning.
    ///
    /// A [shutdown](Self::shutdown), or the drop of a [`Guard`](crate::Guard), stops it too. If the last handle of the client is
    /// dropped without one, the last chunk is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::{Client, Config};
    ///
    /// let config = Config::builder().transport(|_: &[u8]| {}).profile_session_sample_rate(1.0).build()?;
    /// let client = Client::from(config);
    ///
    /// client.start_profiler();
    /// // … what takes long
    /// client.stop_profiler();
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    #[cfg(feature = "profiling")]
    pub fn start_profiler(&self) {
        if self.is_manual("start_profiler") {
            #[cfg(profiles)]
            profiling::start_session(self.number());
        }
    }

    /// Stops the profile of the session. Its last chunk is sent shortly after.
    ///
    /// Another call of [`start_profiler`](Self::start_profiler) starts a new one. If another client has started it as well, it
    /// goes on for that one.
    #[cfg(feature = "profiling")]
    pub fn stop_profiler(&self) {
        if self.is_manual("stop_profiler") {
            #[cfg(profiles)]
            profiling::stop_session(self.number());
        }
    }

    #[cfg(feature = "profiling")]
    fn is_manual(&self, method: &str) -> bool {
        let Some(settings) = self.settings() else { return false };
        let is_manual = settings.profiling.has_sessions() && settings.profiling.profile_lifecycle == ProfileLifecycle::Manual;
        if !is_manual {
            diagnostics::warn(&format!(
                "{method} has no effect: it needs a profile_session_sample_rate above 0, no profiles_sample_rate, and the lifecycle `manual`"
            ));
        }
        is_manual
    }
}

impl LiveClient {
    #[cfg(profiles)]
    fn number(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// The profiler has no chunks for this client any more.
    #[cfg_attr(not(profiles), expect(clippy::unused_self, reason = "this build has none"))]
    pub(super) fn leave_profiler(&self) {
        #[cfg(profiles)]
        if self.settings.profiling.has_sessions() {
            profiling::remove_client(self.number());
        }
    }
}
