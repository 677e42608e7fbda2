//! Requests out: a span for each, and the trace in its headers for those who are named.
//!
//! [`OutgoingLayer`] fits any tower service of `http::Request`s: hyper-util's client, tower-http's, tonic's channel. For reqwest there is the feature
//! `reqwest` with `send_traced`, and `reqwest-middleware` with a middleware. Who is told of the trace is said by
//! [`trace_propagation_targets`](crate::ConfigBuilder::trace_propagation_targets): by default nobody.

mod layer;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "reqwest-middleware")]
mod reqwest_middleware;
mod span;

#[cfg(feature = "reqwest")]
pub use self::reqwest::SendTraced;
#[cfg(feature = "reqwest-middleware")]
pub use self::reqwest_middleware::TraceMiddleware;
pub use layer::{OutgoingFuture, OutgoingLayer, OutgoingService};
