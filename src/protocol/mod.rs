//! Types of Sentry's envelope protocol: payloads, ids and framing.
//!
//! These types do not depend on requests, layers or exporters. They follow the protocol's documents
//! exactly, with one file per payload:
//!
//! - Optional fields are left out if they are empty.
//! - Timestamps are seconds, with microseconds as decimals.
//! - Ids are lower-case hex.
//!
//! The hooks [`before_send`](crate::ConfigBuilder::before_send) and
//! [`before_send_transaction`](crate::ConfigBuilder::before_send_transaction) receive an [`Event`]
//! or a [`Transaction`], which they may change.

pub(crate) mod address;
mod attachment;
mod breadcrumb;
mod check_in;
mod client_report;
mod contexts;
mod debug_meta;
mod dsc;
mod dsn;
mod envelope;
mod event;
mod exception;
mod feedback;
mod ids;
mod level;
mod request;
mod session;
mod span;
mod status;
mod timestamp;
mod transaction;
mod user;

pub use attachment::Attachment;
pub use breadcrumb::Breadcrumb;
pub use check_in::{CheckIn, CheckInContexts, CheckInStatus, CheckInTrace, IntervalUnit, Monitor, Schedule};
pub use client_report::{Category, ClientReport, DiscardReason, DiscardedEvent};
pub use contexts::{Contexts, TraceContext};
pub use debug_meta::{DebugImage, DebugMeta};
pub use dsc::DynamicSamplingContext;
pub use dsn::{Dsn, InvalidDsn};
pub use envelope::{EnvelopeFrame, EnvelopeHeader, InvalidEnvelope, ItemHeader, ItemType, SdkInfo, SdkPackage, SdkSettings, parse};
pub use event::{Event, LogEntry};
pub use exception::{Exception, Frame, Mechanism, Stacktrace, Values};
pub use feedback::{Feedback, FeedbackContexts, FeedbackEvent, FeedbackTrace};
pub use ids::{EventId, InvalidId, SpanId, TraceId};
pub use level::{InvalidLevel, Level};
pub use request::Request;
pub use session::{SessionAggregate, SessionAggregates, SessionAttributes};
pub use span::Span;
pub use status::SpanStatus;
pub use timestamp::Timestamp;
pub use transaction::{Measurement, Transaction, TransactionInfo, TransactionSource};
pub use user::User;
