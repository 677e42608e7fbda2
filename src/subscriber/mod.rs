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
//! # Which events are captured
//!
//! Those of level ERROR are breadcrumbs and events of their own: with the chain of an error in a field that is recorded as one
//! (`error = &error as &dyn Error`), else with the message. The same failure logged, captured and returned is one event, under the id it had
//! first. What tower-http's `TraceLayer` and
//! `CatchPanicLayer` log is a breadcrumb only: the layer sees the response itself, and the panic hook the panic.
//! Outside of any request an event goes out with the process-wide tags. [`error_events(false)`](TracingLayer::error_events) turns this off.
//!
//! # What this layer does to others
//!
//! Nothing. It never answers "never", "not enabled" or a level hint: from a plain layer those would hold for every other layer too. The
//! reverse does not hold: a global `EnvFilter` above this layer that lets only warnings through starves it of spans.

mod database;
mod failure;
mod index;
mod layer;
mod visit;

pub use layer::TracingLayer;
