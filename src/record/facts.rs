//! Facts about a trace, a request and its response: rows of fixed size, with texts in the arena.

use std::net::IpAddr;

use http::Version;

use super::{Moment, Slice};
use crate::protocol::{SpanId, TraceId};

/// The ids of a request's trace and the sampling decision.
#[derive(Clone, Debug)]
pub(crate) struct TraceFacts {
    pub(crate) trace_id: TraceId,
    pub(crate) root: SpanId,
    pub(crate) parent: Option<SpanId>,
    /// The decision that is propagated to other services.
    pub(crate) sampled: bool,
    pub(crate) sample_rate: f64,
    /// In millionths.
    pub(crate) sample_rand: u32,
    /// Sentry's members of the baggage: as received, or as first sent.
    ///
    /// They never change after that.
    pub(crate) baggage: String,
    /// Members of the baggage were not read, or not passed on: there were too many.
    pub(crate) is_baggage_cut: bool,
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
            is_baggage_cut: false,
        }
    }
}

/// Facts about a request; the texts are in the arena.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestFacts {
    pub(crate) method: Slice,
    pub(crate) scheme: Slice,
    pub(crate) host: Slice,
    pub(crate) path: Slice,
    pub(crate) query: Option<Slice>,
    pub(crate) version: Option<Version>,
    /// The client's address; recorded only while PII is on.
    pub(crate) client: Option<IpAddr>,
    pub(super) headers: Slice,
    /// Only ids, times, types, the route and the status may leave.
    pub(crate) is_sensitive: bool,
}

/// The lengths of a header's name and value.
///
/// They are kept apart from the bytes, so that all headers together are nearly always valid text.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeaderLengths {
    pub(super) name: u8,
    /// `None` if the value was withheld.
    pub(super) value: Option<u16>,
}

/// Facts about a response.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ResponseFacts {
    pub(crate) status: Option<u16>,
    /// The gRPC status code from the headers or the trailers.
    pub(crate) grpc_status: Option<u8>,
    /// Bytes of the body that were passed on.
    pub(crate) body_bytes: u64,
    /// Frames of the body that were passed on.
    pub(crate) frames: u32,
    /// When the first frame was passed on.
    pub(crate) first_byte: Moment,
    /// Where the client disconnected: `before_headers` or `in_body`.
    pub(crate) cancelled: Option<&'static str>,
    /// Polls of the handler until the response headers: their number, total time and longest time.
    pub(crate) polls: Polls,
    /// A body of unknown length was dropped before it was read.
    pub(crate) is_unread: bool,
    /// The transaction ended while the body was still streaming.
    pub(crate) is_cut: bool,
}

/// Poll statistics of a future.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Polls {
    pub(crate) count: u32,
    /// Total time in microseconds, as the next field; `u32` holds more than an hour.
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
