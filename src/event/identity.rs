//! What identifies a failure: the types and texts of its error, or the texts of a log.
//!
//! Texts are kept as hashes, because an identity outlives its event. Whether two identities are the
//! same failure is decided in `same`.

use std::error::Error;
use std::fmt::Write as _;

use super::hint::ErrorNotes;
use super::text_hash::{self, TextHash};
use super::type_name;
use crate::fork::Lazy;
use crate::protocol::Exception;
use crate::record::{FieldReader, FieldValue, Key, LogRecord};
use crate::unwind;

/// At most this many colons of a log's text are checked.
const CONTEXTS_LIMIT: usize = 8;

/// The identity of a failure.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailureIdentity {
    /// The outermost error. For a log that contains only an error: its text.
    pub(super) outermost: Option<LinkIdentity>,
    /// Its causes, from the outside in.
    pub(super) causes: Vec<LinkIdentity>,
    /// Other texts that show the chain or a part of it: alternate and `Debug` output.
    pub(super) forms: Vec<TextHash>,
    /// The texts of a log that may be those of an error.
    pub(super) log_texts: Vec<TextHash>,
    /// The chains of texts that a log shows in the format of `anyhow` and `eyre`.
    pub(super) reports: Vec<Vec<TextHash>>,
    /// The type names at the start of a log's texts that look like `Debug` output.
    pub(super) debug_names: Vec<TextHash>,
    /// The ids of the `tracing` spans around a log that contains only an error, innermost first.
    pub(super) spans: Vec<u64>,
}

/// The identity of one error of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkIdentity {
    pub(super) text: TextHash,
    /// The first word of its `Debug` output. None for a log, which does not know it.
    pub(super) name: Option<TextHash>,
    /// The path of its type, if that is known.
    pub(super) path: Option<TextHash>,
}

/// An error's chain with its identity.
#[derive(Clone, Debug, Default)]
pub(crate) struct ErrorChain {
    /// Outermost first.
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) identity: FailureIdentity,
    /// The data that a hook has added for the error.
    pub(crate) notes: ErrorNotes,
    /// The names of types that wrap or are wrapped by errors of the chain, for the rules of the user.
    pub(crate) seen_through: Vec<String>,
}

/// Which `Debug` output of an error may be read.
///
/// Reading it may resolve a stack trace inside the error, which takes up to half a second.
#[derive(Clone, Debug)]
pub(crate) enum DebugOutput {
    Any,
    /// Only of types whose output was logged before: their stack traces are resolved already.
    OfTypes(Vec<TextHash>),
}

impl Default for DebugOutput {
    fn default() -> Self {
        Self::OfTypes(Vec::new())
    }
}

impl DebugOutput {
    /// For a capture. A log with the error's `Debug` output may follow it, so that output is read now.
    ///
    /// If errors take stack traces, it is not read, because reading it would resolve them.
    pub(crate) fn of_capture(self) -> Self {
        static TAKES_TRACES: Lazy<bool> = Lazy::new(|| {
            let is_set = |name: &str| std::env::var_os(name).map(|value| value != "0");
            is_set("RUST_LIB_BACKTRACE").or_else(|| is_set("RUST_BACKTRACE")).unwrap_or(false)
        });
        if *TAKES_TRACES { self } else { Self::Any }
    }
}

impl FailureIdentity {
    /// The links of the chain, outermost first.
    pub(super) fn links(&self) -> impl DoubleEndedIterator<Item = &LinkIdentity> {
        self.outermost.iter().chain(&self.causes)
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.outermost.is_some()) + self.causes.len()
    }

    /// Whether nothing identifies the failure.
    pub(super) fn is_unknown(&self) -> bool {
        self.outermost.is_none() && self.log_texts.is_empty()
    }

    /// Whether the links are those of an error, and not texts of a log.
    pub(super) fn has_error(&self) -> bool {
        self.outermost.is_some_and(|link| link.name.is_some())
    }

    /// The types whose `Debug` output a log may have shown.
    pub(crate) fn debug_names(&self) -> &[TextHash] {
        &self.debug_names
    }

    fn push(&mut self, link: LinkIdentity) {
        match self.outermost {
            None => self.outermost = Some(link),
            Some(_) => self.causes.push(link),
        }
    }

    /// Adds an error of a chain, whose exception is `shown`.
    pub(super) fn push_error(&mut self, error: &(dyn Error + 'static), shown: &Exception, debug: &DebugOutput) {
        let text = shown.value.as_deref().unwrap_or_default();
        let name = match (&shown.module, &shown.kind) {
            (None, Some(word)) => text_hash::of(word),
            // The kind is the exact type.
            _ => text_hash::of(&type_name::of_debug(error)),
        };
        let path = shown.module.as_deref().map(|module| text_hash::of_all(&[module, "::", shown.kind.as_deref().unwrap_or_default()]));
        self.push(LinkIdentity { text: text_hash::of(text), name: Some(name), path });
        let may_read = match debug {
            DebugOutput::Any => true,
            DebugOutput::OfTypes(names) => names.contains(&name),
        };
        // The `Debug` output of a text in a box is the text in quotes.
        if shown.module.is_none() && shown.kind.as_deref() == Some(type_name::UNKNOWN) {
            self.forms.push(text_hash::of_output(format_args!("{text:?}")));
        }
        if may_read {
            // A form whose formatting panics is left out.
            for form in [format_args!("{error:?}"), format_args!("{error:#?}"), format_args!("{error:#}")] {
                self.forms.extend(unwind::catch(|| text_hash::of_output(form)));
            }
        }
    }

    /// Adds a text that stands for an error.
    pub(super) fn push_text(&mut self, name: &str, text: &str) {
        self.push(LinkIdentity { text: text_hash::of(text), name: Some(text_hash::of(name)), path: None });
        self.forms.push(text_hash::of_output(format_args!("{text:?}")));
    }

    /// Adds `outer: inner`, the alternate form of `anyhow` and `eyre`, of each error with a cause.
    pub(super) fn push_joined(&mut self, chain: &[Exception]) {
        let texts: Vec<_> = chain.iter().map(|exception| exception.value.as_deref().unwrap_or_default()).collect();
        for start in 0..texts.len().saturating_sub(1) {
            let mut hasher = text_hash::Hasher::default();
            for (place, text) in texts.iter().skip(start).enumerate() {
                // The writer returns an error once it has enough bytes to compare.
                let _ = hasher.write_str(if place == 0 { "" } else { ": " }).and_then(|()| hasher.write_str(text));
            }
            self.forms.push(hasher.finish());
        }
    }

    /// The identity of a log without an error.
    ///
    /// `error_fields` says which fields may show an error, one bit each. `spans` are the ids of the
    /// spans around it.
    pub(crate) fn of_log(log: &LogRecord, error_fields: u32, spans: impl FnOnce() -> Vec<u64>) -> Self {
        /// A field other than the message and error fields may equal a shorter text by chance.
        const SHORTEST: usize = 4;
        let mut identity = Self::default();
        let names = log.metadata.fields();
        let may_show = |key: &Key<'_>| matches!(key, Key::Index(index) if error_fields.checked_shr((*index).into()).unwrap_or(0) & 1 == 1);
        for (key, value) in FieldReader::new(&log.fields) {
            let FieldValue::Text(text) = value else { continue };
            if may_show(&key)
                && (text.len() >= SHORTEST || key.name(Some(names)).is_some_and(|name| is_error_field(name) || name == "message"))
            {
                identity.push_log_text(text);
            }
        }
        let shows_only_an_error = names.len() == 1 && names.iter().all(|field| is_error_field(field.name()));
        if shows_only_an_error && let Some(text) = identity.log_texts.first().copied() {
            let shown = identity.reports.first().cloned().unwrap_or_else(|| vec![text]);
            for text in shown {
                identity.push(LinkIdentity { text, name: None, path: None });
            }
            identity.spans = spans();
        }
        identity
    }

    fn push_log_text(&mut self, text: &str) {
        /// A message may end with a shorter text by chance.
        const SHORTEST_AFTER_CONTEXT: usize = 16;
        let shown = without_trace(text);
        if shown.is_empty() {
            return;
        }
        self.log_texts.push(text_hash::of(shown));
        // `context: error`, in which the context may have colons too.
        for (place, colon) in shown.match_indices(": ").take(CONTEXTS_LIMIT) {
            let error = shown.get(place + colon.len()..).unwrap_or_default();
            if error.len() >= SHORTEST_AFTER_CONTEXT && error.contains(' ') {
                self.log_texts.push(text_hash::of(error));
                self.debug_names.extend(name_of_debug(error));
            }
        }
        if shown.len() != text.len() {
            self.log_texts.push(text_hash::of(text));
        }
        self.reports.extend(links_of_report(shown));
        self.debug_names.extend(name_of_debug(shown));
    }
}

impl ErrorChain {
    /// A panic, with the errors in its payload.
    pub(super) fn of_exceptions(exceptions: Vec<Exception>) -> Self {
        let mut identity = FailureIdentity::default();
        for Exception { kind, value, .. } in &exceptions {
            identity.push_text(kind.as_deref().unwrap_or_default(), value.as_deref().unwrap_or_default());
        }
        Self { exceptions, identity, ..Self::default() }
    }

    /// A text that stands for an error.
    pub(super) fn of_text(module: Option<&str>, kind: &str, text: &str) -> Self {
        let mut identity = FailureIdentity::default();
        identity.push_text(kind, text);
        let (module, kind, value) = (module.map(str::to_owned), Some(kind.to_owned()), Some(text.to_owned()));
        Self { exceptions: vec![Exception { kind, value, module, ..Exception::default() }], identity, ..Self::default() }
    }
}

/// Whether a field of this name shows an error, whatever the type of its value.
pub(crate) fn is_error_field(name: &str) -> bool {
    matches!(name, "error" | "err" | "exception" | "error.message" | "exception.message")
}

/// A report without the stack trace or location at its end.
fn without_trace(text: &str) -> &str {
    ["\n\nStack backtrace:\n", "\n\nLocation:\n"]
        .iter()
        .filter_map(|mark| text.split_once(mark))
        .fold(text, |shortest, (head, _)| if head.len() < shortest.len() { head } else { shortest })
}

/// Reads the texts of a chain from the `Debug` output of `anyhow` and `eyre`.
fn links_of_report(text: &str) -> Option<Vec<TextHash>> {
    let (outermost, causes) = text.split_once("\n\nCaused by:\n")?;
    let mut links = vec![outermost.to_owned()];
    for line in causes.lines() {
        let number = line.trim_start().split_once(": ").filter(|(number, _)| *number == (links.len() - 1).to_string());
        match (number, links.len()) {
            (Some((_, text)), _) => links.push(text.to_owned()),
            // A single cause has no number.
            (None, 1) => links.push(line.trim_start().to_owned()),
            // A further line of the same cause.
            (None, _) => links.last_mut()?.extend(["\n", line.trim_start()]),
        }
    }
    Some(links.iter().map(|text| text_hash::of(text)).collect())
}

/// The name at the start of a text like `DbError("timeout")` or `DbError { .. }`.
fn name_of_debug(text: &str) -> Option<TextHash> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    let end = text.find(|letter| !is_part(letter)).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    let is_type = name.starts_with(char::is_uppercase) || name.contains("::");
    (is_type && (rest.is_empty() || rest.starts_with('(') || rest.starts_with(" {"))).then(|| text_hash::of(name))
}
