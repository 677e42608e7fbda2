//! Errors, panics and messages that a request or job reports. Each failure is captured once.
//!
//! A failure becomes a [`CapturedEvent`] when it is reported: the chain of types and messages, the
//! addresses of its frames, and how it was caught. With a copy of its scope it is an
//! [`EventRecord`], which goes to the exporter. Frames are resolved there, because resolving takes
//! milliseconds.

mod call_stack;
mod capturable;
mod captured;
mod chain;
mod crates;
mod frames;
mod grouping;
mod hint;
mod identity;
pub(crate) mod images;
mod in_app;
mod known;
mod location;
mod outcome;
mod panic;
#[cfg(profiles)]
mod profile;
pub(crate) mod rendering;
mod same;
pub(crate) mod source;
pub(crate) mod symbols;
pub(crate) mod text;
mod text_hash;
mod traced;
mod type_name;
mod waiting;
mod workspace;

pub(crate) use call_stack::{CallStack, CodeLocation};
pub(crate) use capturable::GivenError;
pub use capturable::{BoxedErrors, CapturableError, TypedErrors};
pub(crate) use captured::{Backtrace, CapturedEvent, EventRecord, IdUse};
pub(crate) use chain::{described, limited, mechanisms, seen_through, shown};
pub(crate) use frames::ResolvedFrames;
pub(crate) use grouping::{callsite, fingerprint, issue, origin};
pub(crate) use hint::ErrorNotes;
pub use hint::Hint;
pub(crate) use identity::{DebugOutput, ErrorChain, FailureIdentity, is_error_field};
pub(crate) use in_app::FrameSettings;
pub(crate) use known::{EarlierReport, KnownFailure, KnownFailures, Surroundings};
pub(crate) use location::portable_path;
pub(crate) use outcome::Judge;
pub use outcome::Outcome;
#[cfg(profiles)]
pub(crate) use profile::{ProfileCalls, resolve_calls};
pub(crate) use waiting::WaitingEvent;
