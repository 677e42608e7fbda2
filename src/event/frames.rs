//! Turns resolved frames into a stack trace: marks the application's own frames, and removes those that are
//! not useful.

use std::ops::Range;
use std::time::Instant;

use super::call_stack::{CallStack, CodeLocation, FRAMES_LIMIT};
use super::in_app::{self, FrameSettings};
use super::symbols::SYMBOLS;
use super::{crates, workspace};
use crate::protocol::{Frame, Stacktrace};

/// The frames of a failure, innermost first, of which a range is the application's work.
#[derive(Debug)]
pub(crate) struct ResolvedFrames {
    frames: Vec<Frame>,
    /// The frames without the capture on top and the runtime below.
    work: Range<usize>,
}

impl ResolvedFrames {
    /// Resolves the calls of a report, and puts its place on top.
    ///
    /// Returns `None` if there are neither calls nor a place.
    pub(crate) fn of_stack(stack: &CallStack, settings: &FrameSettings) -> Option<Self> {
        if stack.is_empty() {
            return None;
        }
        let (inside, outside) = stack.addresses.split_at_checked(stack.inside).unwrap_or((&stack.addresses, &[]));
        let now = Instant::now();
        let mut frames = SYMBOLS.resolve(inside, now);
        let count = frames.len();
        frames.extend(SYMBOLS.resolve(outside, now));
        Some(Self::new(frames, count, stack.location.as_ref(), settings))
    }

    /// Reads a stack trace that an error holds.
    ///
    /// Returns `None` if no frame has a name in Rust: of a stripped program, only those of system
    /// libraries have names.
    pub(crate) fn of_error(frames: Vec<Frame>, reported_at: Option<&CodeLocation>, settings: &FrameSettings) -> Option<Self> {
        let has_names = frames.iter().any(has_rust_name);
        let count = frames.len();
        workspace::learn(&frames, reported_at);
        has_names.then(|| Self::new(frames, count, None, settings))
    }

    /// `inside` is the number of frames inside the request or job, as far as addresses show it.
    fn new(mut frames: Vec<Frame>, inside: usize, location: Option<&CodeLocation>, settings: &FrameSettings) -> Self {
        for frame in &mut frames {
            // A server finds out from the debug file who owns a call that has neither a name nor a path here.
            let is_known = frame.instruction_addr.is_none() || frame.function.is_some() || frame.abs_path.is_some();
            frame.in_app = is_known.then(|| settings.is_in_app(frame.function.as_deref(), frame.abs_path.as_deref()));
        }
        let raised = after_panic(&frames);
        let mut start = raised + frames.iter().skip(raised).position(|frame| !is_capture(frame)).unwrap_or(0);
        let mut inside = inside;
        if let Some(location) = location {
            if let Some(at) = place_of(&frames, raised, start, location) {
                start = at;
            } else {
                frames.insert(start, Frame::default());
                inside += 1;
            }
            if let Some(frame) = frames.get_mut(start) {
                stand_at(frame, location);
                frame.in_app = Some(settings.is_in_app(frame.function.as_deref(), frame.abs_path.as_deref()));
            }
        }
        workspace::learn(&frames, location);
        workspace::name_files(&mut frames);
        let end = end_of_work(&frames, start, inside);
        Self { frames, work: start..end }
    }

    /// Returns the frames of the application's work. With `trim_backtraces(false)`, also returns all frames.
    /// Both have the oldest call first.
    pub(crate) fn into_traces(mut self, settings: &FrameSettings) -> (Stacktrace, Option<Stacktrace>) {
        let all = (!settings.trim_backtraces).then(|| trace(self.frames.clone()));
        self.frames.truncate(self.work.end);
        self.frames.drain(..self.work.start);
        (trace(self.frames), all)
    }
}

fn trace(mut frames: Vec<Frame>) -> Stacktrace {
    if frames.len() > FRAMES_LIMIT {
        frames.drain(FRAMES_LIMIT / 2..frames.len() - FRAMES_LIMIT / 2);
    }
    frames.reverse();
    // Each address is inside its call already. If the server went back further, it could reach the line before.
    let is_exact = frames.iter().any(|frame| frame.instruction_addr.is_some());
    Stacktrace { frames, instruction_addr_adjustment: is_exact.then(|| "none".to_owned()) }
}

/// Sets the place of a frame, and keeps a path that is known to be absolute.
fn stand_at(frame: &mut Frame, location: &CodeLocation) {
    if frame.abs_path.is_none() {
        frame.abs_path = Some(location.file.clone().into_owned());
    }
    frame.lineno = Some(location.line);
    frame.colno = Some(location.column);
}

/// Returns the index of the frame in which a place lies, if the frames have lines.
fn place_of(frames: &[Frame], raised: usize, start: usize, location: &CodeLocation) -> Option<usize> {
    /// `#[track_caller]` moves a place a few calls outwards.
    const DISTANCE: usize = 12;
    /// Debug information has the first line of an expression, and a place has that of its last method.
    const LINES: u32 = 50;
    let is_file = |frame: &Frame| frame.abs_path.as_deref().is_some_and(|path| is_same_file(path, &location.file));
    let near = || frames.iter().enumerate().skip(raised).take(DISTANCE).filter(|(_, frame)| is_file(frame));
    let exact = near().find(|(_, frame)| frame.lineno == Some(location.line));
    let earlier = |frame: &Frame| frame.lineno.and_then(|line| location.line.checked_sub(line)).is_some_and(|lines| lines <= LINES);
    exact.or_else(|| near().find(|(at, frame)| *at == start && earlier(frame))).map(|(at, _)| at)
}

/// Whether two paths may name the same file: one of them may be relative to the workspace.
fn is_same_file(path: &str, other: &str) -> bool {
    let end = |long: &str, short: &str| long.strip_suffix(short).is_some_and(|rest| rest.is_empty() || rest.ends_with(['/', '\\']));
    end(path, other.trim_start_matches("./")) || end(other, path.trim_start_matches("./"))
}

/// Returns the number of frames from the hook of a panic to the function that raises it.
///
/// Hooks call each other, so functions of the application may be among them.
fn after_panic(frames: &[Frame]) -> usize {
    /// The frames of a chain of hooks.
    const HOOKS: usize = 40;
    let starts = |frame: &Frame| frame.function.as_deref().is_some_and(in_app::raises_panic);
    frames.iter().take(HOOKS).position(starts).map_or(0, |at| at + 1)
}

/// Whether a frame belongs to what captures an error or raises a panic.
fn is_capture(frame: &Frame) -> bool {
    const CRATES: [&str; 10] =
        ["__rustc", "alloc", "anyhow", "backtrace", "color_eyre", "core", "eyre", "std", "tower_sentry", "tracing_error"];
    match krate(frame) {
        Some(krate) => CRATES.contains(&&*krate),
        None => frame.function.as_deref().is_some_and(in_app::is_unwinder),
    }
}

fn krate(frame: &Frame) -> Option<String> {
    let by_name = frame.function.as_deref().and_then(in_app::krate).map(str::to_owned);
    by_name.or_else(|| frame.abs_path.as_deref().and_then(crates::package))
}

/// Whether the function or the file of a frame is known, and is one of Rust.
fn has_rust_name(frame: &Frame) -> bool {
    let has_function = frame.function.as_deref().is_some_and(|name| name.contains("::"));
    has_function || frame.abs_path.as_deref().is_some_and(in_app::is_rust_file)
}

/// Returns the index after the outermost frame that is useful.
///
/// If no frame is the application's own, nothing is cut. The same applies to a stripped program: its calls
/// have no names here, and a server with the debug file finds the application's calls.
fn end_of_work(frames: &[Frame], start: usize, inside: usize) -> usize {
    let inside = inside.clamp(start, frames.len());
    let function = |frame: &Frame, is: fn(&str) -> bool| frame.function.as_deref().is_some_and(is);
    let behind = |at: usize| start + 1 + at;
    let rest = || frames.get(start + 1..inside).unwrap_or_default().iter();
    // The layer's own poll: the outermost one, because layers may be nested.
    let poll = rest().rposition(|frame| function(frame, in_app::is_layer)).map(behind);
    let thread = rest().position(|frame| function(frame, in_app::is_thread_start)).map(behind);
    let end = poll.unwrap_or(inside).min(thread.unwrap_or(inside));
    let work = frames.get(start..end).unwrap_or_default();
    let mut calls = work.iter().filter(|frame| frame.instruction_addr.is_some()).peekable();
    if calls.peek().is_some() && !calls.any(has_rust_name) {
        return end;
    }
    let own = |is_enough: fn(&str) -> bool| {
        let is_own = |frame: &Frame| frame.in_app == Some(true) && function(frame, is_enough);
        work.iter().rposition(is_own)
    };
    let place = || work.iter().rposition(|frame| frame.in_app == Some(true));
    // `main` is not very useful, but better than a place alone.
    own(|name| !in_app::is_main(name)).or_else(|| own(|_| true)).or_else(place).map_or(end, |outermost| start + outermost + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(function: impl Into<String>) -> Frame {
        Frame { function: Some(function.into()), ..Frame::default() }
    }

    fn placed(function: &str, path: &str, line: u32) -> Frame {
        Frame { abs_path: Some(path.to_owned()), lineno: Some(line), ..named(function) }
    }

    fn location(file: &'static str, line: u32) -> CodeLocation {
        CodeLocation { file: file.into(), line, column: 5 }
    }

    fn resolved(frames: Vec<Frame>, location: Option<&CodeLocation>) -> ResolvedFrames {
        let count = frames.len();
        ResolvedFrames::new(frames, count, location, &FrameSettings::default())
    }

    /// The frames of the work, innermost first, as `function` or `file:line`.
    fn work(frames: Vec<Frame>, location: Option<&CodeLocation>) -> Vec<String> {
        shown(resolved(frames, location).into_traces(&FrameSettings::default()).0)
    }

    fn shown(trace: Stacktrace) -> Vec<String> {
        let show = |frame: Frame| {
            let line = frame.lineno.map(|line| format!(":{line}")).unwrap_or_default();
            frame.function.or(frame.filename).unwrap_or_default() + &line
        };
        trace.frames.into_iter().rev().map(show).collect()
    }

    #[inline(never)]
    fn somewhere_in_the_application() -> CallStack {
        CallStack::walk(0, true, None)
    }

    #[test]
    fn frames_name_the_caller_and_come_oldest_first() {
        // The code of this crate is that of a library, so it counts as the capture.
        let settings = FrameSettings { trim_backtraces: false, ..FrameSettings::default() };
        let frames = ResolvedFrames::of_stack(&somewhere_in_the_application(), &settings).map(|frames| frames.into_traces(&settings).1);

        let functions: Vec<_> = frames.flatten().unwrap_or_default().frames.into_iter().filter_map(|frame| frame.function).collect();
        let caller = functions.iter().position(|name| name.contains("frames_name_the_caller"));
        let innermost = functions.iter().position(|name| name.contains("somewhere_in_the_application"));
        assert!(caller.is_some() && caller < innermost, "{functions:?}");
    }

    #[test]
    fn of_a_deep_recursion_both_ends_are_kept() {
        let deep = (0..300).map(|depth| named(format!("shop::call{depth}"))).collect();

        let kept = work(deep, None);

        let expected: Vec<_> = (0..50).chain(250..300).map(|depth| format!("shop::call{depth}")).collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn what_says_nothing_is_left_out() {
        let machinery = [
            "backtrace::trace",
            "tower_sentry::event::call_stack::CallStack::walk",
            "tower_sentry::panic_hook::report",
            "shop::main::{{closure}}",
            "<alloc::boxed::Box<F,A> as core::ops::function::Fn<Args>>::call",
            "std::panicking::rust_panic_with_hook",
            "std::panicking::begin_panic_handler::{{closure}}",
            "__rustc::rust_begin_unwind",
            "core::panicking::panic_fmt",
        ];
        let anyhow = [
            "std::backtrace::Backtrace::capture",
            "anyhow::error::<impl anyhow::Error>::msg",
            "<E as anyhow::context::ext::StdError>::ext_context",
            "core::result::Result<T,E>::map_err",
        ];
        let catching = ["std::panicking::catch_unwind", "std::panic::catch_unwind"];
        let runtime = ["tokio::runtime::scheduler::run", "std::sys::backtrace::__rust_begin_short_backtrace", "start_thread"];
        let layer = ["<tower_sentry::incoming::future::ResponseFuture<F> as core::future::future::Future>::poll"];
        let axum = ["<F as axum::handler::Handler<((),),S>>::call", "<axum::routing::Route as tower::Service<R>>::call"];
        let of = |parts: &[&[&str]]| work(parts.concat().into_iter().map(named).collect(), None);

        // A function that catches panics close to the panic is not a part of the machinery.
        assert_eq!(
            of(&[&machinery, &["shop::load"], &catching, &["shop::show"], &axum]),
            ["shop::load", catching[0], catching[1], "shop::show"]
        );
        assert_eq!(
            of(&[&anyhow, &["shop::load", "shop::show"], &axum, &layer, &axum, &["shop::serve"], &runtime]),
            ["shop::load", "shop::show"]
        );
        // A layer inside another one is a part of the work.
        let nested = of(&[&["shop::load"], &layer, &["shop::batch"], &axum, &layer, &runtime]);
        assert_eq!(nested, ["shop::load", layer[0], "shop::batch"]);
        assert_eq!(of(&[&["shop::load"], &axum, &["shop::main"], &runtime]), ["shop::load"]);
        assert_eq!(of(&[&["shop::main"], &runtime]), ["shop::main"]);
        // Without code of the application, all frames of the work are kept.
        assert_eq!(of(&[&machinery, &axum, &layer, &runtime]), axum);
        assert_eq!(of(&[&anyhow]), anyhow);
        assert_eq!(of(&[&axum, &runtime]), [&axum[..], &runtime[..1]].concat());
    }

    #[test]
    fn untrimmed_frames_are_all_there() {
        let settings = FrameSettings { trim_backtraces: false, ..FrameSettings::default() };
        let functions = ["std::panicking::rust_panic_with_hook", "shop::load", "hyper::serve", "start_thread"];
        let frames = functions.into_iter().map(named).collect();

        let (work, all) = ResolvedFrames::new(frames, 3, None, &settings).into_traces(&settings);

        assert_eq!((shown(work), shown(all.unwrap_or_default())), (vec!["shop::load".to_owned()], functions.map(str::to_owned).to_vec()));
    }

    #[test]
    fn the_place_is_the_innermost_frame() {
        const MAIN: &str = "/work/shop/src/main.rs";
        let std = || placed("core::option::Option<T>::unwrap", "/rustc/abc/library/core/src/option.rs", 970);
        let show = |line| placed("shop::show", MAIN, line);
        let place = location("src/main.rs", 80);
        let rows = [
            // With line numbers, the place is in one of the frames.
            (vec![show(80), placed("shop::serve", MAIN, 12)], vec!["shop::show:80", "shop::serve:12"]),
            (vec![std(), show(80)], vec!["shop::show:80"]),
            // A helper with `#[track_caller]` is not the place.
            (vec![placed("shop::must", "/work/shop/src/must.rs", 3), show(80)], vec!["shop::show:80"]),
            // Frames have the first line of an expression.
            (vec![show(77)], vec!["shop::show:80"]),
            (vec![show(7)], vec!["src/main.rs:80", "shop::show:7"]),
            // Without line numbers, inlined functions have no frames.
            (vec![named("<F as axum::handler::Handler<((),),S>>::call")], vec!["src/main.rs:80"]),
            (vec![named("shop::show"), named("hyper::serve")], vec!["src/main.rs:80", "shop::show"]),
            // Stripped.
            (vec![Frame::default(), Frame::default()], vec!["src/main.rs:80"]),
            (vec![], vec!["src/main.rs:80"]),
        ];

        for (frames, expected) in rows {
            let said = format!("{frames:?}");
            let (trace, _) = resolved(frames, Some(&place)).into_traces(&FrameSettings::default());
            let innermost = trace.frames.last();
            assert_eq!(innermost.and_then(|frame| Some((frame.lineno?, frame.colno?, frame.in_app?))), Some((80, 5, true)), "{said}");
            assert_eq!(shown(trace), expected, "{said}");
        }
    }

    #[test]
    fn the_calls_of_a_stripped_program_stay_for_a_server_with_its_debug_file() {
        let call = |function: Option<&str>| Frame {
            instruction_addr: Some("0x55d4c3a0".to_owned()),
            function: function.map(str::to_owned),
            ..Frame::default()
        };
        let count = |frames: Vec<Frame>| work(frames, Some(&location("src/main.rs", 80))).len();

        assert_eq!(count(vec![call(None), call(Some("__libc_start_main")), call(None)]), 4);
        assert_eq!(count(vec![call(None), call(Some("shop::show")), call(Some("hyper::serve"))]), 3, "a program with names");
    }

    #[test]
    fn a_place_in_a_library_is_not_the_applications() {
        let place = location("/usr/local/cargo/registry/src/i/sqlz-0.8.6/src/pool.rs", 80);

        let (trace, _) = resolved(vec![named("sqlx_core::get"), named("shop::load")], Some(&place)).into_traces(&FrameSettings::default());

        let is_own: Vec<_> = trace.frames.iter().map(|frame| frame.in_app).collect();
        assert_eq!(
            (is_own, shown(trace)),
            (
                vec![Some(true), Some(false), Some(false)],
                vec!["sqlz-0.8.6/src/pool.rs:80".to_owned(), "sqlx_core::get".to_owned(), "shop::load".to_owned()]
            )
        );
    }

    #[test]
    fn a_trace_without_names_is_none() {
        let settings = FrameSettings::default();

        let libc = placed("__libc_start_main", "./csu/../csu/libc-start.c", 360);
        assert!(ResolvedFrames::of_error(vec![Frame::default(); 100], None, &settings).is_none());
        assert!(ResolvedFrames::of_error(vec![Frame::default(), libc], None, &settings).is_none());
        let place = Frame { function: None, ..placed("", "src/cart.rs", 88) };
        assert!(ResolvedFrames::of_error(vec![place], None, &settings).is_some());
        assert!(ResolvedFrames::of_error(vec![Frame::default(), named("shop::load")], None, &settings).is_some());
        assert!(ResolvedFrames::of_stack(&CallStack::default(), &settings).is_none());
    }
}
