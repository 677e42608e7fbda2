//! Errors as Sentry wants them: a chain of types and messages, and the frames of the place where it began.

mod backtrace;
mod grouping;
pub(crate) mod images;
mod in_app;
pub(crate) mod source;
pub(crate) mod text;
mod type_name;

use std::cell::Cell;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(crate) use backtrace::{addresses, stacktrace};
pub(crate) use grouping::fingerprint;

use crate::protocol::{Exception, Level, Mechanism};

/// Causes beyond this are left out: a chain may be endless, or a circle.
const CAUSES_LIMIT: usize = 10;
/// Sentry keeps this much of a message.
const MESSAGE_LIMIT: usize = 8 * 1024;

/// The chain of `error`, outermost first. `type_name` is the outermost's where the caller knows it.
pub(crate) fn chain(error: &(dyn Error + 'static), type_name: Option<&str>) -> Vec<Exception> {
    let mut chain = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        if chain.len() > CAUSES_LIMIT {
            break;
        }
        let mut exception = Exception { value: Some(message(error)), ..Exception::default() };
        match type_name.filter(|_| chain.is_empty()) {
            Some(path) => {
                let (module, name) = type_name::split(path);
                exception.kind = Some(name);
                exception.module = module.map(str::to_owned);
            }
            None => exception.kind = Some(type_name::of_debug(error)),
        }
        chain.push(exception);
        next = contained(|| error.source()).flatten();
    }
    chain
}

/// A panic as a chain of one.
pub(crate) fn panic(message: &str) -> Vec<Exception> {
    vec![Exception { kind: Some("panic".to_owned()), value: Some(message.to_owned()), ..Exception::default() }]
}

/// A text that stands for an error.
pub(crate) fn text_alone(text: &str) -> Vec<Exception> {
    vec![Exception { kind: Some("Error".to_owned()), value: Some(text.to_owned()), ..Exception::default() }]
}

/// Gives each entry its place in the chain; all share one `handled`, since any `false` marks the session as crashed.
pub(crate) fn mechanisms(chain: &mut [Exception], kind: &str, handled: bool) {
    for (id, exception) in (0..).zip(chain) {
        exception.mechanism = Some(match id {
            0_u32 => Mechanism { kind: kind.to_owned(), handled: Some(handled), exception_id: Some(0), ..Mechanism::default() },
            id => Mechanism {
                kind: "chained".to_owned(),
                handled: Some(handled),
                exception_id: Some(id),
                parent_id: Some(id - 1),
                source: Some("source()".to_owned()),
            },
        });
    }
}

/// The level of an event by how its failure was caught.
pub(crate) fn level(mechanism: &str) -> Level {
    if mechanism == "panic" { Level::Fatal } else { Level::Error }
}

fn message(error: &dyn Error) -> String {
    let mut text = Bounded { text: String::new(), limit: MESSAGE_LIMIT };
    // An error of the writer is our own, at the limit.
    match contained(|| write!(text, "{error}")) {
        Some(_) => text.text,
        None => "<the error's Display panicked>".to_owned(),
    }
}

/// What a value's `Debug` shows, up to the length of a message.
pub(crate) fn shown(value: &dyn fmt::Debug) -> String {
    let mut text = Bounded { text: String::new(), limit: MESSAGE_LIMIT };
    // An error of the writer is our own, at the limit.
    let _ = contained(|| write!(text, "{value:?}"));
    text.text
}

/// A text of the user's making, up to a limit of bytes; none if making it panicked.
#[cfg(any(feature = "anyhow", feature = "eyre"))]
pub(crate) fn limited(text: fmt::Arguments<'_>, limit: usize) -> Option<String> {
    let mut limited = Bounded { text: String::new(), limit };
    // An error of the writer is our own, at the limit.
    let _ = contained(|| limited.write_fmt(text))?;
    Some(limited.text)
}

/// Runs code of the user that may panic: a `Display`, a hook. The panic hook reports nothing of what happens in here.
pub(crate) fn contained<T>(code: impl FnOnce() -> T) -> Option<T> {
    let before = CONTAINED.try_with(|contained| contained.replace(true)).unwrap_or(true);
    let result = catch_unwind(AssertUnwindSafe(code)).ok();
    let _ = CONTAINED.try_with(|contained| contained.set(before));
    result
}

/// Whether a panic here stays with us.
pub(crate) fn is_contained() -> bool {
    CONTAINED.try_with(Cell::get).unwrap_or(true)
}

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Stops a formatting that writes too much.
struct Bounded {
    text: String,
    limit: usize,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.limit - self.text.len();
        if text.len() > room {
            self.text.push_str(text.get(..(0..=room).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)).unwrap_or_default());
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Link(usize);

    impl fmt::Display for Link {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "link {}", self.0)
        }
    }

    impl Error for Link {
        // A circle: every link is caused by the same one.
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            static AGAIN: Link = Link(1);
            Some(&AGAIN)
        }
    }

    #[test]
    fn a_circle_of_causes_is_cut() {
        let chain = chain(&Link(0), Some("shop::cart::Link"));

        assert_eq!(chain.len(), CAUSES_LIMIT + 1);
        assert_eq!(chain.first().and_then(|first| first.module.as_deref()), Some("shop::cart"));
        assert_eq!(chain.get(1).and_then(|cause| cause.kind.as_deref()), Some("Link"));
    }

    #[test]
    fn a_display_that_panics_or_never_ends_is_contained() {
        #[derive(Debug)]
        struct Panics;
        impl fmt::Display for Panics {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("in Display")
            }
        }
        impl Error for Panics {}
        #[derive(Debug)]
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("again and again ")?;
                }
            }
        }
        impl Error for Endless {}

        let value = |error: &(dyn Error + 'static)| chain(error, None).into_iter().next().and_then(|first| first.value);

        assert_eq!(value(&Panics).as_deref(), Some("<the error's Display panicked>"));
        assert_eq!(value(&Endless).map(|text| text.len()), Some(MESSAGE_LIMIT));
    }

    #[test]
    fn mechanisms_point_to_their_parents() {
        let mut chain = chain(&Link(0), None);
        chain.truncate(3);

        mechanisms(&mut chain, "auto.http.tower", false);

        let parents: Vec<_> =
            chain.iter().map(|exception| exception.mechanism.as_ref().and_then(|mechanism| mechanism.parent_id)).collect();
        assert_eq!(parents, [None, Some(0), Some(1)]);
        let ids = chain.iter().map(|exception| exception.mechanism.as_ref().and_then(|mechanism| mechanism.exception_id));
        assert_eq!(ids.collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
        assert!(chain.iter().all(|exception| exception.mechanism.as_ref().is_some_and(|mechanism| mechanism.handled == Some(false))));
    }
}
