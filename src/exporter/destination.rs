//! Where envelopes go: a transport, with the address and the headers of its requests.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::SystemTime;

use ::http::Uri;

#[cfg(feature = "otlp")]
use super::gzip::shrink;
use super::gzip::{Gzip, encode};
use super::settings::DeliverySettings;
use crate::redaction::{Redacted, SealedEnvelope};
use crate::transport::{Console, Endpoint, EnvelopeRequest, Http, HttpSettings, Transport, TransportError, TransportResponse};
use crate::{diagnostics, unwind};

/// How an attempt to send ended; `None` if the transport panicked.
pub(super) type Answer = Option<Result<TransportResponse, TransportError>>;

/// A receiver of envelopes.
pub(super) struct Destination {
    transport: Arc<dyn Transport>,
    endpoint: Endpoint,
}

impl Destination {
    pub(super) fn new(transport: Arc<dyn Transport>, endpoint: Endpoint) -> Self {
        Self { transport, endpoint }
    }

    /// Makes the request for one attempt. Only redacted envelopes get here.
    pub(super) fn request(&self, gzip: &mut Gzip, envelope: &mut Redacted<SealedEnvelope>) -> EnvelopeRequest {
        let now = SystemTime::now();
        // The transport may be the user's, and may panic.
        let accepts_gzip = unwind::catch(|| self.transport.accepts_gzip()).unwrap_or(false);
        let (body, is_compressed) = if accepts_gzip { encode(gzip, envelope, now) } else { (envelope.bytes_at(now).to_vec(), false) };
        self.endpoint.request(body, is_compressed)
    }

    /// Makes the request for one attempt with a body that is not an envelope.
    #[cfg(feature = "otlp")]
    pub(super) fn message(&self, gzip: &mut Gzip, body: &Redacted<Vec<u8>>) -> EnvelopeRequest {
        let (body, is_compressed) = if self.transport.accepts_gzip() { shrink(gzip, body.bytes()) } else { (body.bytes().to_vec(), false) };
        self.endpoint.request(body, is_compressed)
    }

    /// Returns a future that sends the request. The transport may be the user's, and may panic.
    pub(super) fn send(&self, request: EnvelopeRequest) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let transport = Arc::clone(&self.transport);
        Box::pin(async move {
            let mut sending = unwind::catch(|| transport.send(request))?;
            let guarded = poll_fn(|cx| unwind::catch(|| sending.as_mut().poll(cx)).map_or(Poll::Ready(None), |poll| poll.map(Some)));
            guarded.await
        })
    }
}

/// Sets up HTTP to a server, or warns that this is not possible: `what` is the consequence.
pub(super) fn http(url: &Uri, settings: &HttpSettings, what: &str) -> Option<Arc<Http>> {
    match Http::new(url, settings) {
        Ok(http) => {
            // Slow, so do it before there is something to send. A failure is not final.
            if let Err(error) = http.prepare() {
                diagnostics::warn(&format!("{what} for now: {error:#}"));
            }
            Some(Arc::new(http))
        }
        Err(error) => {
            diagnostics::warn(&format!("{what}: {error:#}"));
            None
        }
    }
}

/// All receivers of envelopes.
pub(super) struct Destinations {
    /// The project's server or what replaces it.
    pub(super) server: Option<Destination>,
    /// Gets copies.
    pub(super) spotlight: Option<Destination>,
    /// Gets copies.
    pub(super) console: Option<Destination>,
    /// There is no project, so Spotlight takes the server's place: its answers are awaited and
    /// counted.
    pub(super) is_alone: bool,
}

impl Destinations {
    pub(super) fn of(settings: &DeliverySettings) -> Self {
        let of_project = settings.dsn.as_ref().map(Endpoint::of_project);
        let server = match (&settings.transport, &settings.dsn, of_project) {
            (Some(own), _, endpoint) => Some(Destination::new(Arc::clone(own), endpoint.unwrap_or_else(|| Endpoint::new(None)))),
            (None, Some(dsn), Some(endpoint)) => {
                http(dsn.envelope_url(), &settings.http, "nothing can be sent").map(|http| Destination::new(http, endpoint))
            }
            _ => None,
        };
        let is_alone = settings.dsn.is_none() && settings.transport.is_none();
        let what = if is_alone { "nothing can be sent" } else { "Spotlight gets nothing" };
        let spotlight = settings.spotlight.as_ref().and_then(|url| {
            let http = http(url, &settings.http, what)?;
            Some(Destination::new(http, Endpoint::new(Some(url.clone()))))
        });
        let (server, spotlight) = if is_alone { (spotlight, None) } else { (server, spotlight) };
        let console = settings.console.map(|form| Destination::new(Arc::new(Console::new(form)), Endpoint::new(None)));
        Self { server, spotlight, console, is_alone }
    }
}
