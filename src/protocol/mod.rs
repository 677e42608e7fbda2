//! Types of Sentry's envelope protocol: payloads and ids.
//!
//! Public are the types that hooks receive, and those that you create: [`Monitor`], [`Feedback`],
//! [`Attachment`], [`SpanLink`]. They follow the protocol's documents exactly:
//!
//! - Optional fields are left out if they are empty.
//! - Timestamps are seconds, with microseconds as decimals.
//! - Ids are lower-case hex.
//!
//! Hooks receive an [`Event`], a [`Transaction`], a [`Span`], a [`Breadcrumb`], a [`Log`] or a [`Metric`], which
//! they may change. The guide's page on [errors](crate::guide::errors#hooks) lists them in their order.

pub(crate) mod address;
mod attachment;
mod attribute;
mod breadcrumb;
mod check_in;
mod client_report;
mod contexts;
mod debug_meta;
mod depth;
mod dsc;
mod dsn;
mod envelope;
mod event;
mod exception;
mod feedback;
pub(crate) mod forwarded;
mod ids;
mod level;
mod link;
mod log;
mod metric;
mod modules;
mod request;
mod session;
mod span;
mod status;
mod streamed_span;
mod timestamp;
mod trace_lifecycle;
mod transaction;
mod unit;
mod user;

pub use attachment::Attachment;
pub use attribute::AttributeValue;
pub use breadcrumb::Breadcrumb;
pub(crate) use check_in::{CheckIn, CheckInContexts, CheckInStatus};
pub use check_in::{IntervalUnit, Monitor, Schedule};
pub use client_report::DiscardReason;
pub(crate) use client_report::{Category, ClientReport, DiscardedEvent};
pub use contexts::{Contexts, ProfileContext, TraceContext};
pub use debug_meta::{DebugImage, DebugMeta};
pub(crate) use depth::bounded;
pub(crate) use dsc::DynamicSamplingContext;
pub(crate) use dsn::Dsn;
pub(crate) use envelope::{EnvelopeHeader, ItemType, SdkInfo, parse};
pub use event::{Event, LogEntry};
pub use exception::{Exception, Frame, Mechanism, Stacktrace, Values};
pub use feedback::Feedback;
pub(crate) use feedback::FeedbackEvent;
pub(crate) use ids::reseed as reseed_ids;
pub use ids::{EventId, InvalidId, SpanId, TraceId};
pub use level::{InvalidLevel, Level};
pub use link::SpanLink;
pub use log::{Log, LogAttribute, LogLevel};
pub(crate) use metric::Measured;
pub use metric::{Metric, MetricType, MetricValue};
pub(crate) use modules::{LockFile, Modules};
pub use request::Request;
pub(crate) use session::{SessionAggregate, SessionAggregates};
pub use span::Span;
pub use status::SpanStatus;
pub(crate) use streamed_span::{SegmentName, SpanText, StreamedSpan, TypedAttributes, put_together, typed};
pub use timestamp::Timestamp;
pub use trace_lifecycle::TraceLifecycle;
pub use transaction::{Measurement, Transaction, TransactionInfo, TransactionSource};
pub use unit::Unit;
pub use user::User;
