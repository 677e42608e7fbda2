//! The default fingerprint: which events the server shows as one issue.
//!
//! It consists of what every build knows: types, places and callsites that the compiler writes into
//! the program, routes and the names of jobs. Texts hold ids, so they do not count. Frames differ
//! between builds, so they do not count either, except those that an error itself carries.

use super::in_app::{self, FrameSettings};
use super::location::shown_path;
use super::{CapturedEvent, CodeLocation};
use crate::protocol::{Exception, Frame, Stacktrace};
use crate::record::LogRecord;

/// Returns the fingerprint of an event.
///
/// `chain` has the outermost error first. `origin` is the function that made the error, if the
/// error knows it. `route` is the route of the request or the name of the job, or empty.
///
/// An empty fingerprint leaves the grouping to the server.
pub(crate) fn fingerprint(
    captured: &CapturedEvent,
    chain: &[Exception],
    origin: Option<&ErrorOrigin>,
    route: &str,
    settings: &FrameSettings,
) -> Vec<String> {
    let mut parts = Parts(Vec::new());
    let is_own = |place: &&CodeLocation| settings.is_in_app(None, Some(&place.file));
    let own_place = captured.stack.location.as_ref().filter(is_own).map(ToString::to_string);
    if captured.is_panic() {
        parts.panic(captured, chain, own_place, route);
    } else if captured.is_returned() {
        parts.types(chain);
        parts.push(route);
    } else if !chain.is_empty() {
        parts.types(chain);
        parts.push(captured.detail.as_deref().unwrap_or_default());
        let is_exact = origin.is_some_and(|origin| origin.is_exact);
        parts.push(origin.map_or("", |origin| &origin.function));
        if !is_exact {
            parts.reported_at(captured, own_place, route);
        }
    } else if let Some(log) = &captured.log {
        parts.callsite(log);
        parts.push(route);
    } else if captured.follows_name {
        parts.push(route);
        parts.push(captured.message.as_deref().unwrap_or_default());
    } else if let Some(place) = own_place {
        parts.push("message");
        parts.push(&place);
    }
    parts.0
}

struct Parts(Vec<String>);

impl Parts {
    fn push(&mut self, part: &str) {
        if !part.is_empty() {
            self.0.push(part.to_owned());
        }
    }

    /// The place of a panic is known, unless our hook did not see it.
    fn panic(&mut self, captured: &CapturedEvent, chain: &[Exception], own_place: Option<String>, route: &str) {
        self.push("panic");
        match (own_place, &captured.stack.location) {
            (Some(place), _) => return self.push(&place),
            // A library panics for many reasons at one place.
            (None, Some(place)) => self.push(&place.to_string()),
            (None, None) => self.types(chain.get(1..).unwrap_or_default()),
        }
        self.push(route);
    }

    /// The place at which an error was captured or logged.
    fn reported_at(&mut self, captured: &CapturedEvent, own_place: Option<String>, route: &str) {
        if let Some(place) = own_place {
            self.push(&place);
            // An error of a response mostly passes through one place: `IntoResponse` or `From`.
            if captured.is_explicit() {
                return;
            }
        } else if let Some(log) = &captured.log {
            self.callsite(log);
        }
        self.push(route);
    }

    fn types(&mut self, chain: &[Exception]) {
        for exception in chain {
            let kind = exception.kind.as_deref().unwrap_or_default();
            // The kind of `shop::cart::Error` is `cart::Error`: the module is in it already.
            let module = exception.module.as_deref().filter(|_| !kind.contains("::"));
            match module {
                Some(module) => self.0.push([module, "::", kind].concat()),
                None => self.push(kind),
            }
        }
    }

    /// The target, file and line of a log.
    fn callsite(&mut self, log: &LogRecord) {
        self.push(log.target());
        let file = log.file().map(shown_path).unwrap_or_default();
        match log.line() {
            Some(line) => self.push(&format!("{file}:{line}")),
            None => self.push(log.metadata.name()),
        }
    }
}

/// The function that made an error, as the error's own trace shows it.
pub(crate) struct ErrorOrigin {
    function: String,
    /// Whether the trace shows inlined functions. Without lines, it does not: the function may be
    /// one further out.
    is_exact: bool,
}

/// Returns the innermost function of the application's own in a trace that an error carries.
///
/// Frames outside the request's or job's work do not say what failed: nor does `main`.
pub(crate) fn origin(trace: &Stacktrace) -> Option<ErrorOrigin> {
    let frames = trace.frames.iter().rev();
    let mut work = frames.take_while(|frame| !frame.function.as_deref().is_some_and(in_app::is_around_work));
    let is_own = |frame: &&Frame| frame.in_app == Some(true) && !frame.function.as_deref().is_some_and(in_app::is_main);
    work.find(is_own).map(|frame| ErrorOrigin { function: name(frame), is_exact: frame.lineno.is_some() })
}

fn name(frame: &Frame) -> String {
    // The compiler numbers closures by their order in the function: `{{closure}}`, `{{closure}}#1`.
    let function = frame.function.as_deref().and_then(|function| function.split("::{").next()).unwrap_or_default();
    if !function.is_empty() && !function.starts_with('{') {
        return function.to_owned();
    }
    let file = frame.filename.as_deref().unwrap_or_default();
    frame.lineno.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::CallStack;

    fn frame(function: &str, in_app: bool) -> Frame {
        Frame { function: Some(function.to_owned()), in_app: Some(in_app), ..Frame::default() }
    }

    /// The origin of a trace whose innermost frame comes first.
    fn origin_of(functions: &[(&str, bool)]) -> Option<String> {
        let frames = functions.iter().rev().map(|(function, in_app)| frame(function, *in_app)).collect();
        origin(&Stacktrace { frames }).map(|origin| origin.function)
    }

    #[test]
    fn the_origin_is_the_innermost_own_function_inside_the_work() {
        type Row = (&'static [(&'static str, bool)], Option<&'static str>);
        let rows: [Row; 7] = [
            (&[("core::ops::call", false), ("shop::load::{{closure}}", true), ("shop::show", true)], Some("shop::load")),
            (&[("shop::load::{closure#0}", true)], Some("shop::load")),
            (&[("sqlx::query", false), ("<F as axum::handler::Handler<T,S>>::call", false), ("shop::auth", true)], None),
            (
                &[
                    ("sqlx::query", false),
                    ("<tower_sentry::incoming::future::ResponseFuture<F> as core::future::future::Future>::poll", false),
                    ("shop::run", true),
                ],
                None,
            ),
            (
                &[
                    ("sqlx::query", false),
                    ("<tower_sentry::scope::span::Spanned<F> as core::future::future::Future>::poll", false),
                    ("shop::load", true),
                ],
                Some("shop::load"),
            ),
            (&[("std::fs::read", false), ("shop::main::{{closure}}", true)], None),
            (&[], None),
        ];

        for (functions, expected) in rows {
            assert_eq!(origin_of(functions).as_deref(), expected, "{functions:?}");
        }
    }

    #[test]
    fn a_panic_in_a_library_is_known_by_its_place_and_the_route() {
        let of = |file: &'static str| {
            let place = CodeLocation { file: file.into(), line: 7, column: 9 };
            let captured = CapturedEvent::panic(&"no room", CallStack { location: Some(place), ..CallStack::default() });
            fingerprint(&captured, &captured.exceptions, None, "GET /", &FrameSettings::default())
        };

        assert_eq!(of("/root/.cargo/registry/src/crates/bytes-1.9.0/src/lib.rs"), ["panic", "bytes-1.9.0/src/lib.rs:7:9", "GET /"]);
        assert_eq!(of("src/cart.rs"), ["panic", "src/cart.rs:7:9"]);
    }

    #[test]
    fn without_lines_the_place_of_the_report_counts_as_well() {
        let place = CodeLocation { file: "src/cart.rs".into(), line: 7, column: 9 };
        let stack = CallStack { location: Some(place), ..CallStack::default() };
        let chain = vec![Exception { kind: Some("Error".to_owned()), ..Exception::default() }];
        let captured = CapturedEvent { exceptions: chain, stack, ..CapturedEvent::failed_response(String::new()) };
        let of = |lineno| {
            let trace = Stacktrace { frames: vec![Frame { lineno, ..frame("shop::load", true) }] };
            fingerprint(&captured, &captured.exceptions, origin(&trace).as_ref(), "GET /", &FrameSettings::default())
        };

        assert_eq!(of(Some(3)), ["Error", "shop::load"]);
        assert_eq!(of(None), ["Error", "shop::load", "src/cart.rs:7:9", "GET /"]);
    }

    #[test]
    fn a_frame_without_a_useful_name_is_known_by_its_line() {
        let frame = Frame { filename: Some("src/main.rs".to_owned()), lineno: Some(7), ..frame("{async_fn#0}", true) };

        assert_eq!(name(&frame), "src/main.rs:7");
    }
}
