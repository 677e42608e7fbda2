//! The settings of the browser SDK.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::protocol::Dsn;
use crate::sampling::rate_fault;

/// The settings of Sentry's browser SDK that are the same in all pages.
///
/// Make it once, at the start, and pass it to [`Scope::page_snippet`](crate::Scope::page_snippet) in each
/// page. If the release, the environment or the sample rate of traces is not set here, it is that of the
/// client of the request.
///
/// # Examples
///
/// ```
/// use tower_sentry::html::Browser;
///
/// let browser = Browser::new("https://0123456789abcdef0123456789abcdef@sentry.example/43")
///     .script("/static/sentry.min.js")
///     .tunnel("/t")
///     .replay_on_error_sample_rate(1.0)
///     .from_env()
///     .build()?;
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it has no effect until `Scope::page_snippet` gets it"]
pub struct Browser {
    /// `None` if there is an error.
    pub(super) dsn: Option<Dsn>,
    pub(super) tunnel: Option<String>,
    pub(super) script: Option<String>,
    pub(super) integrity: Option<String>,
    pub(super) release: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) traces_sample_rate: Option<f64>,
    pub(super) replay_session_sample_rate: Option<f64>,
    pub(super) replay_on_error_sample_rate: Option<f64>,
    pub(super) mask_all_text: bool,
    pub(super) block_all_media: bool,
    pub(super) trace_propagation_targets: Vec<String>,
    pub(super) tags: BTreeMap<String, String>,
    reads_environment: bool,
    error: Option<Error>,
}

impl Browser {
    /// Begins with the DSN of the browser's project. It may be that of the server.
    ///
    /// A legacy secret in it is never written into a page. An invalid DSN is an error of
    /// [`build`](Self::build).
    pub fn new(dsn: impl AsRef<str>) -> Self {
        let parsed = dsn.as_ref().parse::<Dsn>().map_err(|invalid| Error::dsn(format!("dsn of the browser: {invalid}")));
        let (dsn, error) = match parsed {
            Ok(dsn) => (Some(dsn), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            dsn,
            tunnel: None,
            script: None,
            integrity: None,
            release: None,
            environment: None,
            traces_sample_rate: None,
            replay_session_sample_rate: None,
            replay_on_error_sample_rate: None,
            mask_all_text: true,
            block_all_media: true,
            trace_propagation_targets: Vec::new(),
            tags: BTreeMap::new(),
            reads_environment: false,
            error,
        }
    }

    /// Sends everything to this path of your own service, such as `/t`, where
    /// [`browser::routes`](crate::browser::routes) passes it on.
    ///
    /// Defaults to none: the browser sends to the server of the DSN.
    pub fn tunnel(mut self, path: impl Into<String>) -> Self {
        self.tunnel = Some(path.into());
        self
    }

    /// Loads the SDK from this URL: a bundle of `@sentry/browser` that defines `window.Sentry`.
    ///
    /// For replays it must be a bundle that has them. Defaults to none: the page loads the SDK itself,
    /// before the snippet.
    pub fn script(mut self, url: impl Into<String>) -> Self {
        self.script = Some(url.into());
        self
    }

    /// Sets the hash that the bundle must have (`sha384-…`), if it comes from another host. Defaults to none.
    pub fn integrity(mut self, hash: impl Into<String>) -> Self {
        self.integrity = Some(hash.into());
        self
    }

    /// Sets the release of the page. Defaults to that of the client.
    pub fn release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// Sets the environment of the page. Defaults to that of the client.
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Sets the share of page loads that are traced, from `0.0` to `1.0`.
    ///
    /// A page that continues the trace of its request follows the decision of the server. Defaults to
    /// the rate with which the client started.
    pub fn traces_sample_rate(mut self, rate: f64) -> Self {
        self.traces_sample_rate = self.checked("traces_sample_rate", rate);
        self
    }

    /// Sets the share of sessions that are recorded as replays from their start, from `0.0` to `1.0`.
    ///
    /// Defaults to `0.0`, or to `SENTRY_REPLAY_SESSION_SAMPLE_RATE` with [`from_env`](Self::from_env).
    pub fn replay_session_sample_rate(mut self, rate: f64) -> Self {
        self.replay_session_sample_rate = self.checked("replay_session_sample_rate", rate);
        self
    }

    /// Sets the share of the other sessions that are recorded once an error occurs, from `0.0` to `1.0`.
    ///
    /// Defaults to `0.0`.
    pub fn replay_on_error_sample_rate(mut self, rate: f64) -> Self {
        self.replay_on_error_sample_rate = self.checked("replay_on_error_sample_rate", rate);
        self
    }

    /// Sets whether replays show stars in place of all texts. Defaults to `true`.
    pub fn mask_all_text(mut self, on: bool) -> Self {
        self.mask_all_text = on;
        self
    }

    /// Sets whether replays show boxes in place of images and videos. Defaults to `true`.
    pub fn block_all_media(mut self, on: bool) -> Self {
        self.block_all_media = on;
        self
    }

    /// Sets the URLs to which the browser sends trace headers. A part of a URL is enough.
    ///
    /// Defaults to the SDK's default, which is the page's own origin.
    pub fn trace_propagation_targets<T: Into<String>>(mut self, targets: impl IntoIterator<Item = T>) -> Self {
        self.trace_propagation_targets = targets.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a tag to everything that the browser reports. Defaults to none.
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(name.into(), value.into());
        self
    }

    /// Reads `SENTRY_REPLAY_SESSION_SAMPLE_RATE`. A rate that is set in the code wins, whatever the order of
    /// the calls.
    pub fn from_env(mut self) -> Self {
        self.reads_environment = true;
        self
    }

    /// Checks the settings, and reads the environment if asked for.
    ///
    /// # Errors
    ///
    /// Returns an error if the DSN is invalid, or if a rate is outside `0.0..=1.0` or not a number.
    pub fn build(self) -> Result<Self, Error> {
        self.read(|name| std::env::var(name).ok())
    }

    fn read(mut self, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        const NAME: &str = "SENTRY_REPLAY_SESSION_SAMPLE_RATE";
        let given = variable(NAME).filter(|text| self.reads_environment && !text.trim().is_empty());
        if let Some(text) = given.filter(|_| self.replay_session_sample_rate.is_none()) {
            match text.trim().parse() {
                Ok(rate) => self.replay_session_sample_rate = self.checked(NAME, rate),
                Err(_) => self.keep(Error::setting(format!("{NAME}: expected a number from 0.0 to 1.0, found another text"))),
            }
        }
        self.error.take().map_or(Ok(self), Err)
    }

    /// Returns a rate that is valid.
    fn checked(&mut self, name: &str, rate: f64) -> Option<f64> {
        let Some(fault) = rate_fault(rate) else { return Some(rate) };
        self.keep(Error::setting(format!("{name}: {fault}")));
        None
    }

    /// Keeps the first error.
    fn keep(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DSN: &str = "https://0123456789abcdef0123456789abcdef@sentry.example/43";

    #[test]
    fn the_environment_sets_the_rate_of_replays_unless_the_code_does() {
        let read = |browser: Browser, text: &str| browser.read(|_| Some(text.to_owned())).map(|read| read.replay_session_sample_rate);
        let in_code = Browser::new(DSN).replay_session_sample_rate(0.5);

        assert_eq!(read(Browser::new(DSN).from_env(), " 0.25 ").ok().flatten(), Some(0.25));
        assert_eq!(read(Browser::new(DSN).from_env(), "  ").ok().flatten(), None);
        assert_eq!(read(Browser::new(DSN), "0.25").ok().flatten(), None, "it was not asked for");
        assert_eq!(read(in_code.from_env(), "0.25").ok().flatten(), Some(0.5));
        for invalid in ["half", "1.5", "-1", "NaN"] {
            let error = read(Browser::new(DSN).from_env(), invalid).unwrap_err();
            assert!(error.is_setting() && error.to_string().starts_with("SENTRY_REPLAY_SESSION_SAMPLE_RATE: expected"), "{error}");
        }
    }

    #[test]
    fn the_first_error_is_kept_and_shows_no_key() {
        let error = Browser::new("https://sentry.example/0123456789abcdef").traces_sample_rate(7.0).build().unwrap_err();

        assert!(error.is_dsn(), "{error}");
        assert!(!error.to_string().contains("0123456789abcdef"), "{error}");
        assert!(Browser::new(DSN).replay_on_error_sample_rate(f64::NAN).build().is_err());
    }
}
