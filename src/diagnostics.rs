//! The crate's own messages: to `tracing`, and to standard error.
//!
//! Their target is `tower_sentry`. Warnings go to standard error if no subscriber shows them, and infos
//! if no subscriber is set. With `debug` on, all messages go there too.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::fork::Lock;
use crate::unwind::{self, NoResult};

/// A warning is not repeated within this time.
const QUIET_FOR: Duration = Duration::from_secs(60);

/// Logs at most one warning a minute, so that a server that is down does not fill the disk.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    last: Lock<Option<Instant>>,
}

impl Quiet {
    pub(crate) const fn new() -> Self {
        Self { last: Lock::of_first(None) }
    }

    /// Logs the warning, unless this value logged one within the last minute.
    pub(crate) fn warn(&self, message: &str) {
        let mut last = self.last.lock();
        if last.is_none_or(|last| last.elapsed() >= QUIET_FOR) {
            *last = Some(Instant::now());
            drop(last);
            warn(message);
        }
    }
}

/// Set by the first client with `debug` on. It applies to the whole process.
static ALOUD: AtomicBool = AtomicBool::new(false);

/// Writes all messages to standard error too, from now on: the subscriber may have no layer that prints.
pub(crate) fn aloud() {
    ALOUD.store(true, Ordering::Relaxed);
}

thread_local! {
    /// The name of the client whose exporter this thread belongs to.
    static CLIENT: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

/// Makes messages of this thread begin with the name of this client, if it has one.
pub(crate) fn speak_for(client_name: &Arc<str>) {
    CLIENT.set(Some(Arc::clone(client_name)).filter(|name| !name.is_empty()));
}

/// Puts the client's name before a message.
fn signed(message: &str) -> Cow<'_, str> {
    let name = CLIENT.try_with(|client| client.borrow().clone()).ok().flatten();
    name.map_or(Cow::Borrowed(message), |name| Cow::Owned(format!("{name}: {message}")))
}

/// Logs a message. Returns `false` if a layer of the application panicked.
///
/// Such a panic must end neither the exporter nor a request.
fn heard(log: impl FnOnce()) -> bool {
    unwind::catch(log).is_some()
}

/// Logs something that the user should act on.
///
/// If no subscriber shows it, it goes to standard error, at most once a minute. The usual filter of an
/// application names its own crates, and hides this one.
pub(crate) fn warn(message: &str) {
    let message = &*signed(message);
    let is_read = Cell::new(false);
    let text = Watched { message, is_read: &is_read };
    let was_heard = heard(|| tracing::warn!(target: "tower_sentry", "{text}"));
    let is_unseen = !was_heard || !is_read.get();
    if is_aloud() || (is_unseen && is_news(message)) {
        to_standard_error("warning", message);
    }
}

/// Logs that a hook has panicked. `effect` describes what happens to the value that it was called with, and
/// `off` what happens to later values once the hook is turned off.
pub(crate) fn warn_of_hook(name: &str, effect: &str, off: &str, why: NoResult) {
    let NoResult::Panicked { is_last } = why else { return };
    warn(&format!("{name} panicked; {effect}"));
    if is_last {
        warn(&format!("{name} has panicked ten times: it is off, and {off}"));
    }
}

/// Logs that items are lost because the process ends. Each shutdown logs it at most once.
pub(crate) fn warn_of_loss(items: u64) {
    warn(&format!("not everything was delivered before the shutdown's deadline; items dropped: {items}"));
}

/// Writes a warning to standard error without any lock. In a forked child, the owner of a lock may not
/// exist, even of a lock in one of the application's layers.
pub(crate) fn warn_in_child(message: &str) {
    #[cfg(unix)]
    if let Ok(own) = std::os::fd::AsFd::as_fd(&std::io::stderr()).try_clone_to_owned() {
        // An error means that standard error is closed, so there is nowhere to report it.
        let _ = std::fs::File::from(own).write_all(format!("tower_sentry: warning: {message}\n").as_bytes());
    }
    #[cfg(not(unix))]
    let _ = message;
}

/// A message that notes whether it is formatted. Only a layer that shows the event formats it, and there is
/// no other way to find out whether the filters of all layers let it through.
struct Watched<'a> {
    message: &'a str,
    is_read: &'a Cell<bool>,
}

impl fmt::Display for Watched<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.is_read.set(true);
        f.write_str(self.message)
    }
}

/// Whether the message was not written to standard error within the last minute.
fn is_news(message: &str) -> bool {
    /// At most this many different messages a minute are written.
    const MOST: usize = 64;
    static WRITTEN: Lock<BTreeMap<String, Instant>> = Lock::of_first(BTreeMap::new());
    let mut written = WRITTEN.lock();
    written.retain(|_, at| at.elapsed() < QUIET_FOR);
    let is_news = written.len() < MOST && !written.contains_key(message);
    if is_news {
        written.insert(message.to_owned(), Instant::now());
    }
    is_news
}

/// Logs the error behind a failed response, for a layer with `log_errors`.
pub(crate) fn log_error(text: &str, kind: &str, place: &dyn fmt::Display) {
    heard(|| tracing::error!(target: "tower_sentry", error_type = kind, %place, "{text}"));
}

/// Logs information for the user.
pub(crate) fn info(message: &str) {
    let message = &*signed(message);
    let was_heard = heard(|| tracing::info!(target: "tower_sentry", "{message}"));
    if !was_heard || is_aloud() || !tracing::dispatcher::has_been_set() {
        to_standard_error("info", message);
    }
}

/// Logs details that only help to find a fault.
pub(crate) fn debug(message: &str) {
    let message = &*signed(message);
    heard(|| tracing::debug!(target: "tower_sentry", "{message}"));
    if is_aloud() {
        to_standard_error("debug", message);
    }
}

/// Explains why a span is not recorded, if `debug` is on.
///
/// Each pair of span and reason is explained once, at most a hundred in all. It goes to standard
/// error only, because the subscribers are processing this very span.
pub(crate) fn explain(span: &str, why: &str) {
    if is_aloud() {
        explain_once(&format!("the span '{span}' is not recorded: {why}"));
    }
}

/// Explains once why data that was set on a scope may have no effect. Call it if `debug` is on.
#[cold]
pub(crate) fn explain_detached_scope() {
    explain_once(
        "data is set on a scope outside any request or job: only what is captured with the same handle has it; \
         wrap the work in `Client::transaction(..).run(..)`, or in `bind` or `enter` of that handle",
    );
}

/// Explains once why a change of a span has no effect, if `debug` is on.
#[cold]
pub(crate) fn explain_late_change() {
    if is_aloud() {
        explain_once("a span is changed after its request or job is over: the change is not sent");
    }
}

/// Explains, if `debug` is on, that a closure returned a future or another closure, which did not run inside it.
#[cold]
pub(crate) fn explain_unfinished(what: &str) {
    if is_aloud() {
        explain_once(what);
    }
}

/// Whether the result of a closure is an `async` block or another closure, and `debug` is on.
pub(crate) fn is_unfinished<R>() -> bool {
    is_aloud() && std::any::type_name::<R>().ends_with("{{closure}}")
}

/// Writes each message once, at most a hundred in all.
fn explain_once(message: &str) {
    static EXPLAINED: Lock<BTreeSet<String>> = Lock::of_first(BTreeSet::new());
    let mut explained = EXPLAINED.lock();
    if explained.len() < 100 && explained.insert(message.to_owned()) {
        drop(explained);
        to_standard_error("debug", message);
    }
}

#[inline]
pub(crate) fn is_aloud() -> bool {
    ALOUD.load(Ordering::Relaxed)
}

fn to_standard_error(level: &str, message: &str) {
    // An error means that standard error is closed, so there is nowhere to report it.
    let _ = writeln!(std::io::stderr().lock(), "tower_sentry: {level}: {message}");
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

    use super::*;

    struct Count(Arc<AtomicUsize>);

    impl<S: tracing::Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often the second of two equal warnings is logged, `time` after the first.
    fn repeated_after(time: Duration) -> usize {
        let heard = Arc::new(AtomicUsize::new(0));
        let quiet = Quiet { last: Lock::of_first(Instant::now().checked_sub(time)) };
        let subscriber = tracing_subscriber::registry().with(Count(Arc::clone(&heard)));
        tracing::subscriber::with_default(subscriber, || quiet.warn("the server cannot be reached"));
        heard.load(Ordering::Relaxed)
    }

    #[test]
    fn the_same_warning_is_repeated_once_a_minute() {
        assert_eq!((repeated_after(Duration::from_secs(30)), repeated_after(Duration::from_secs(60))), (0, 1));
    }
}
