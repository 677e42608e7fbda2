//! The settings of a layer, shared by its services.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use super::measured::ActiveRequests;
use crate::diagnostics;
use crate::propagation::Incoming;
use crate::protocol::{EventId, SpanId, TraceId};
use crate::sampling::Routes;
use crate::status_codes::StatusCodes;
use crate::unwind;

/// A user's function that chooses requests.
type Choice = Arc<dyn Fn(&RequestHead<'_>) -> bool + Send + Sync>;

/// A user's function that names requests.
type Namer = Arc<dyn Fn(&RequestHead<'_>) -> Option<String> + Send + Sync>;

/// A user's function that knows the trace of requests.
type TraceReader = Arc<dyn Fn(&RequestHead<'_>) -> Option<Incoming> + Send + Sync>;

#[derive(Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub(super) struct Rules {
    pub(super) routes: Routes,
    pub(super) failed_status_codes: Option<Arc<StatusCodes>>,
    pub(super) max_duration: Option<Duration>,
    pub(super) name: Option<Namer>,
    pub(super) ignores: Option<Choice>,
    pub(super) trace: Option<TraceReader>,
    pub(super) names_by_handler: bool,
    pub(super) log_span: bool,
    /// The requests that are being served, if the layer sends metrics.
    pub(super) active_requests: Option<ActiveRequests>,
    /// Whether errors of failed responses are written to the local log too.
    pub(super) logs_errors: bool,
    /// Whether errors of ignored routes are ignored too.
    pub(super) ignores_errors: bool,
    pub(super) echo: Echo,
}

impl Rules {
    /// Whether the user's function ignores a request. If it panics, the request is ignored.
    pub(super) fn ignores<B>(&self, request: &Request<B>) -> bool {
        self.ignores.as_ref().is_some_and(|ignores| unwind::catch(|| ignores(&RequestHead::of(request))).unwrap_or(true))
    }

    /// The trace that the user's function knows of. None if it panics.
    #[inline]
    pub(super) fn trace<B>(&self, request: &Request<B>) -> Option<Incoming> {
        let trace = self.trace.as_ref()?;
        unwind::catch(|| trace(&RequestHead::of(request))).flatten()
    }

    /// How long a transaction waits for the end of the body.
    pub(super) fn max_duration(&self) -> Duration {
        self.max_duration.unwrap_or(Duration::from_secs(15 * 60))
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("routes", &self.routes).field("echo", &self.echo).finish_non_exhaustive()
    }
}

/// The head of a request, for functions such as those of [`SentryLayer::name`](crate::SentryLayer::name),
/// [`ignore_if`](crate::SentryLayer::ignore_if) and [`trace_from`](crate::SentryLayer::trace_from).
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
}

impl<'a> RequestHead<'a> {
    pub(super) fn of<B>(request: &'a Request<B>) -> Self {
        Self { method: request.method(), uri: request.uri(), headers: request.headers(), extensions: request.extensions() }
    }

    /// The method.
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// The request target. Inside a nested router, the prefix is removed.
    pub fn uri(&self) -> &'a Uri {
        self.uri
    }

    /// The headers.
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// The request's extensions, set by outer layers and the server.
    pub fn extensions(&self) -> &'a Extensions {
        self.extensions
    }
}

/// The ids that a response returns to its caller.
#[derive(Clone, Debug, Default)]
pub(super) struct Echo {
    pub(super) trace: Option<HeaderName>,
    pub(super) event: Option<HeaderName>,
    pub(super) server_timing: bool,
    /// Whether `Server-Timing` has durations as well.
    pub(super) durations: bool,
}

impl Echo {
    /// Parses the name of a header; logs a warning if it is invalid.
    pub(super) fn header(name: &str) -> Option<HeaderName> {
        let parsed = name.parse().ok();
        if parsed.is_none() {
            diagnostics::warn(&format!("'{name}' is not a valid header name; the response does not get it"));
        }
        parsed
    }

    pub(super) fn is_silent(&self) -> bool {
        self.trace.is_none() && self.event.is_none() && !self.server_timing && !self.durations
    }

    /// Adds the ids to the response head.
    ///
    /// `Server-Timing` is appended. Any other header is kept if the application has set it.
    pub(super) fn write(&self, trace: TraceId, root: SpanId, sampled: bool, event: Option<EventId>, headers: &mut HeaderMap) {
        let mut put = |name: &HeaderName, text: String| {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.entry(name).or_insert(value);
            }
        };
        if let Some(name) = &self.trace {
            put(name, trace.to_string());
        }
        if let (Some(name), Some(event)) = (&self.event, event) {
            put(name, event.to_string());
        }
        if self.server_timing {
            append_timing(headers, format!("sentry-trace;desc=\"{trace}-{root}-{}\"", u8::from(sampled)));
        }
    }
}

/// Adds a line of `Server-Timing`, beside those of the application.
pub(super) fn append_timing(headers: &mut HeaderMap, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.append("server-timing", value);
    }
}
