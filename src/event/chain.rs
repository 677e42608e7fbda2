//! The chain of an error: its types and messages, outermost first.

use std::error::Error;
use std::fmt::{self, Write as _};

use super::identity::{DebugOutput, ErrorChain, FailureIdentity};
use super::type_name;
use crate::protocol::{Exception, Level, Mechanism};
use crate::record::{CUT_MARK, TRUNCATED, cut, without_cut_word};
use crate::unwind;

/// Causes beyond this limit are left out: a chain may be endless or a circle.
const CAUSES_LIMIT: usize = 10;
/// The mechanism of panics.
pub(super) const PANIC: &str = "panic";
/// The longest word that is removed at a cut, as `without_cut_word` has it.
const CUT_WORD_LIMIT: usize = 256;
/// The length of a message that Sentry keeps, in bytes.
const MESSAGE_LIMIT: usize = 8 * 1024;

/// Returns the chain of `error`, outermost first.
///
/// `type_name` is the type of the outermost error, if the caller knows it. `debug` says which
/// `Debug` output may be read, to recognise it in logs.
pub(crate) fn chain(error: &(dyn Error + 'static), type_name: Option<&str>, debug: &DebugOutput) -> ErrorChain {
    let mut chain = Vec::new();
    let mut identity = FailureIdentity::default();
    let path = type_name.and_then(type_name::without_pointers);
    let mut next = Some(error);
    while let Some(error) = next {
        if chain.len() > CAUSES_LIMIT {
            mark_left_out(&mut chain);
            break;
        }
        let mut exception = Exception { value: Some(message(error)), ..Exception::default() };
        let inner = type_name::inside_io(error);
        match path.filter(|_| chain.is_empty() && inner.is_none()) {
            Some(path) => {
                let (module, name) = type_name::split(path);
                exception.kind = Some(name);
                exception.module = module.map(str::to_owned);
            }
            None => exception.kind = Some(inner.unwrap_or_else(|| type_name::of_debug(error))),
        }
        identity.push_error(error, &exception, debug);
        chain.push(exception);
        next = unwind::catch(|| error.source()).flatten();
    }
    if chain.len() > 1 {
        identity.push_joined(&chain);
    }
    ErrorChain { exceptions: chain, identity, ..ErrorChain::default() }
}

/// Returns the names of the types that wrap errors of a chain or are wrapped by them. `exceptions` is the chain.
pub(crate) fn seen_through(error: &(dyn Error + 'static), exceptions: &[Exception]) -> Vec<String> {
    let mut names = Vec::new();
    let mut next = Some(error);
    for exception in exceptions {
        let Some(error) = next else { break };
        if type_name::inside_io(error).is_some() {
            names.extend(type_name::IO.map(str::to_owned));
        }
        type_name::add_wrapped(&mut names, error, exception);
        next = unwind::catch(|| error.source()).flatten();
    }
    names
}

/// Says in the last entry that it has further causes.
#[cold]
fn mark_left_out(chain: &mut [Exception]) {
    if let Some(last) = chain.last_mut() {
        let data = [(TRUNCATED.to_owned(), "further causes are left out".into())];
        last.mechanism = Some(Mechanism { data: data.into_iter().collect(), ..Mechanism::default() });
    }
}

/// The number of texts of a chain that were cut, plus one if causes were left out.
pub(super) fn truncated(chain: &[Exception]) -> u32 {
    let count = |exception: &Exception| {
        let is_last = exception.mechanism.as_ref().is_some_and(|mechanism| mechanism.data.contains_key(TRUNCATED));
        u32::from(is_last) + u32::from(exception.value.as_deref().is_some_and(is_cut))
    };
    chain.iter().map(count).sum()
}

/// Whether a text was cut at the length of a message: it ends with the mark, and without the word at
/// the cut it is nearly as long.
pub(super) fn is_cut(text: &str) -> bool {
    text.len() + 2 * CUT_WORD_LIMIT > MESSAGE_LIMIT && text.ends_with(CUT_MARK)
}

/// Returns a text that stands for an error, as a chain of one entry.
pub(super) fn text_alone(text: &str) -> ErrorChain {
    ErrorChain::of_text(None, type_name::UNKNOWN, text)
}

/// Like [`text_alone`], with the path of the type that the text is about.
pub(crate) fn described(path: &str, text: &str) -> ErrorChain {
    let (module, name) = type_name::split(type_name::without_pointers(path).unwrap_or(path));
    ErrorChain::of_text(module, &name, text)
}

/// Sets the mechanism of each entry: its position in the chain, and `handled`.
///
/// All entries share one `handled`, because a single `false` marks the session as crashed.
pub(crate) fn mechanisms(chain: &mut [Exception], kind: &str, handled: bool) {
    for (id, exception) in (0..).zip(chain) {
        let data = exception.mechanism.take().map(|mechanism| mechanism.data).unwrap_or_default();
        exception.mechanism = Some(match id {
            0_u32 => Mechanism { kind: kind.to_owned(), handled: Some(handled), exception_id: Some(0), data, ..Mechanism::default() },
            id => Mechanism {
                kind: "chained".to_owned(),
                handled: Some(handled),
                exception_id: Some(id),
                parent_id: Some(id - 1),
                source: Some("source()".to_owned()),
                data,
                ..Mechanism::default()
            },
        });
    }
}

/// Returns the level of an event from the mechanism that caught its failure.
pub(crate) fn level(mechanism: &str) -> Level {
    if mechanism == PANIC { Level::Fatal } else { Level::Error }
}

fn message(error: &dyn Error) -> String {
    let mut text = Bounded { text: String::new(), limit: MESSAGE_LIMIT };
    // The writer returns an error only at the limit.
    match unwind::catch(|| write!(text, "{error}")) {
        Some(_) => text.text,
        None => "<the error's Display panicked>".to_owned(),
    }
}

/// Returns the `Debug` text of a value, cut at the length of a message.
pub(crate) fn shown(value: &dyn fmt::Debug) -> String {
    let mut text = Bounded { text: String::new(), limit: MESSAGE_LIMIT };
    // The writer returns an error only at the limit.
    let _ = unwind::catch(|| write!(text, "{value:?}"));
    text.text
}

/// Formats a user's text, cut at the length of a message.
///
/// Returns `None` if formatting panicked.
pub(crate) fn limited(text: fmt::Arguments<'_>) -> Option<String> {
    limited_to(text, MESSAGE_LIMIT)
}

/// Cuts a text at the length of a message.
pub(super) fn within_limit(text: String) -> String {
    if text.len() <= MESSAGE_LIMIT { text } else { shown(&format_args!("{text}")) }
}

/// Like [`limited`], cut at `limit` bytes.
pub(crate) fn limited_to(text: fmt::Arguments<'_>, limit: usize) -> Option<String> {
    let mut limited = Bounded { text: String::new(), limit };
    // The writer returns an error only at the limit.
    let _ = unwind::catch(|| limited.write_fmt(text))?;
    Some(limited.text)
}

/// A writer that stops formatting at a limit of bytes, and marks that.
struct Bounded {
    text: String,
    limit: usize,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.limit - self.text.len();
        if text.len() > room {
            self.text.push_str(cut(text, room));
            let kept = cut(&self.text, self.limit.saturating_sub(CUT_MARK.len())).len();
            self.text.truncate(kept);
            self.text.truncate(without_cut_word(&self.text).len());
            self.text.push_str(CUT_MARK);
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_DEBUG: DebugOutput = DebugOutput::OfTypes(Vec::new());

    #[derive(Debug)]
    struct Link(usize);

    impl fmt::Display for Link {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "link {}", self.0)
        }
    }

    impl Error for Link {
        // A circle: every link has the same cause.
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            static AGAIN: Link = Link(1);
            Some(&AGAIN)
        }
    }

    #[test]
    fn a_circle_of_causes_is_cut() {
        let chain = chain(&Link(0), Some("shop::cart::Link"), &NO_DEBUG).exceptions;

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

        let value =
            |error: &(dyn Error + 'static)| chain(error, None, &NO_DEBUG).exceptions.into_iter().next().and_then(|first| first.value);

        assert_eq!(value(&Panics).as_deref(), Some("<the error's Display panicked>"));
        // Without the word at the cut.
        assert!(
            value(&Endless).is_some_and(|text| (MESSAGE_LIMIT - 12..=MESSAGE_LIMIT).contains(&text.len()) && text.ends_with("again and…"))
        );
    }

    #[test]
    fn mechanisms_point_to_their_parents() {
        let mut chain = chain(&Link(0), None, &NO_DEBUG).exceptions;
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
