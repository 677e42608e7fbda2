//! What is found out about an event on the exporter's thread: its frames, its binaries, its fingerprint.

use crate::event::{self, EventRecord, ResolvedFrames};
use crate::payload::{Facts, RouteName};
use crate::protocol::{DebugMeta, Exception};
use crate::unwind;

/// Details of an event that are computed on the exporter's thread.
pub(super) struct Resolved {
    /// Innermost first, as the protocol requires. Each has its mechanism; the outermost has the
    /// frames.
    pub(super) exceptions: Vec<Exception>,
    pub(super) images: DebugMeta,
    pub(super) fingerprint: Vec<String>,
}

pub(super) fn resolve(event: &mut EventRecord, facts: &Facts) -> Resolved {
    let captured = &mut event.captured;
    let mut origin = None;
    let mut chain = std::mem::take(&mut captured.exceptions);
    event::mechanisms(&mut chain, captured.mechanism, captured.handled);
    if let Some(outermost) = chain.first_mut() {
        if let (Some(mechanism), Some((name, value))) = (&mut outermost.mechanism, captured.mechanism_data()) {
            mechanism.data.insert(name.to_owned(), value.into());
        }
        // The backtrace inside an error shows where the error was created; ours shows where it was
        // captured.
        let backtrace = captured.backtrace.take();
        let frames = backtrace.as_ref().map(|backtrace| backtrace.read()).unwrap_or_default();
        let inside = ResolvedFrames::of_error(frames, captured.stack.location.as_ref(), &facts.frames);
        let is_trustworthy = inside.is_none() || backtrace.as_ref().is_some_and(|backtrace| backtrace.is_trustworthy());
        // This may be the last handle to a user's error, whose `drop` may panic.
        let _ = unwind::catch(|| drop(backtrace));
        let is_of_error = inside.is_some();
        if let Some(frames) = inside.or_else(|| ResolvedFrames::of_stack(&captured.stack, &facts.frames)) {
            let (mut work, mut all) = frames.into_traces(&facts.frames);
            if is_trustworthy && facts.include_source_context {
                event::source::add(all.as_mut().unwrap_or(&mut work));
            }
            if is_of_error {
                origin = event::origin(&work);
            }
            outermost.stacktrace = Some(all.unwrap_or(work));
        }
    }
    let fingerprint = if facts.default_fingerprint {
        event::fingerprint(captured, &chain, origin.as_ref(), &RouteName(&event.scope), &facts.frames)
    } else {
        Vec::new()
    };
    chain.reverse();
    let images = DebugMeta { images: event::images::of(&chain) };
    Resolved { exceptions: chain, images, fingerprint }
}
