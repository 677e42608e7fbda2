//! Options per route.

use std::sync::Arc;

use crate::status_codes::StatusCodes;

/// Options of one route.
///
/// # Examples
///
/// ```
/// use tower_sentry::incoming::RouteOptions;
///
/// let always = RouteOptions::new().sample_rate(1.0);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "options do nothing until they are given to `SentryLayer::route`"]
pub struct RouteOptions {
    pub(crate) sample_rate: Option<f64>,
    pub(crate) is_ignored: bool,
    pub(crate) ignores_errors: bool,
    pub(crate) is_sensitive: bool,
    pub(crate) failed_status_codes: Option<Arc<StatusCodes>>,
    pub(super) origin: RowOrigin,
}

/// When a row of options was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RowOrigin {
    /// By a layer, or by the configuration.
    #[default]
    Configured,
    /// While the process runs. It wins over an equal row of a layer.
    Live,
}

impl RouteOptions {
    /// Creates options that change nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the share of this route's transactions to send, from `0.0` to `1.0`.
    ///
    /// It replaces a parent's sampling decision.
    ///
    /// With `0.0` no transaction is sent, even if the request fails. Errors are still sent. A number
    /// outside the range is ignored, with a warning from
    /// [`SentryLayer::route`](crate::SentryLayer::route). Defaults to the client's rate.
    pub fn sample_rate(mut self, rate: f64) -> Self {
        self.sample_rate = Some(rate);
        self
    }

    /// Sets which status codes count as a failure of the service on this route.
    ///
    /// Numbers outside 100 to 999 are ignored, with a warning from
    /// [`SentryLayer::route`](crate::SentryLayer::route). Defaults to the layer's.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::incoming::StatusCodes;
    /// use tower_sentry::incoming::RouteOptions;
    ///
    /// // Only our own links lead to this route, so a 404 is our failure.
    /// let strict = RouteOptions::new().failed_status_codes(StatusCodes::from(500..=599).with(404));
    /// ```
    pub fn failed_status_codes(mut self, codes: impl Into<StatusCodes>) -> Self {
        self.failed_status_codes = Some(Arc::new(codes.into()));
        self
    }

    /// Records no transaction for this route, sends no logs, and does not count it for release health.
    ///
    /// Panics and captured errors are still reported, with the method, the route and the URL. A failed
    /// status alone is not reported. See [`ignore_errors`](Self::ignore_errors).
    pub fn ignore(mut self) -> Self {
        self.is_ignored = true;
        self
    }

    /// Does not report errors and panics of this route either, if it is [ignored](Self::ignore).
    ///
    /// They are not counted as dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::incoming::RouteOptions;
    ///
    /// let silent = RouteOptions::new().ignore().ignore_errors();
    /// ```
    pub fn ignore_errors(mut self) -> Self {
        self.ignores_errors = true;
        self
    }

    /// Sends only values of this route's requests that come from the program's code.
    ///
    /// Use it where each value is a secret or about a person, whatever its name: `/patients/{id}`.
    ///
    /// These are sent: the method, the route and the status, ids and times, the types, frames and places of
    /// errors, and the kinds of spans. URL, query, headers, address, user, tags, contexts, breadcrumbs,
    /// attachments, and all texts and fields of spans and errors stay in the process. `before_send` does not
    /// see them either.
    ///
    /// Logs of such a request are neither sent nor counted. The
    /// [security log](crate::ConfigBuilder::security_log) has them. Feedback is still sent.
    ///
    /// A request is sensitive too if a request inside it is. If spans are
    /// [streamed](crate::ConfigBuilder::trace_lifecycle), this does not apply to the parts of the outer request
    /// that were sent before.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::incoming::RouteOptions;
    ///
    /// let patients = RouteOptions::new().sensitive();
    /// ```
    pub fn sensitive(mut self) -> Self {
        self.is_sensitive = true;
        self
    }

    /// These options, if a less specific row applies too. Of the other row, only `sensitive` counts.
    pub(super) fn before(&self, other: &Self) -> Self {
        Self { is_sensitive: self.is_sensitive || other.is_sensitive, ..self.clone() }
    }

    /// The options of two rows for one route. Those of `self` count where only one value can.
    pub(super) fn merged(&self, other: &Self) -> Self {
        Self {
            sample_rate: self.sample_rate.or(other.sample_rate),
            is_ignored: self.is_ignored || other.is_ignored,
            ignores_errors: self.ignores_errors || other.ignores_errors,
            is_sensitive: self.is_sensitive || other.is_sensitive,
            failed_status_codes: self.failed_status_codes.clone().or_else(|| other.failed_status_codes.clone()),
            origin: self.origin,
        }
    }
}
