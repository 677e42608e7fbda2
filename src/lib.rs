//! Monitoring for tower and axum services over Sentry's envelope protocol.
//!
//! It works with sentry.io, self-hosted Sentry, `GlitchTip`, Bugsink and Spotlight.
//!
//! Add one layer to the router to record every request. Secrets are redacted before data leaves the
//! process, and dropped data is counted. The official SDK's integration is `sentry-tower`; this
//! crate is an independent implementation.
//!
//! # Quick start
//!
//! ```no_run
//! # #[cfg(feature = "axum")]
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use axum::{Router, routing::get};
//! use tower_sentry::{Config, SentryLayer, TracingLayer};
//! use tracing_subscriber::prelude::*;
//!
//! let sentry = Config::builder().from_env().release(tower_sentry::release!()).init()?;
//! tracing_subscriber::registry().with(tracing_subscriber::fmt::layer()).with(TracingLayer::new(&sentry)).init();
//!
//! let app = Router::new()
//!     .route("/users/{id}", get(|| async { "Jane" }))
//!     .layer(SentryLayer::new(&sentry).ignore(["/healthz"]));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, app).await?;
//! // A Sentry server that is down must not fail the service.
//! let _ = sentry.shutdown(Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! ```
//!
//! Without `SENTRY_DSN`, and without a local destination, everything is a no-op.
//! [`console(true)`](ConfigBuilder::console) is one: it prints the recorded data to standard output, with or
//! without a DSN.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `axum` | yes | route names, [`Scope`] as an extractor, [`CaptureError`] as a response part, `SentryLayer::boxed_body` |
//! | `reqwest` | yes | sends over HTTP; [`send_traced`](outgoing) for your own requests. Without it, a DSN needs your own [`transport`] |
//! | `rustls` | yes | DSNs with `https://` |
//! | `anyhow`, `eyre` | no | `From` for [`CaptureError`], with the error's own stack trace; `capture_anyhow`, `capture_eyre` |
//! | `debug-routes` | no | routes that fail on purpose, to test that errors arrive; not in production |
//! | `browser` | no | routes for Sentry's browser SDK: a tunnel and feedback; the snippet that sets it up in a page, see [`guide::browser`] |
//! | `metrics` | no | [`metrics`]`::MetricsRecorder`: sends the metrics of the `metrics` crate |
//! | `otlp` | no | `ConfigBuilder::otlp`: sends the same spans to an OpenTelemetry collector, see [`guide::otlp`] |
//! | `profiling` | no | profiles: which functions use the processor in sampled transactions, see [`guide::profiling`]; Linux and macOS |
//! | `reqwest-middleware` | no | the same as `send_traced`, as a middleware, see [`outgoing`] |
//! | `signal` | no | `ConfigBuilder::reload_on_sighup`: a SIGHUP makes the process read its settings file |
//! | `test` | no | a test kit: records what a service would send, without a network |
//!
//! # Data flow
//!
//! The modules are listed from the edges, where data comes in, down to the protocol. [`guide`]
//! explains this in detail.

// Shows which feature an item needs. Only docs.rs sets this flag: the feature needs nightly.
#![cfg_attr(docsrs, feature(doc_cfg))]

// In the order of the data flow, from the edges to the wire.
#[cfg(feature = "debug-routes")]
pub mod debug_routes;
mod init;
#[cfg(feature = "test")]
pub mod test;

#[cfg(feature = "browser")]
pub mod browser;

pub mod cache;
pub mod html;
pub mod incoming;
pub mod job;
pub mod metrics;
pub mod outgoing;
mod panic_hook;
mod subscriber;

pub mod scope;

mod client;

mod exporter;

#[cfg(feature = "otlp")]
pub mod otlp;
mod payload;
mod spool;
pub mod transport;

mod event;
mod record;

#[cfg(feature = "profiling")]
mod profiling;

pub mod alert;
pub mod propagation;
pub mod redaction;
pub mod sampling;

mod diagnostics;
mod error;
pub mod protocol;
mod status_codes;

mod unwind;

mod fnv;
mod fork;

pub mod guide;

/// Targets of `tests/fuzz`. They exist only with `--cfg fuzzing`.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;

pub use client::{Client, Config, ConfigBuilder, Preset};
pub use error::{Error, FlushError};
pub use event::Hint;
pub use exporter::{Counts, Health, Stats};
pub use incoming::{CaptureError, SentryLayer, SpanLayer};
pub use init::Guard;
#[cfg(feature = "profiling")]
pub use profiling::ProfileLifecycle;
pub use protocol::{Breadcrumb, EventId, Level, User};
pub use sampling::TrustParent;
#[cfg(feature = "anyhow")]
pub use scope::capture_anyhow;
#[cfg(feature = "eyre")]
pub use scope::capture_eyre;
pub use scope::{ResultExt, Scope, capture_error, capture_event, capture_message, span, span_sync};
pub use subscriber::{EventFilter, TracingLayer};

/// The calling crate's name and version as a release, `name@version`, read at compile time.
///
/// # Examples
///
/// ```
/// let config = tower_sentry::Config::builder().release(tower_sentry::release!());
/// ```
#[macro_export]
macro_rules! release {
    () => {
        concat!(env!("CARGO_PKG_NAME"), "@", env!("CARGO_PKG_VERSION"))
    };
}

/// Compiles and runs the code of the README.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
mod readme {}
