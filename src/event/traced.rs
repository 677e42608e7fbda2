//! The stack traces that `anyhow` and `eyre` keep inside their errors, and the literals they are made from.

use std::any::Any;
use std::sync::Arc;

use super::captured::Backtrace;
#[cfg(any(feature = "anyhow", feature = "eyre"))]
use super::{chain::limited_to, rendering, text};
#[cfg(any(feature = "anyhow", feature = "eyre"))]
use crate::protocol::Frame;

/// At most this many bytes of a stack trace's text are read.
#[cfg(any(feature = "anyhow", feature = "eyre"))]
const TRACE_LIMIT: usize = 512 * 1024;

/// The literal of the program that an error was made from: `anyhow!("no stock")`, `.context("no stock")`.
pub(super) fn literal(error: &dyn Any) -> Option<&'static str> {
    #[cfg(feature = "anyhow")]
    if let Some(error) = error.downcast_ref::<anyhow::Error>() {
        return error.downcast_ref::<&'static str>().copied();
    }
    #[cfg(feature = "eyre")]
    if let Some(report) = error.downcast_ref::<eyre::Report>() {
        return report.downcast_ref::<&'static str>().copied();
    }
    let _ = error;
    None
}

/// Takes the error out of `error`, an `Option`, if a stack trace is inside.
pub(super) fn backtrace(error: &mut dyn Any) -> Option<Arc<dyn Backtrace>> {
    #[cfg(feature = "anyhow")]
    if let Some(error) = error.downcast_mut::<Option<anyhow::Error>>().and_then(Option::take) {
        return Some(Arc::new(Anyhow(error)));
    }
    #[cfg(feature = "eyre")]
    if let Some(report) = error.downcast_mut::<Option<eyre::Report>>().and_then(Option::take) {
        return Some(Arc::new(Eyre(report)));
    }
    let _ = error;
    None
}

#[cfg(feature = "anyhow")]
#[derive(Debug)]
struct Anyhow(anyhow::Error);

#[cfg(feature = "anyhow")]
impl Backtrace for Anyhow {
    fn read(&self) -> Vec<Frame> {
        let backtrace = self.0.backtrace();
        let is_captured = backtrace.status() == std::backtrace::BacktraceStatus::Captured;
        // The alternate form has the addresses.
        let render = || rendering::render(|| limited_to(format_args!("{backtrace:#}"), TRACE_LIMIT));
        let text = is_captured.then(render).flatten();
        text::trace(&text.unwrap_or_default())
    }

    fn is_trustworthy(&self) -> bool {
        true
    }
}

#[cfg(feature = "eyre")]
#[derive(Debug)]
struct Eyre(eyre::Report);

#[cfg(feature = "eyre")]
impl Backtrace for Eyre {
    fn read(&self) -> Vec<Frame> {
        // `eyre`'s handler exposes the trace and the location only in its `Debug` output.
        let report = rendering::render(|| limited_to(format_args!("{:?}", self.0), TRACE_LIMIT));
        text::report(&report.unwrap_or_default())
    }

    fn is_trustworthy(&self) -> bool {
        false
    }
}
