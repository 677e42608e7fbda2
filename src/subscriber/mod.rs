//! The `tracing` layer: spans become spans of the current transaction, and events become
//! breadcrumbs.
//!
//! # When a span is recorded
//!
//! A span is recorded if it is created inside a recorded request, at the layer's level (INFO) or
//! above. Its parent is the active span. If that span is not recorded, the nearest recorded span
//! around it is the parent, or else the request itself.
//!
//! # When it ends
//!
//! A span ends when `tracing` closes it. Spans that are still open at the end of the request end
//! with it. Their status is `ok`, or `cancelled` if the request was cancelled. `tracing` does not say
//! whether the work of a span finished or was dropped; see the guide's page on
//! [spans](crate::guide::spans#how-a-span-ends).
//!
//! `follows_from` records a link of the span.
//!
//! # Which request it belongs to
//!
//! A span belongs to the request of its explicit parent. Without one, it belongs to the request that is
//! current where it is created. Inside the span, that request is current, wherever the span is entered.
//!
//! # Which events are captured
//!
//! Events of level ERROR are recorded as breadcrumbs and also captured as Sentry events.
//! [`TracingLayer::events_from`] and [`TracingLayer::event_filter`] change that. The Sentry
//! event contains the error chain of a field that is recorded as an error, such as
//! `error = &error as &dyn Error`, or else the message. If the same failure is logged, captured and
//! returned, it is one event, under its first id. The guide's page on errors lists the proofs for
//! that.
//!
//! Errors that tower-http's `TraceLayer` and `CatchPanicLayer` log are only breadcrumbs: our layer
//! sees the response itself, and the panic hook sees the panic.
//!
//! Outside any request, a Sentry event has the process-wide tags.
//! [`error_events(false)`](TracingLayer::error_events) turns all captures of `tracing` events off.
//!
//! # How this layer affects other layers
//!
//! By default it does not. It never answers "never", "not enabled" or a level hint: without a
//! per-layer filter, these answers apply to all other layers too. Only
//! [`exclusive`](TracingLayer::exclusive) changes this, for spans.
//!
//! Two layers of this crate in one subscriber would record everything twice. So only the outer one records
//! inside requests, and a warning says so. If the inner one has another client, it still captures events
//! outside any request.
//!
//! Other layers can affect this one. For example, a global `EnvFilter` that allows only warnings
//! disables all spans below that level.

mod database;
mod failure;
mod index;
mod layer;
mod rejection;
mod rules;
mod visit;

pub use layer::TracingLayer;
pub use rules::EventFilter;
