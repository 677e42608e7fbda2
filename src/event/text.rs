//! Parses stack traces inside `anyhow` and `eyre` errors, which stable Rust exposes only as text.

use super::symbols;
use crate::protocol::Frame;

/// Parses a trace in the format of the standard library, with or without addresses.
///
/// Returns its frames, innermost first.
pub(crate) fn trace(text: &str) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(place) = line.strip_prefix("at ") {
            if let Some(frame) = frames.last_mut() {
                stand_at(frame, place);
            }
        } else if let Some((address, function)) = function(line, !frames.is_empty()) {
            frames.push(named(address, function));
        }
    }
    frames
}

/// Parses a report of `eyre`: the trace at its end, or the location where the report was made.
///
/// The text before it consists of messages, which may contain any text. So only the last marker counts.
#[cfg_attr(not(any(feature = "eyre", test)), expect(dead_code, reason = "only eyre gives a report"))]
pub(crate) fn report(text: &str) -> Vec<Frame> {
    const TRACE: &str = "\n\nStack backtrace:\n";
    const PLACE: &str = "\n\nLocation:\n";
    if let Some(start) = text.rfind(TRACE) {
        return trace(text.get(start + TRACE.len()..).unwrap_or_default());
    }
    let Some(start) = text.rfind(PLACE) else { return Vec::new() };
    let mut frame = Frame::default();
    stand_at(&mut frame, text.get(start + PLACE.len()..).unwrap_or_default().trim());
    frame.lineno.is_some().then_some(frame).into_iter().collect()
}

/// Parses `3: shop::cart::load` and `3: 0x55d4c3a0 - shop::cart::load`.
///
/// An inlined call has no number and stands below the call it was inlined into.
fn function(line: &str, has_caller: bool) -> Option<(Option<&str>, &str)> {
    let function = match line.split_once(": ") {
        Some((number, function)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => function,
        _ => return (has_caller && line.contains("::") && !line.contains(' ')).then_some((None, line)),
    };
    let (address, name) = function.trim_start().split_once(" - ").filter(|(address, _)| address.starts_with("0x")).unzip();
    Some((address, name.unwrap_or(function)))
}

fn named(address: Option<&str>, function: &str) -> Frame {
    let mut frame = Frame { instruction_addr: address.and_then(inside_the_call), ..Frame::default() };
    if function != "<unknown>" {
        symbols::set_function(&mut frame, &without_disambiguators(function));
    }
    frame
}

/// A printed address is a return address. The byte before it is still inside the call.
fn inside_the_call(printed: &str) -> Option<String> {
    let address = u64::from_str_radix(printed.strip_prefix("0x")?, 16).ok()?;
    Some(format!("{:#x}", address.saturating_sub(1)))
}

/// Returns `std::backtrace::capture` for `std[e28293b1aa0f68bd]::backtrace::capture`.
///
/// The format with addresses contains the compiler's number of each crate.
fn without_disambiguators(function: &str) -> String {
    let mut plain = String::with_capacity(function.len());
    let mut rest = function;
    while let Some((before, after)) = rest.split_once('[') {
        plain.push_str(before);
        let number = after.split_once("]::").filter(|(number, _)| number.len() >= 8 && number.bytes().all(|byte| byte.is_ascii_hexdigit()));
        rest = if let Some((_, path)) = number {
            plain.push_str("::");
            path
        } else {
            plain.push('[');
            after
        };
    }
    plain + rest
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

        let frames = trace(text);

        let shown: Vec<_> =
            frames.iter().map(|frame| (frame.function.as_deref().unwrap_or("-"), frame.abs_path.as_deref(), frame.lineno)).collect();
        assert_eq!(
            shown,
            [
                ("<E as core::convert::Into>::into", Some("/rustc/abc/library/core/src/convert/mod.rs"), Some(716)),
                ("shop::cart::load", Some("./src/cart.rs"), Some(88)),
                ("shop::cart::inlined", Some("./src/cart.rs"), Some(12)),
                ("shop::main", Some("./src/main.rs"), Some(5)),
                ("std::sys::backtrace::__rust_begin_short_backtrace", None, None),
                ("main", None, None),
            ]
        );
    }

    #[test]
    fn a_trace_of_a_stripped_binary_has_addresses_and_no_names() {
        let text =
            "   0:     0x5581d2a0b3c4 - shop::cart::load::h0123456789abcdef\n   1:     0x5581d2a0b3ff - <unknown>\n   2: <unknown>\n";

        let frames = trace(text);

        let shown: Vec<_> = frames.iter().map(|frame| (frame.instruction_addr.as_deref(), frame.function.as_deref())).collect();
        let numbered = "<std[e28293b1aa0f68bd]::fs::File as core[17c1a5fb3f4e8f29]::convert::From<[u8; 4]>>::from";
        assert_eq!(without_disambiguators(numbered), "<std::fs::File as core::convert::From<[u8; 4]>>::from");
        assert_eq!(shown, [(Some("0x5581d2a0b3c3"), Some("shop::cart::load")), (Some("0x5581d2a0b3fe"), None), (None, None)]);
    }

    #[test]
    fn a_place_stands_for_a_trace_that_was_not_taken() {
        let text = "the cart is gone\n\nCaused by:\n    0: user jane unknown\n    1: a::b\n    at /etc/passwd:1:1\n\nLocation:\n    src/cart.rs:88:9";
        let frames = report(text);

        assert_eq!((frames.len(), frames[0].abs_path.as_deref(), frames[0].lineno), (1, Some("src/cart.rs"), Some(88)));
        assert_eq!(report("the cart is gone: see 3: no::way\n at /etc/passwd:1:1"), [], "messages are no traces");
    }

    #[test]
    fn words_of_a_trace_in_a_message_are_none() {
        const TRUE: &str = "\n\nStack backtrace:\n   0: shop::cart::load\n             at ./src/cart.rs:88:9\n";
        let message =
            "no such file\n\nStack backtrace:\n   0: evil::call\n             at /etc/passwd:1:1\n\nLocation:\n    src/cart.rs:88:9";

        let frames = report(&[message, TRUE].concat());

        assert_eq!(frames.iter().filter_map(|frame| frame.function.as_deref()).collect::<Vec<_>>(), ["shop::cart::load"]);
    }
}
