//! The default fingerprint: which events the server shows as one issue.
//!
//! It consists of facts that every build knows: types, places and callsites that the compiler writes into
//! the program, routes and the names of jobs. Texts contain ids, so they do not count. Frames differ
//! between builds, so they do not count either, except those that an error itself carries.
//!
//! The limit on the events of one issue needs the issue before the frames are resolved: see [`issue`].

use std::fmt::{self, Write as _};

use super::in_app::{self, FrameSettings};
use super::location::shown_path;
use super::text_hash::{self, TextHash};
use super::{CapturedEvent, CodeLocation};
use crate::protocol::{Exception, Frame, Stacktrace};
use crate::record::{LogRecord, is_of_log_crate};

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
    route: &dyn fmt::Display,
    settings: &FrameSettings,
) -> Vec<String> {
    let mut parts = Vec::new();
    add_parts(&mut parts, captured, chain, origin, route, settings);
    parts
}

/// Identifies the issue of an event before its frames are resolved.
///
/// `given` is a fingerprint of the user, or empty. Two events that the server shows as two issues
/// have different numbers, unless a hook changes their fingerprints. `is_default` says whether events
/// have the fingerprint of this module. If not, or if the place inside an error decides, the words of
/// the texts count, except words with digits, which are mostly ids.
pub(crate) fn issue(
    captured: &CapturedEvent,
    given: &[String],
    route: &dyn fmt::Display,
    settings: &FrameSettings,
    is_default: bool,
) -> TextHash {
    let mut parts = IssueHash::default();
    for part in given {
        parts.push(part);
    }
    // `{{ default }}` stands for the server's own grouping.
    if !given.is_empty() && !given.iter().any(|part| part.contains("{{")) {
        return parts.hash;
    }
    let before = parts.hash;
    add_parts(&mut parts, captured, &captured.exceptions, None, route, settings);
    if captured.backtrace.is_some() || !is_default || parts.hash == before {
        let texts = captured.exceptions.iter().filter_map(|exception| exception.value.as_deref()).chain(captured.message.as_deref());
        texts.for_each(|text| parts.words(text));
    }
    if !is_default {
        let inside = captured.stack.addresses.iter().take(captured.stack.inside);
        inside.for_each(|address| parts.number(*address as u64));
    }
    parts.hash
}

/// Identifies the place of a log in the code.
pub(crate) fn callsite(log: &LogRecord) -> TextHash {
    let mut parts = IssueHash::default();
    parts.callsite(log);
    parts.hash
}

fn add_parts(
    parts: &mut impl Parts,
    captured: &CapturedEvent,
    chain: &[Exception],
    origin: Option<&ErrorOrigin>,
    route: &dyn fmt::Display,
    settings: &FrameSettings,
) {
    let own_place = || captured.stack.location.as_ref().filter(|place| settings.is_in_app(None, Some(&place.file)));
    if captured.is_panic() {
        parts.panic(captured, chain, own_place(), route);
    } else if captured.is_returned() {
        parts.types(chain);
        parts.show(route);
    } else if !chain.is_empty() {
        parts.types(chain);
        parts.push(captured.detail.as_deref().unwrap_or_default());
        let is_exact = origin.is_some_and(|origin| origin.is_exact);
        parts.push(origin.map_or("", |origin| &origin.function));
        if !is_exact {
            parts.reported_at(captured, own_place(), route);
        }
    } else if let Some(log) = &captured.log {
        parts.callsite(log);
        parts.show(route);
    } else if captured.follows_name {
        parts.show(route);
        parts.push(captured.message.as_deref().unwrap_or_default());
    } else if let Some(place) = own_place() {
        parts.push("message");
        parts.show(place);
    }
}

/// The parts of a fingerprint: as texts, or hashed.
trait Parts {
    /// Adds a part, unless it is empty.
    fn push(&mut self, part: &str);

    /// Adds the output of a value.
    fn show(&mut self, part: &dyn fmt::Display);

    /// Adds the target, file and line of a log.
    fn callsite(&mut self, log: &LogRecord);

    /// The place of a panic is known, unless our hook did not see it.
    fn panic(&mut self, captured: &CapturedEvent, chain: &[Exception], own_place: Option<&CodeLocation>, route: &dyn fmt::Display) {
        self.push("panic");
        match (own_place, &captured.stack.location) {
            (Some(place), _) => return self.show(place),
            // A library panics for many reasons at one place, so the route counts as well.
            (None, Some(place)) => self.show(place),
            (None, None) => self.types(chain.get(1..).unwrap_or_default()),
        }
        self.show(route);
    }

    /// The place at which an error was captured or logged.
    fn reported_at(&mut self, captured: &CapturedEvent, own_place: Option<&CodeLocation>, route: &dyn fmt::Display) {
        if let Some(place) = own_place {
            self.show(place);
            // Most errors of responses pass through one place (`IntoResponse` or `From`), so the route counts as well.
            if captured.is_explicit() {
                return;
            }
        } else if let Some(log) = &captured.log {
            self.callsite(log);
        }
        self.show(route);
    }

    fn types(&mut self, chain: &[Exception]) {
        for exception in chain {
            let kind = exception.kind.as_deref().unwrap_or_default();
            // The kind of `shop::cart::Error` is `cart::Error`: the module is in it already.
            let module = exception.module.as_deref().filter(|_| !kind.contains("::"));
            match module {
                Some(module) => self.show(&format_args!("{module}::{kind}")),
                None => self.push(kind),
            }
        }
    }
}

impl Parts for Vec<String> {
    fn push(&mut self, part: &str) {
        if !part.is_empty() {
            Self::push(self, part.to_owned());
        }
    }

    fn show(&mut self, part: &dyn fmt::Display) {
        Parts::push(self, &part.to_string());
    }

    fn callsite(&mut self, log: &LogRecord) {
        Parts::push(self, log.target());
        let file = log.file().map(shown_path).unwrap_or_default();
        match log.line() {
            Some(line) => self.show(&format_args!("{file}:{line}")),
            None => Parts::push(self, log.metadata.name()),
        }
    }
}

/// The hash of all parts, which needs no memory.
#[derive(Default)]
struct IssueHash {
    hash: TextHash,
}

impl IssueHash {
    fn number(&mut self, number: u64) {
        // An odd factor with many bits spreads each number over the whole hash.
        self.hash = (self.hash.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// Adds the words of a text, except those with digits.
    fn words(&mut self, text: &str) {
        let words = text.split(|letter: char| !letter.is_alphanumeric());
        for word in words.filter(|word| !word.is_empty() && !word.bytes().any(|byte| byte.is_ascii_digit())) {
            self.push(word);
        }
    }
}

impl Parts for IssueHash {
    fn push(&mut self, part: &str) {
        if !part.is_empty() {
            self.number(text_hash::of(part));
        }
    }

    fn show(&mut self, part: &dyn fmt::Display) {
        let mut hasher = text_hash::Hasher::default();
        // The writer returns an error once it has enough bytes to compare.
        let _ = write!(hasher, "{part}");
        self.number(hasher.finish());
    }

    fn callsite(&mut self, log: &LogRecord) {
        if !is_of_log_crate(log.metadata) {
            // Each callsite has its own metadata.
            return self.number(std::ptr::from_ref(log.metadata).addr() as u64);
        }
        self.push(log.target());
        self.push(log.file().unwrap_or_default());
        self.number(log.line().unwrap_or_default());
    }
}

/// The function that made an error, as the error's own trace shows it.
pub(crate) struct ErrorOrigin {
    function: String,
    /// Whether the trace shows inlined functions. A trace without lines does not show them: the error may
    /// come from a function that was inlined into this one.
    is_exact: bool,
}

/// Returns the application's innermost function in a trace that an error carries.
///
/// `main`, and frames outside the work of the request or job, do not count: they do not show what failed.
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
    // The path from the source folder on, because the workspace folder is not known at first.
    let file = frame.abs_path.as_deref().or(frame.filename.as_deref()).map_or("", in_app::relative);
    frame.lineno.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::CallStack;
    use crate::protocol::Level;

    fn frame(function: &str, in_app: bool) -> Frame {
        Frame { function: Some(function.to_owned()), in_app: Some(in_app), ..Frame::default() }
    }

    /// The origin of a trace whose innermost frame comes first.
    fn origin_of(functions: &[(&str, bool)]) -> Option<String> {
        let frames = functions.iter().rev().map(|(function, in_app)| frame(function, *in_app)).collect();
        origin(&Stacktrace { frames, ..Stacktrace::default() }).map(|origin| origin.function)
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
            fingerprint(&captured, &captured.exceptions, None, &"GET /", &FrameSettings::default())
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
            let trace = Stacktrace { frames: vec![Frame { lineno, ..frame("shop::load", true) }], ..Stacktrace::default() };
            fingerprint(&captured, &captured.exceptions, origin(&trace).as_ref(), &"GET /", &FrameSettings::default())
        };

        assert_eq!(of(Some(3)), ["Error", "shop::load"]);
        assert_eq!(of(None), ["Error", "shop::load", "src/cart.rs:7:9", "GET /"]);
    }

    #[test]
    fn events_of_different_issues_are_told_apart_without_their_frames() {
        let of = |captured: &CapturedEvent, given: &[&str], route: &str, is_default| {
            let given: Vec<_> = given.iter().map(|part| (*part).to_owned()).collect();
            issue(captured, &given, &route, &FrameSettings::default(), is_default)
        };
        let message = |line, text: &str| {
            let place = CodeLocation { file: "src/cart.rs".into(), line, column: 9 };
            let stack = CallStack { location: Some(place), ..CallStack::default() };
            CapturedEvent { stack, ..CapturedEvent::message(Level::Error, text.to_owned()) }
        };
        let nowhere = |text: &str| CapturedEvent::message(Level::Error, text.to_owned());
        let (order, other) = (message(7, "order 7 failed"), message(7, "another text"));

        assert_eq!(of(&order, &[], "", true), of(&other, &[], "GET /", true), "one place");
        assert_ne!(of(&order, &[], "", true), of(&message(8, "order 7 failed"), &[], "", true), "two places");
        assert_ne!(of(&order, &["a"], "", true), of(&order, &["b"], "", true), "the user's fingerprint");
        assert_eq!(of(&order, &["a"], "", true), of(&message(8, "another"), &["a"], "", true), "it stands for all");
        assert_ne!(of(&order, &["a", "{{ default }}"], "", true), of(&message(8, "x"), &["a", "{{ default }}"], "", true), "and the place");
        assert_ne!(of(&order, &[], "", false), of(&other, &[], "", false), "the server would compare texts");
        assert_eq!(of(&order, &[], "", false), of(&message(7, "order 8 failed"), &[], "", false), "without ids");
        assert_eq!(of(&nowhere("order 7 failed"), &[], "", true), of(&nowhere("order 8a failed"), &[], "", true));
        assert_ne!(of(&nowhere("order 7 failed"), &[], "", true), of(&nowhere("order 7 is late"), &[], "", true));
        let failed = CapturedEvent::failed_response("answered 500".to_owned());
        assert_ne!(of(&failed, &[], "GET /a", true), of(&failed, &[], "GET /b", true), "two routes");
    }

    #[test]
    fn a_frame_without_a_useful_name_is_known_by_its_line() {
        let frame = Frame { filename: Some("src/main.rs".to_owned()), lineno: Some(7), ..frame("{async_fn#0}", true) };

        assert_eq!(name(&frame), "src/main.rs:7");
    }
}
