//! How finished envelopes leave the process.
//!
//! A [`Transport`] gets envelopes that are redacted, serialised and usually compressed. It sends
//! each one and returns the server's answer. The exporter does the rest: it queues records, obeys
//! rate limits, retries envelopes without an answer, and counts dropped items.
//!
//! You need this module only for a transport of your own. Pass it to
//! [`ConfigBuilder::transport`](crate::ConfigBuilder::transport).
//!
//! # Examples
//!
//! A transport that refuses everything, for a test:
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use tower_sentry::protocol::DiscardReason;
//! use tower_sentry::transport::{BoxFuture, EnvelopeRequest, Transport, TransportError, TransportResponse};
//! use tower_sentry::{Client, Config, Level};
//!
//! struct TooLarge;
//!
//! impl Transport for TooLarge {
//!     fn send(&self, request: EnvelopeRequest) -> BoxFuture<'_, Result<TransportResponse, TransportError>> {
//!         assert_eq!(request.headers()["content-type"], "application/x-sentry-envelope");
//!         Box::pin(async { Ok(TransportResponse::new(StatusCode::PAYLOAD_TOO_LARGE, HeaderMap::new(), "")) })
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let sentry = Client::from(Config::builder().transport(TooLarge).panic_hook(false).build()?);
//! tower_sentry::capture_message(Level::Error, "noted");
//! sentry.shutdown(std::time::Duration::from_secs(60)).await?;
//!
//! assert_eq!(sentry.stats().errors.dropped, [(DiscardReason::SendError, 1)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod console;
mod function;
#[cfg(feature = "reqwest")]
mod http;
#[cfg(not(feature = "reqwest"))]
#[path = "no_http.rs"]
mod http;
#[cfg(feature = "reqwest")]
mod proxy;
mod request;
mod response;
mod settings;
#[cfg(feature = "rustls")]
mod tls;

use std::pin::Pin;
use std::time::Duration;

pub(crate) use console::{Console, ConsoleForm};
pub(crate) use http::Http;
pub(crate) use request::Endpoint;
pub use request::EnvelopeRequest;
pub use response::{TransportError, TransportResponse};
pub(crate) use settings::HttpSettings;
#[cfg(feature = "rustls")]
pub(crate) use tls::read_certificates;

/// The longest wait, one year: it keeps `Instant::now() + timeout` from overflowing.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A boxed future, as [`Transport::send`] returns it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sends envelopes to a server, or passes them on in another way.
///
/// A function of the type `Fn(&[u8])` is a transport too: it gets each envelope uncompressed, and
/// the envelope counts as sent when the function returns. See the [module](self) for an example.
///
/// At most 64 requests are in flight at once. The exporter drops the future of a request after
/// [`request_timeout`](crate::ConfigBuilder::request_timeout) and then retries the envelope. An
/// envelope whose transport panics is dropped and counted.
///
/// The future runs on the exporter's thread, in a `tokio` runtime with its timer and its I/O
/// enabled. Code that blocks there delays everything else that the exporter does.
pub trait Transport: Send + Sync + 'static {
    /// Sends one envelope and returns the server's answer.
    ///
    /// The exporter acts on the answer:
    ///
    /// | result | the envelope |
    /// |---|---|
    /// | a status from 200 to 299 | is sent |
    /// | 429 | is dropped; `retry-after` and `x-sentry-rate-limits` say for how long others are too |
    /// | another status | is dropped |
    /// | an error | is kept, and sent again; see [`TransportError`] |
    ///
    /// Never return an error if the server has answered: the envelope would arrive twice.
    fn send(&self, request: EnvelopeRequest) -> BoxFuture<'_, Result<TransportResponse, TransportError>>;

    /// Whether bodies may be compressed with gzip.
    ///
    /// Defaults to `true`. Bodies of less than 1 KiB are never compressed.
    fn accepts_gzip(&self) -> bool {
        true
    }
}
