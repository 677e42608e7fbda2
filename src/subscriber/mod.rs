//! `tracing` in: spans of the current request's transaction, and events as its breadcrumbs.
//!
//! # When a span is recorded
//!
//! When it is made inside a request that is recorded, at the layer's level (INFO) or above. Its parent is the span that is
//! active there; a span whose parent is not recorded hangs below the nearest one that is, else below the request itself.
//!
//! # When it ends
//!
//! When `tracing` closes it. What is still open at the end of the request ends with it, as `ok`, or as `cancelled` where the request was.
//!
//! # What this layer does to others
//!
//! Nothing. It never answers "never", "not enabled" or a level hint: from a plain layer those would hold for every other layer too. The
//! reverse does not hold: a global `EnvFilter` above this layer that lets only warnings through starves it of spans.

mod index;
mod layer;
mod visit;

pub use layer::TracingLayer;
