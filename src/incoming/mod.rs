//! Requests in: one layer, one transaction per request.
//!
//! # When a transaction starts
//!
//! Before the inner service is called, so that no span of the inner stack is older. Its name is the route template where the layer
//! can see it (`GET /users/{id}`): from axum's `MatchedPath`, from the layer's own [`route`](SentryLayer::route) table, or from
//! a `RouteNameLayer` inside of the router; else what the [`name`](SentryLayer::name) function says; else `GET <unmatched>`. It is never a raw path. A second `SentryLayer` further in becomes a child span.
//!
//! # When it ends
//!
//! With the end of the response's body, its error or its drop; with an error of the inner service; or with the drop of the response
//! future. What is dropped before its end is `cancelled`, with the place (`before_headers`, `in_body`) as an attribute and without an invented
//! status code. A panic that unwinds through the service ends it as `internal_error`.
//!
//! # What is recorded
//!
//! Method, URL, query, protocol version and at most 50 headers of 1 KiB of the request; status and bytes of the response. Values of credential
//! headers are never copied; everything else is redacted before it leaves, see [`redaction`](crate::redaction). Bodies are not recorded.

#[cfg(feature = "axum")]
mod axum;
mod body;
mod capture_error;
mod future;
mod layer;
mod request;
mod root;
mod route;
#[cfg(feature = "axum")]
mod route_name;
mod rules;
mod running;
mod service;
mod span_layer;
mod status;

pub use body::ResponseBody;
pub use capture_error::CaptureError;
pub use future::ResponseFuture;
pub use layer::{BodyForm, Boxed, Generic, SentryLayer};
pub use route::RouteOptions;
#[cfg(feature = "axum")]
pub use route_name::{RouteNameLayer, RouteNameService};
pub use rules::RequestHead;
pub use service::SentryService;
pub use span_layer::{Marked, MarkedFuture, SpanFuture, SpanLayer, SpanService};
