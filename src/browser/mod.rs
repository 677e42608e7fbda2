//! Routes for Sentry's browser SDK: a tunnel, and an endpoint for feedback.
//!
//! Ad blockers keep many browsers from reaching Sentry's hosts. The tunnel receives the envelopes of
//! `@sentry/browser` at a path of your own service, and forwards them to the projects that are listed.
//! The endpoint for feedback receives a form, with a screenshot, and links it to an error.
//!
//! [`routes`] makes both, for an axum router. The snippet that sets up the SDK in a page is in
//! [`html`](crate::html). The guide's page on the [browser](crate::guide::browser) shows them together.

mod cross_origin;
mod entrance;
mod envelope;
mod feedback;
mod inflate;
mod limits;
mod passage;
mod projects;
mod redact;
mod refusal;
mod routes;
mod settings;
mod stream;
mod tunnel;

pub use routes::{BrowserRoutes, routes};
