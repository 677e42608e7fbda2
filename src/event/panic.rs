//! Turns the payload of a panic into a chain of exceptions.

use std::any::type_name;
use std::error::Error;
use std::fmt::{Debug, Display};
use std::io;

use super::chain::chain;
use super::identity::DebugOutput;
use crate::protocol::Exception;
use crate::unwind::{self, Payload};

/// The value of a panic whose payload has another type.
///
/// Stable Rust gives no name for the type of a value behind `dyn Any`.
const UNKNOWN: &str = "the panic's payload is of a type that cannot be shown";

/// Where the payload is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadIn {
    /// In the panic hook. A panic of the user's `Display` would end the process, so `Display` runs on another
    /// thread.
    Hook,
    /// After the hook.
    Watch,
}

/// Returns a panic as a chain: the panic with its text and, if its payload is an error, that error
/// with its sources.
pub(super) fn panic_chain(payload: &Payload, place: ReadIn) -> Vec<Exception> {
    // `panic_any(payload)` with the box of another panic puts a box into a box.
    let mut payload = payload;
    while let Some(inner) = payload.downcast_ref::<Box<Payload>>() {
        payload = &**inner;
    }
    if let Some(text) = unwind::text(payload) {
        return vec![panic(super::shown(&format_args!("{text}")))];
    }
    if let Some(errors) = errors(payload, place) {
        let text = errors.first().and_then(|outermost| outermost.value.clone());
        let mut chain = vec![panic(text.unwrap_or_default())];
        chain.extend(errors);
        return chain;
    }
    vec![panic(value(payload).unwrap_or_else(|| UNKNOWN.to_owned()))]
}

fn panic(text: String) -> Exception {
    Exception { kind: Some("panic".to_owned()), value: Some(text), ..Exception::default() }
}

/// The chain of an error in the payload: a boxed error, or one of a few known types.
fn errors(payload: &Payload, place: ReadIn) -> Option<Vec<Exception>> {
    if let Some(error) = payload.downcast_ref::<Box<dyn Error + Send + Sync>>() {
        return Some(read(&**error, None, place));
    }
    #[cfg(feature = "anyhow")]
    if let Some(error) = payload.downcast_ref::<anyhow::Error>() {
        return Some(read(error.as_ref(), None, place));
    }
    #[cfg(feature = "eyre")]
    if let Some(error) = payload.downcast_ref::<eyre::Report>() {
        return Some(read(error.as_ref(), None, place));
    }
    if let Some(error) = payload.downcast_ref::<Box<dyn Error + Send>>() {
        // This box is not `Sync`, so another thread cannot read it.
        let unread = || vec![Exception { kind: Some("Box<dyn Error + Send>".to_owned()), ..Exception::default() }];
        return Some(if place == ReadIn::Hook { unread() } else { chain(&**error, None, &DebugOutput::default()).exceptions });
    }
    typed::<io::Error>(payload, place)
        .or_else(|| typed::<std::fmt::Error>(payload, place))
        .or_else(|| typed::<std::num::ParseIntError>(payload, place))
        .or_else(|| typed::<std::num::ParseFloatError>(payload, place))
        .or_else(|| typed::<std::str::Utf8Error>(payload, place))
        .or_else(|| typed::<std::string::FromUtf8Error>(payload, place))
        .or_else(|| typed::<std::env::VarError>(payload, place))
        .or_else(|| typed::<std::net::AddrParseError>(payload, place))
        .or_else(|| typed::<std::time::SystemTimeError>(payload, place))
}

fn typed<E: Error + Send + Sync + 'static>(payload: &Payload, place: ReadIn) -> Option<Vec<Exception>> {
    payload.downcast_ref::<E>().map(|error| read(error, Some(type_name::<E>()), place))
}

fn read(error: &(dyn Error + Send + Sync + 'static), type_name: Option<&str>, place: ReadIn) -> Vec<Exception> {
    let read = || chain(error, type_name, &DebugOutput::default()).exceptions;
    match place {
        ReadIn::Hook => unwind::catch_aside(read).unwrap_or_default(),
        ReadIn::Watch => read(),
    }
}

/// A simple value, shown with its type.
fn value(payload: &Payload) -> Option<String> {
    fn number<T: Display + 'static>(payload: &Payload) -> Option<String> {
        payload.downcast_ref::<T>().map(|value| format!("{value} ({})", type_name::<T>()))
    }
    fn plain<T: Debug + 'static>(payload: &Payload) -> Option<String> {
        payload.downcast_ref::<T>().map(|value| format!("{value:?}"))
    }
    let unsigned = number::<u8>(payload).or_else(|| number::<u16>(payload)).or_else(|| number::<u32>(payload));
    let unsigned = unsigned.or_else(|| number::<u64>(payload)).or_else(|| number::<u128>(payload)).or_else(|| number::<usize>(payload));
    let signed = || number::<i8>(payload).or_else(|| number::<i16>(payload)).or_else(|| number::<i32>(payload));
    let long = || number::<i64>(payload).or_else(|| number::<i128>(payload)).or_else(|| number::<isize>(payload));
    unsigned
        .or_else(signed)
        .or_else(long)
        .or_else(|| number::<f32>(payload).or_else(|| number::<f64>(payload)))
        .or_else(|| number::<bool>(payload).or_else(|| number::<char>(payload)))
        .or_else(|| plain::<()>(payload))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn what_a_payload_says_is_shown() {
        let boxed = |text: &str| -> Box<dyn Error + Send + Sync> { text.into() };
        let rows: Vec<(Box<Payload>, &[&str], &str)> = vec![
            (Box::new("literal"), &["panic"], "literal"),
            (Box::new(String::from("formatted")), &["panic"], "formatted"),
            (Box::new(Box::<str>::from("boxed text")), &["panic"], "boxed text"),
            (Box::new(Cow::<'static, str>::from("borrowed")), &["panic"], "borrowed"),
            (Box::new(boxed("boxed error")), &["panic", "Error"], "boxed error"),
            (Box::new(Box::new(io::Error::other("one thread")) as Box<dyn Error + Send>), &["panic", "io::Error"], "one thread"),
            (Box::new(io::Error::other("disk")), &["panic", "io::Error"], "disk"),
            (Box::new(std::fmt::Error), &["panic", "fmt::Error"], "an error occurred when formatting an argument"),
            (Box::new(7_i32), &["panic"], "7 (i32)"),
            (Box::new(7.5_f64), &["panic"], "7.5 (f64)"),
            (Box::new('x'), &["panic"], "x (char)"),
            (Box::new(()), &["panic"], "()"),
            (Box::new(Box::new("twice") as Box<Payload>), &["panic"], "twice"),
            (Box::new([7_u8; 3]), &["panic"], UNKNOWN),
        ];

        for (payload, types, text) in rows {
            let chain = panic_chain(&*payload, ReadIn::Watch);
            let kinds: Vec<_> = chain.iter().filter_map(|exception| exception.kind.as_deref()).collect();
            assert_eq!((&*kinds, chain.first().and_then(|panic| panic.value.as_deref())), (types, Some(text)));
        }
    }

    #[cfg(feature = "anyhow")]
    #[test]
    fn an_error_of_anyhow_shows_its_chain() {
        let error = anyhow::Error::from(io::Error::other("disk")).context("the cart is gone");

        let chain = panic_chain(&error, ReadIn::Hook);

        let texts: Vec<_> = chain.iter().filter_map(|exception| exception.value.as_deref()).collect();
        assert_eq!(texts, ["the cart is gone", "the cart is gone", "disk"]);
    }

    #[test]
    fn a_display_that_panics_is_kept_out_of_the_hook() {
        #[derive(Debug)]
        struct Panics;
        impl Display for Panics {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::panic::resume_unwind(Box::new("in Display"))
            }
        }
        impl Error for Panics {}
        let boxed: Box<dyn Error + Send + Sync> = Box::new(Panics);

        let chain = panic_chain(&boxed, ReadIn::Hook);

        assert_eq!(chain.first().and_then(|panic| panic.value.as_deref()), Some("<the error's Display panicked>"));
    }
}
