//! What is known of a trace, a request and its response: rows of fixed size, texts in the arena.

use std::net::IpAddr;

use http::Version;

use super::{Moment, Slice};
use crate::protocol::{SpanId, TraceId};

/// What the trace of a request is and what was decided about it.
#[derive(Clone, Debug)]
pub(crate) struct TraceFacts {
    pub(crate) trace_id: TraceId,
    pub(crate) root: SpanId,
    pub(crate) parent: Option<SpanId>,
    /// As other services hear it.
    pub(crate) sampled: bool,
    pub(crate) sample_rate: f64,
    /// Millionths.
    pub(crate) sample_rand: u32,
    /// Sentry's members of the baggage: as they came in, or as they went out first; never changed after that.
    pub(crate) baggage: String,
}

impl Default for TraceFacts {
    fn default() -> Self {
        Self {
            trace_id: TraceId::new(),
            root: SpanId::new(),
            parent: None,
            sampled: false,
            sample_rate: 0.0,
            sample_rand: 0,
            baggage: String::new(),
        }
    }
}

/// What is known of a request, as bytes in the arena.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestFacts {
    pub(crate) method: Slice,
    pub(crate) scheme: Slice,
    pub(crate) host: Slice,
    pub(crate) path: Slice,
    pub(crate) query: Option<Slice>,
    pub(crate) version: Option<Version>,
    /// Whom it comes from. Only while PII is on.
    pub(crate) client: Option<IpAddr>,
    pub(super) headers: Slice,
}

/// What is known of a response.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ResponseFacts {
    pub(crate) status: Option<u16>,
    /// The code of gRPC, out of the head or the trailers.
    pub(crate) grpc_status: Option<u8>,
    /// Bytes of the body that were handed on.
    pub(crate) body_bytes: u64,
    /// Frames of the body that were handed on.
    pub(crate) frames: u32,
    /// When the first frame was handed on.
    pub(crate) first_byte: Moment,
    /// Where the client was lost: `before_headers` or `in_body`.
    pub(crate) cancelled: Option<&'static str>,
    /// How often the work was polled until the head of the response, how long that took in all, and the longest.
    pub(crate) polls: Polls,
    /// The transaction was ended while the body went on.
    pub(crate) is_cut: bool,
}

/// How a future was polled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Polls {
    pub(crate) count: u32,
    /// Microseconds, as the next: an hour has room.
    pub(crate) busy: u32,
    pub(crate) longest: u32,
}

impl Polls {
    pub(crate) fn add(&mut self, nanos: u64) {
        let micros = u32::try_from(nanos / 1_000).unwrap_or(u32::MAX);
        self.count = self.count.saturating_add(1);
        self.busy = self.busy.saturating_add(micros);
        self.longest = self.longest.max(micros);
    }
}

/// How a span of `tracing` was polled. Kept only where somebody asked for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanPolls {
    pub(crate) span: u32,
    pub(crate) polls: Polls,
    /// When it was entered last.
    pub(crate) entered: Moment,
}
