//! Where a failure was reported: the addresses of its calls, and the place in the source.

use std::borrow::Cow;
use std::panic::Location;

use crate::fork;

/// Frames beyond this limit are cut from the middle, as Sentry does.
pub(super) const FRAMES_LIMIT: usize = 100;

/// A place in the source. Every build knows it, even a stripped one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CodeLocation {
    pub(crate) file: Cow<'static, str>,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl CodeLocation {
    /// Copies the place of a panic, which lives as long as the panic.
    pub(crate) fn copy(location: &Location<'_>) -> Self {
        Self { file: location.file().to_owned().into(), line: location.line(), column: location.column() }
    }
}

impl From<&'static Location<'static>> for CodeLocation {
    fn from(location: &'static Location<'static>) -> Self {
        Self { file: location.file().into(), line: location.line(), column: location.column() }
    }
}

/// The calls that led to a report, and its place.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallStack {
    /// Return addresses, innermost call first; the exporter resolves them.
    pub(crate) addresses: Vec<usize>,
    /// How many of the addresses lie inside the request or job.
    pub(crate) inside: usize,
    /// The place of the panic, or of the call that captured the error.
    pub(crate) location: Option<CodeLocation>,
}

impl CallStack {
    /// Walks the stack of the calling thread and resolves nothing.
    ///
    /// `base` is an address on the stack, or 0 if there is none: frames above it are outside the request or
    /// job, and left out if `is_trimmed`.
    pub(crate) fn walk(base: usize, is_trimmed: bool, location: Option<CodeLocation>) -> Self {
        if !fork::may_walk() {
            return Self { location, ..Self::default() };
        }
        let mut stack = Self { addresses: Vec::with_capacity(64), inside: 0, location };
        // Addresses of code that runs on its own stack (a fibre) cannot be compared with the base.
        let mut has_base = base != 0;
        let mut is_inside = true;
        backtrace::trace(|frame| {
            let pointer = frame.sp() as usize;
            if has_base && is_inside && pointer > base {
                if stack.addresses.is_empty() {
                    has_base = false;
                } else {
                    is_inside = false;
                    if is_trimmed {
                        return false;
                    }
                }
            }
            // The byte before the return address is still inside the call.
            stack.addresses.push((frame.ip() as usize).saturating_sub(1));
            stack.inside += usize::from(is_inside);
            stack.addresses.len() < 4 * FRAMES_LIMIT
        });
        stack
    }

    /// Finds out in a forked child whether stacks can be walked. At the fork, another thread may have walked
    /// its stack and held the lock. Until the result is known, stacks are empty.
    pub(crate) fn try_to_walk() {
        fork::try_to_walk(|| backtrace::trace(|_| false));
    }

    /// A place without calls, for reports whose calls are not useful.
    pub(crate) fn at(location: &'static Location<'static>) -> Self {
        Self { location: Some(location.into()), ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.location.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn work(is_trimmed: bool) -> (CallStack, CallStack) {
        let here = 0_u8;
        (inside(std::ptr::from_ref(&here).addr(), is_trimmed), inside(0, is_trimmed))
    }

    #[inline(never)]
    fn inside(base: usize, is_trimmed: bool) -> CallStack {
        CallStack::walk(base, is_trimmed, None)
    }

    #[test]
    fn calls_outside_the_work_are_told_apart_and_left_out() {
        let ((trimmed, all), (untrimmed, _)) = (work(true), work(false));

        assert!(trimmed.inside > 1 && trimmed.inside < all.inside, "{} of {}", trimmed.inside, all.inside);
        assert_eq!((trimmed.addresses.len(), all.addresses.len()), (trimmed.inside, all.inside));
        assert_eq!((untrimmed.inside, untrimmed.addresses.len()), (trimmed.inside, all.inside));
    }

    #[test]
    fn a_base_on_another_stack_is_ignored() {
        let (all, elsewhere) = (inside(0, true), inside(1, true));

        assert_eq!(elsewhere.addresses.len(), all.addresses.len());
    }
}
