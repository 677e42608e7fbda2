//! Headers of the response that say something about the request.

use std::sync::Arc;

use super::super::rules::Echo;
use super::SentryLayer;

impl<F> SentryLayer<F> {
    /// Returns the trace id to the caller in a response header of this name, such as `x-trace-id`.
    ///
    /// A header of this name that the application has set stays. An invalid name is ignored with a warning.
    /// Defaults to no header.
    pub fn trace_header(mut self, name: impl AsRef<str>) -> Self {
        Arc::make_mut(&mut self.rules).echo.trace = Echo::header(name.as_ref());
        self
    }

    /// Returns the id of the request's first error to the caller in a response header of this name.
    ///
    /// Users can quote it (`x-error-id`, for example) when they report a problem. A header of this
    /// name that the application has set stays. An invalid name is ignored with a warning. Defaults to no
    /// header.
    pub fn event_header(mut self, name: impl AsRef<str>) -> Self {
        Arc::make_mut(&mut self.rules).echo.event = Echo::header(name.as_ref());
        self
    }

    /// Adds the trace to a `Server-Timing` header, from which Sentry's JavaScript SDK continues it. Defaults
    /// to no header.
    pub fn server_timing(mut self) -> Self {
        Arc::make_mut(&mut self.rules).echo.server_timing = true;
        self
    }

    /// Adds durations to a `Server-Timing` header, which the developer tools of browsers show.
    ///
    /// They are the time until the response head, in milliseconds, and that of each kind of work: the
    /// first part of the `op` of spans, such as `auth`, `cache`, `db`, `http` or `middleware`.
    /// `handler` is the time in `#[instrument]` functions without an `op`. Work at the same time counts
    /// once. A [`SpanLayer`](crate::SpanLayer) counts with its own time.
    ///
    /// The header has at most twelve kinds. A field `sentry.op` may contain data, so only its well-known
    /// kinds are used. If two layers of one client are nested, only the outer one adds durations.
    /// [`server_timing`](Self::server_timing) adds the trace.
    ///
    /// Durations are off by default, because every caller can read them: the duration of a check may reveal
    /// more than its answer.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(all(feature = "axum", feature = "test"))]
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use axum::{Router, body::Body, extract::Request, routing::get};
    /// use tower::ServiceExt;
    /// use tower_sentry::SentryLayer;
    ///
    /// let (sentry, _captured) = tower_sentry::test::client();
    /// let show = || tower_sentry::span("db.query", "SELECT name", async { "Jane" });
    /// let app: Router = Router::new().route("/", get(show)).layer(SentryLayer::new(&sentry).server_timing_durations());
    ///
    /// // total;dur=25.4, db;dur=25.1
    /// let response = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    /// assert!(response.headers()["server-timing"].to_str().unwrap().contains(", db;dur="));
    /// # });
    /// ```
    pub fn server_timing_durations(mut self) -> Self {
        Arc::make_mut(&mut self.rules).echo.durations = true;
        self
    }
}
