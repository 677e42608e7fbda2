//! The argument of hooks that run where a failure is captured: they read the error, and add data to its event.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::protocol::{Attachment, Level, Request, bounded};
use crate::record::{ScopeData, json_size};
use crate::unwind;

/// At most this many causes are searched: a chain may be endless or circular.
const CAUSES_LIMIT: usize = 10;

/// The original error, and what to add to its event: for
/// [`before_capture`](crate::ConfigBuilder::before_capture) and
/// [`TracingLayer::event_mapper`](crate::TracingLayer::event_mapper).
///
/// These hooks run where the error is captured, while the error itself still exists. The data that they set
/// belongs only to the event of the error, not to its request or to other events.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "test")] {
/// use std::io;
/// use tower_sentry::{Config, Level, Scope};
///
/// let config = Config::builder().before_capture(|hint| {
///     let Some(error) = hint.downcast_ref::<io::Error>() else { return };
///     match error.kind() {
///         io::ErrorKind::BrokenPipe => _ = hint.ignore(),
///         kind => _ = hint.set_tag("io", format!("{kind:?}")).set_level(Level::Warning),
///     }
/// });
/// let (sentry, captured) = tower_sentry::test::client_with(config);
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let work = async {
///     for kind in [io::ErrorKind::BrokenPipe, io::ErrorKind::TimedOut] {
///         Scope::current().capture_error(&io::Error::from(kind));
///     }
/// };
/// sentry.transaction("import").run_infallible(work).await;
/// # });
///
/// let events = captured.events();
/// assert_eq!((events.len(), events[0].tags["io"].as_str()), (1, "TimedOut"));
/// # }
/// ```
pub struct Hint<'a> {
    error: Option<&'a (dyn Error + 'static)>,
    request: &'a dyn Fn() -> Option<Request>,
    largest_file: usize,
    notes: ErrorNotes,
}

/// The data that a hook has added for the event of an error.
#[derive(Clone, Debug, Default)]
pub(crate) struct ErrorNotes {
    /// The error is not reported.
    pub(crate) is_ignored: bool,
    /// The data to add to that of the scope.
    pub(crate) set: Option<Box<ScopeData>>,
}

impl ErrorNotes {
    /// Adds the data of a later hook.
    pub(crate) fn add(&mut self, later: Self) {
        self.is_ignored |= later.is_ignored;
        match (&mut self.set, later.set) {
            (Some(set), Some(later)) => set.add(*later),
            (set, later) => *set = set.take().or(later),
        }
    }
}

impl<'a> Hint<'a> {
    /// `largest_file` is the limit of an attachment in bytes.
    pub(crate) fn new(error: Option<&'a (dyn Error + 'static)>, largest_file: usize, request: &'a dyn Fn() -> Option<Request>) -> Self {
        Self { error, request, largest_file, notes: ErrorNotes::default() }
    }

    pub(crate) fn into_notes(self) -> ErrorNotes {
        self.notes
    }

    /// The error that is captured. None in an event mapper, which has the fields of the `tracing` event.
    pub fn error(&self) -> Option<&'a (dyn Error + 'static)> {
        self.error
    }

    /// The first error of this type in the chain: the error itself, or one of at most ten causes.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&'a E> {
        let mut next = self.error;
        for _ in 0..=CAUSES_LIMIT {
            let error = next?;
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            next = unwind::catch(|| error.source()).flatten();
        }
        None
    }

    /// The request that is being served. None outside any request.
    ///
    /// It is not redacted yet. It contains neither headers with credentials, nor cookies, nor the body.
    /// On a sensitive route it contains only the method.
    pub fn request(&self) -> Option<Request> {
        (self.request)()
    }

    /// Drops the error's event. It is counted as dropped (`EventProcessor`).
    ///
    /// If the same failure is reported several times, one report that ignores it is enough.
    pub fn ignore(&mut self) -> &mut Self {
        self.notes.is_ignored = true;
        self
    }

    /// Sets a tag of the event.
    pub fn set_tag(&mut self, name: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> &mut Self {
        let value = value.to_string();
        self.set().set_tag(name.into(), value);
        self
    }

    /// Sets a context of the event. A value that is not an object is stored under the key `value`.
    pub fn set_context(&mut self, name: impl Into<String>, facts: impl Into<Value>) -> &mut Self {
        let facts = bounded(facts.into());
        let facts = if facts.is_object() { facts } else { serde_json::json!({ "value": facts }) };
        let size = json_size(&facts);
        self.set().set_context(name.into(), facts, size);
        self
    }

    /// Sets a single fact of the event, shown under "Additional Data".
    pub fn set_extra(&mut self, name: impl Into<String>, value: impl Into<Value>) -> &mut Self {
        let value = bounded(value.into());
        let size = json_size(&value);
        self.set().set_extra(name.into(), value, size);
        self
    }

    /// Sets the level of the event.
    pub fn set_level(&mut self, level: Level) -> &mut Self {
        self.set().set_level(Some(level));
        self
    }

    /// Sets the fingerprint by which the server groups the event.
    pub fn set_fingerprint<I>(&mut self, parts: I) -> &mut Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let parts = parts.into_iter().map(Into::into).collect();
        self.set().set_fingerprint(parts);
        self
    }

    /// Attaches a file to the event.
    ///
    /// The limits are those of [`Scope::add_attachment`](crate::Scope::add_attachment). Files beyond them are
    /// left out, and counted in [`Stats::truncated`](crate::Stats::truncated). If one failure is reported
    /// several times, only the first report adds files.
    pub fn add_attachment(&mut self, attachment: Attachment) -> &mut Self {
        let fits = attachment.bytes.len() <= self.largest_file;
        let set = self.set();
        if !(fits && set.add_attachment(Arc::new(attachment))) {
            set.count_left_out();
        }
        self
    }

    fn set(&mut self) -> &mut ScopeData {
        self.notes.set.get_or_insert_default()
    }
}

impl fmt::Debug for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hint").field("is_ignored", &self.notes.is_ignored).finish_non_exhaustive()
    }
}
