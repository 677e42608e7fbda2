//! Sends the spans of each transaction to an OpenTelemetry collector too. Needs the feature `otlp`.
//!
//! The collector gets the same spans as Sentry, with the same trace ids and span ids, over OTLP/HTTP. See
//! [`guide::otlp`](crate::guide::otlp) for what is sent, and [`ConfigBuilder::otlp`](crate::ConfigBuilder::otlp) to
//! switch it on.
//!
//! # Examples
//!
//! ```
//! use tower_sentry::Config;
//! use tower_sentry::otlp::Otlp;
//!
//! let collector = Otlp::new("http://127.0.0.1:4318").service_name("shop");
//! let config = Config::builder().from_env().otlp(collector).build()?;
//! # Ok::<(), tower_sentry::Error>(())
//! ```

mod answer;
mod attributes;
mod export;
mod names;
mod resource;
mod settings;
mod spans;
mod status;
mod variables;

pub(crate) use answer::rejected;
pub(crate) use export::{Export, body, export};
pub(crate) use resource::ResourceAttributes;
pub use settings::Otlp;
