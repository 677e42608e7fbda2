//! What a request or job reports: errors, panics and messages, captured once.
//!
//! A failure becomes a [`CapturedEvent`] when it is reported: the chain of types and messages, the
//! addresses of its frames, and how it was caught. With a copy of its scope it is an
//! [`EventRecord`], which goes to the exporter. Frames are resolved there, because resolving takes
//! milliseconds.

mod call_stack;
mod captured;
mod chain;
mod crates;
mod frames;
mod grouping;
mod identity;
pub(crate) mod images;
mod in_app;
mod known;
mod location;
mod panic;
pub(crate) mod rendering;
mod same;
pub(crate) mod source;
mod symbols;
pub(crate) mod text;
mod text_hash;
mod type_name;
mod waiting;

pub(crate) use call_stack::{CallStack, CodeLocation};
pub(crate) use captured::{Backtrace, CapturedEvent, EventRecord, IdUse};
#[cfg(any(feature = "anyhow", feature = "eyre"))]
pub(crate) use chain::limited_to;
pub(crate) use chain::{chain, limited, mechanisms, shown, text_alone};
pub(crate) use frames::ResolvedFrames;
pub(crate) use grouping::{callsite, fingerprint, issue, origin};
pub(crate) use identity::{DebugOutput, ErrorChain, FailureIdentity, is_error_field};
pub(crate) use in_app::FrameSettings;
pub(crate) use known::{EarlierReport, KnownFailure, KnownFailures, Surroundings};
pub(crate) use location::portable_path;
pub(crate) use type_name::variant;
pub(crate) use waiting::WaitingEvent;
