//! Incoming requests: one layer, one transaction per request.
//!
//! # When a transaction starts
//!
//! Before the inner service is called, so no span of the inner stack is older than its transaction.
//! The first of these that is known becomes its name:
//!
//! - The route template (`GET /users/{id}`): from axum's `MatchedPath`, from the [`RouteTemplate`] of
//!   another router, from the layer's own [`route`](SentryLayer::route) table, or from a
//!   `RouteNameLayer` inside the router.
//! - The result of the [`name`](SentryLayer::name) function.
//! - For a gRPC call, its method: `/shop.Orders/Place`.
//! - `GET <fallback>` if a fallback of axum's router answered, else `GET <unmatched>`.
//!
//! It is never a raw path.
//!
//! # Layers inside layers
//!
//! A request that is called inside the future of another one, through a layer of the same client, is
//! a span of the outer request. Its failures are reported under its own name. With a layer of another
//! client, or in its own task, it is a transaction that continues the trace.
//!
//! # When it ends
//!
//! A transaction ends when one of these happens:
//!
//! - The response body ends, fails or is dropped.
//! - The body goes on for longer than [`max_duration`](SentryLayer::max_duration).
//! - The response is `101 Switching Protocols`.
//! - The inner service returns an error.
//! - The response future is dropped.
//!
//! A request that is dropped before its end is `cancelled`. Its attribute `tower_sentry.cancelled`
//! is the place (`before_headers` or `in_body`); no status code is invented. A panic that unwinds
//! through the service ends the transaction as `internal_error`.
//!
//! # What is recorded
//!
//! From the request: method, URL, query, protocol version and at most 50 headers of up to 1 KiB each.
//! From the response: status and size. Values of credential headers are never copied. Everything else
//! is redacted before it is sent, see [`redaction`](crate::redaction). Bodies are recorded only with a
//! [`BodyLayer`].

mod active;
#[cfg(feature = "axum")]
mod axum;
mod body;
mod body_form;
mod body_layer;
mod capture_error;
mod exchange;
mod future;
mod layer;
mod measured;
#[cfg(feature = "axum")]
mod named_handler;
mod naming;
mod preview;
mod request;
#[cfg(feature = "axum")]
mod route_name;
mod route_template;
mod rules;
mod service;
mod span_layer;
mod status;

pub use body::ResponseBody;
pub use body_form::{BodyForm, Boxed, Generic};
pub use body_layer::{BodyFuture, BodyLayer, BodyService, SampledBody};
pub use capture_error::CaptureError;
pub use future::ResponseFuture;
pub use layer::SentryLayer;
#[cfg(feature = "axum")]
pub use named_handler::{NamedHandler, named};
pub use preview::Preview;
#[cfg(feature = "axum")]
pub use route_name::{RouteNameLayer, RouteNameService};
pub use route_template::RouteTemplate;
pub use rules::RequestHead;
pub use service::SentryService;

pub use crate::sampling::route_options::RouteOptions;
pub use crate::sampling::route_table::RouteTable;
pub use crate::status_codes::StatusCodes;
pub use span_layer::{SpanFuture, SpanLayer, SpanService};
