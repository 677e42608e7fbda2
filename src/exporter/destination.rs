//! Where envelopes go: a transport, with the address and the headers of its requests.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::SystemTime;

use super::gzip::{Gzip, encode};
use crate::redaction::{Redacted, SealedEnvelope};
use crate::transport::{Endpoint, EnvelopeRequest, Transport, TransportError, TransportResponse};
use crate::unwind;

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
