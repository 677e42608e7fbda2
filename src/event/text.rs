//! Parses stack traces inside `anyhow` and `eyre` errors, which stable Rust exposes only as text.

use super::in_app;
use crate::protocol::{Frame, Stacktrace};

/// Parses a trace in the format of the standard library.
pub(crate) fn trace(text: &str) -> Option<Stacktrace> {
    let mut frames: Vec<Frame> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(place) = line.strip_prefix("at ") {
            if let Some(frame) = frames.last_mut() {
                stand_at(frame, place);
            }
        } else if let Some(function) = function(line, !frames.is_empty()) {
            frames.push(named(function));
        }
    }
    finished(frames)
}

/// Parses a report of `eyre`: the trace at its end, or the location where the report was made.
///
/// Everything before that is messages, which may contain any text. Only the last marker counts.
#[cfg_attr(not(any(feature = "eyre", test)), expect(dead_code, reason = "only eyre gives a report"))]
pub(crate) fn report(text: &str) -> Option<Stacktrace> {
    const TRACE: &str = "\n\nStack backtrace:\n";
    const PLACE: &str = "\n\nLocation:\n";
    if let Some(start) = text.rfind(TRACE) {
        return trace(text.get(start + TRACE.len()..)?);
    }
    let start = text.rfind(PLACE)? + PLACE.len();
    let mut frame = Frame::default();
    stand_at(&mut frame, text.get(start..)?.trim());
    finished(frame.lineno.is_some().then_some(frame).into_iter().collect())
}

fn finished(mut frames: Vec<Frame>) -> Option<Stacktrace> {
    for frame in &mut frames {
        frame.in_app = Some(match &frame.function {
            Some(function) => in_app::is_in_app(function, frame.abs_path.as_deref()),
            None => frame.abs_path.as_deref().is_some_and(in_app::is_own_path),
        });
    }
    super::backtrace::tidy(frames)
}

/// Parses `3: shop::cart::load`.
///
/// An inlined call has no number and stands below the call it was inlined into.
fn function(line: &str, has_caller: bool) -> Option<&str> {
    match line.split_once(": ") {
        Some((number, function)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => Some(function),
        _ => (has_caller && line.contains("::") && !line.contains(' ')).then_some(line),
    }
}

fn named(function: &str) -> Frame {
    let function = in_app::without_hash(function).to_owned();
    Frame { module: in_app::module(&function).map(str::to_owned), function: Some(function), ..Frame::default() }
}

/// Sets the place of a frame from `src/cart.rs:88:9`.
fn stand_at(frame: &mut Frame, place: &str) {
    let mut parts = place.rsplitn(3, ':');
    let (column, line, path) = (parts.next(), parts.next(), parts.next());
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    let (path, line, column) = match (path, number(line)) {
        (Some(path), Some(line)) => (path, Some(line), number(column)),
        // There is no column, so the last number is the line.
        _ => place.rsplit_once(':').map_or((place, None, None), |(path, line)| (path, line.parse().ok(), None)),
    };
    frame.filename = Some(in_app::relative(path.trim_start_matches("./")).to_owned());
    frame.abs_path = Some(path.to_owned());
    frame.lineno = line;
    frame.colno = column;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_of_the_standard_library_is_read() {
        let text = "   0: <E as core::convert::Into>::into\n             at /rustc/abc/library/core/src/convert/mod.rs:716:9\n   \
                    1: shop::cart::load\n             at ./src/cart.rs:88:9\n      shop::cart::inlined\n             at ./src/cart.rs:12:1\n   \
                    2: shop::main\n             at ./src/main.rs:5:14\n   3: std::sys::backtrace::__rust_begin_short_backtrace\n   4: main\n";

        let frames = trace(text).unwrap_or_default().frames;

        let shown: Vec<_> =
            frames.iter().map(|frame| (frame.function.as_deref().unwrap_or("-"), frame.filename.as_deref(), frame.lineno)).collect();
        assert_eq!(
            shown,
            [
                ("shop::main", Some("src/main.rs"), Some(5)),
                ("shop::cart::inlined", Some("src/cart.rs"), Some(12)),
                ("shop::cart::load", Some("src/cart.rs"), Some(88)),
                ("<E as core::convert::Into>::into", Some("src/convert/mod.rs"), Some(716)),
            ]
        );
        assert_eq!(frames.iter().map(|frame| frame.in_app).collect::<Vec<_>>(), [Some(true), Some(true), Some(true), Some(false)]);
    }

    #[test]
    fn a_place_stands_for_a_trace_that_was_not_taken() {
        let text = "the cart is gone\n\nCaused by:\n    0: user jane unknown\n    1: a::b\n    at /etc/passwd:1:1\n\nLocation:\n    src/cart.rs:88:9";
        let frames = report(text).unwrap_or_default().frames;

        assert_eq!(
            (frames.len(), frames[0].filename.as_deref(), frames[0].lineno, frames[0].in_app),
            (1, Some("src/cart.rs"), Some(88), Some(true))
        );
        assert_eq!(report("the cart is gone: see 3: no::way\n at /etc/passwd:1:1"), None, "messages are no traces");
    }

    #[test]
    fn words_of_a_trace_in_a_message_are_none() {
        const TRUE: &str = "\n\nStack backtrace:\n   0: shop::cart::load\n             at ./src/cart.rs:88:9\n";
        let message =
            "no such file\n\nStack backtrace:\n   0: evil::call\n             at /etc/passwd:1:1\n\nLocation:\n    src/cart.rs:88:9";

        let frames = report(&[message, TRUE].concat()).unwrap_or_default().frames;

        assert_eq!(frames.iter().filter_map(|frame| frame.function.as_deref()).collect::<Vec<_>>(), ["shop::cart::load"]);
    }
}
