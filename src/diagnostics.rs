//! The crate's own messages: to `tracing`, and to standard error.
//!
//! Their target is `tower_sentry`. Warnings and infos go to standard error if no subscriber is set.
//! With `debug` on, all messages go there too.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::unwind;

/// Logs at most one warning a minute, so that a server that is down does not fill the disk.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    last: Mutex<Option<Instant>>,
}

impl Quiet {
    pub(crate) const fn new() -> Self {
        Self { last: Mutex::new(None) }
    }

    /// Logs the warning, unless this value logged one within the last minute.
    pub(crate) fn warn(&self, message: &str) {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= Duration::from_secs(60)) {
            *last = Some(Instant::now());
            drop(last);
            warn(message);
        }
    }
}

/// Set by the first client with `debug` on. It applies to the whole process.
static ALOUD: AtomicBool = AtomicBool::new(false);

/// Sends all messages to standard error too, from now on.
///
/// The subscriber may have no layer that prints.
pub(crate) fn aloud() {
    ALOUD.store(true, Ordering::Relaxed);
}

/// Logs a message. Returns `false` if a layer of the application panicked.
///
/// Such a panic must end neither the exporter nor a request.
fn heard(log: impl FnOnce()) -> bool {
    unwind::catch(log).is_some()
}

/// Logs something that the user should act on.
pub(crate) fn warn(message: &str) {
    let was_heard = heard(|| tracing::warn!(target: "tower_sentry", "{message}"));
    if !was_heard || is_aloud() || !tracing::dispatcher::has_been_set() {
        to_standard_error("warning", message);
    }
}

/// Logs something worth knowing.
pub(crate) fn info(message: &str) {
    let was_heard = heard(|| tracing::info!(target: "tower_sentry", "{message}"));
    if !was_heard || is_aloud() || !tracing::dispatcher::has_been_set() {
        to_standard_error("info", message);
    }
}

/// Logs details that only help to find a fault.
pub(crate) fn debug(message: &str) {
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
    static EXPLAINED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if !is_aloud() {
        return;
    }
    let mut explained = EXPLAINED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if explained.len() < 100 && explained.insert(format!("{span} {why}")) {
        drop(explained);
        to_standard_error("debug", &format!("the span '{span}' is not recorded: {why}"));
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
    use std::sync::Arc;
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
        let quiet = Quiet { last: Mutex::new(Instant::now().checked_sub(time)) };
        let subscriber = tracing_subscriber::registry().with(Count(Arc::clone(&heard)));
        tracing::subscriber::with_default(subscriber, || quiet.warn("the server cannot be reached"));
        heard.load(Ordering::Relaxed)
    }

    #[test]
    fn the_same_warning_is_repeated_once_a_minute() {
        assert_eq!((repeated_after(Duration::from_secs(30)), repeated_after(Duration::from_secs(60))), (0, 1));
    }
}
