//! Events: an error with its causes, its frames, and what came before.

use std::fmt::Write as _;

use super::look::{Look, Tone};
use super::text::{end, facts, request, visible};
use crate::protocol::{Event, Exception, Frame, Level};

/// At most this many frames of a panic or an error are printed.
const FRAMES_SHOWN: usize = 8;
/// At most this many breadcrumbs.
const STEPS_SHOWN: usize = 5;

pub(super) fn write(out: &mut String, event: &Event, look: Look) {
    let (mark, tone) = match event.level {
        Level::Error | Level::Fatal => ("✗", Tone::Failed),
        Level::Warning => ("•", Tone::Slow),
        _ => ("•", Tone::Strong),
    };
    let place = event.transaction.as_deref().map(|name| format!(" in {}", visible(name))).unwrap_or_default();
    let heading = look.paint(tone, format!("{mark} {}{place}", event.level));
    let text = event.logentry.as_ref().and_then(|entry| entry.formatted.as_deref().or(entry.message.as_deref()));
    if look.is_brief {
        let said = event.exception.values.last().map(named).or_else(|| text.map(visible)).unwrap_or_default();
        let _ = writeln!(out, "{heading}: {said}  {}", look.paint(Tone::Quiet, format_args!("[{}]", event.event_id)));
        return;
    }
    let _ = writeln!(out, "{heading}  {}", look.paint(Tone::Quiet, format_args!("[{}]", event.event_id)));
    if let Some(text) = text {
        let _ = writeln!(out, "  {}", visible(text));
    }
    for (depth, exception) in event.exception.values.iter().rev().enumerate() {
        let cause = if depth == 0 { "" } else { "caused by " };
        let _ = writeln!(out, "{}{cause}{}", "  ".repeat(depth + 1), look.paint(Tone::Strong, named(exception)));
    }
    for frame in frames(event) {
        let _ = writeln!(out, "    {} {}", look.paint(Tone::Quiet, "at"), place_of(frame));
    }
    for step in event.breadcrumbs.values.iter().rev().take(STEPS_SHOWN).rev() {
        let data: Vec<_> = step.data.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let message = visible(step.message.as_deref().unwrap_or_default());
        let _ = writeln!(out, "  {} {} {message} {}", look.paint(Tone::Quiet, "before:"), step.level, visible(&data.join(" ")));
    }
    request(out, event.request.as_ref(), look);
    let tags: Vec<_> = event.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    facts(out, "tags", &tags.join(" "), look);
    facts(out, "user", event.user.as_ref().and_then(|user| user.id.as_deref()).unwrap_or_default(), look);
    end(out, look);
}

fn named(exception: &Exception) -> String {
    let (kind, value) = (exception.kind.as_deref().unwrap_or("error"), exception.value.as_deref().unwrap_or_default());
    format!("{}: {}", visible(kind), visible(value))
}

/// The application's own frames, innermost first. If there are none, the innermost ones.
fn frames(event: &Event) -> Vec<&Frame> {
    let trace = event.exception.values.last().and_then(|outermost| outermost.stacktrace.as_ref());
    let frames = trace.map(|trace| trace.frames.as_slice()).unwrap_or_default();
    let own: Vec<_> = frames.iter().rev().filter(|frame| frame.in_app == Some(true)).take(FRAMES_SHOWN).collect();
    if own.is_empty() { frames.iter().rev().take(FRAMES_SHOWN).collect() } else { own }
}

fn place_of(frame: &Frame) -> String {
    let line = frame.lineno.map(|line| format!(":{line}")).unwrap_or_default();
    let place = match (frame.function.as_deref(), frame.filename.as_deref()) {
        (Some(function), Some(file)) => format!("{function} ({file}{line})"),
        (Some(function), None) => function.to_owned(),
        (None, Some(file)) => format!("{file}{line}"),
        (None, None) => frame.instruction_addr.clone().unwrap_or_default(),
    };
    visible(&place)
}
