//! Outgoing requests: a span for each, and trace headers for listed hosts.
//!
//! [`OutgoingLayer`] wraps any tower service of `http::Request`s, such as hyper-util's client,
//! tower-http's, or tonic's channel. For reqwest, the feature `reqwest` adds `send_traced`, and
//! `reqwest-middleware` adds a middleware.
//!
//! No host receives trace headers unless it is listed in
//! [`trace_propagation_targets`](crate::ConfigBuilder::trace_propagation_targets).

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
