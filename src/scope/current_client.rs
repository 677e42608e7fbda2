//! The client of the code that runs now.

use super::current;
use crate::client::{Client, default_client};

impl Client {
    /// The client of the request or job that runs here. Outside of them, the one that
    /// [`init`](crate::ConfigBuilder::init) has started.
    ///
    /// For code that gets no client passed to it, such as a library that builds its own router. It is off
    /// if there is none yet: call `init` before.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "axum")]
    /// # mod library {
    /// use axum::{Router, routing::get};
    /// use tower_sentry::{Client, SentryLayer};
    ///
    /// /// A library's router. It is monitored if the application is.
    /// pub fn router() -> Router {
    ///     Router::new().route("/", get(|| async { "hello" })).layer(SentryLayer::new(Client::current()))
    /// }
    /// # }
    /// ```
    pub fn current() -> Self {
        current::with(|entered| entered.scope.client.clone()).unwrap_or_else(default_client)
    }
}
