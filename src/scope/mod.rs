//! The scope of a request, its handle, and the data that is added to everything captured in it.
//!
//! A request owns one scope from its first byte to the last byte of its response body. The scope is
//! current during each poll of the request's future and body, by a swap of a thread-local. So it
//! follows the work across threads, and never stays on a thread after the poll.
//!
//! Outside any request, [`Scope::current`] returns a detached scope. Data set on it does not affect
//! any other scope.

mod active;
mod announced;
mod begin;
mod bind;
mod bodies;
mod call_stack;
mod calls;
mod capture;
pub(crate) mod current;
mod current_client;
mod early_drop;
mod feedback;
mod finish;
mod handle;
mod hooks;
mod inner_request;
mod json;
mod metric;
mod nested;
mod outgoing;
mod place;
mod result_ext;
mod set;
mod span;
mod span_handle;
mod state;
mod stream;
mod thread;
mod unsent;

pub(crate) use active::Active;
pub(crate) use announced::AnnouncedId;
pub(crate) use begin::{Work, begin_work, continue_or_begin};
pub use bind::Scoped;
pub(crate) use call_stack::call_stack;
#[cfg(feature = "anyhow")]
pub use calls::capture_anyhow;
#[cfg(feature = "eyre")]
pub use calls::capture_eyre;
pub use calls::{capture_error, capture_event, capture_message};
pub(crate) use calls::{capture_outside, capture_panic};
pub(crate) use early_drop::EarlyDrop;
pub(crate) use finish::{BLOCKED_FROM, Ending};
pub use handle::Scope;
pub(crate) use hooks::{EventMapper, map_event, read_error};
pub(crate) use inner_request::Served;
#[cfg(feature = "metrics")]
pub(crate) use metric::MetricPlace;
pub(crate) use metric::{ServedRequest, capture_metric};
pub(crate) use place::TracePlace;
pub use result_ext::ResultExt;
pub(crate) use span::OwnSpan;
pub use span::{SpanWork, Spanned, span, span_sync};
pub use span_handle::SpanHandle;
pub(crate) use state::{Extent, LiveScope, ScopeKind, ScopeState};

pub use crate::event::CapturableError;
