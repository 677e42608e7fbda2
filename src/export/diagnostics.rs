//! What the crate itself has to say: to `tracing` under the target `tower_sentry`; to standard error where nobody listens, or where `debug` is on.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// One warning of a kind a minute: a server that is down must not fill the disk with our complaints.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    last: Mutex<Option<Instant>>,
}

impl Quiet {
    pub(crate) const fn new() -> Self {
        Self { last: Mutex::new(None) }
    }

    /// Warns unless the same was said within the last minute.
    pub(crate) fn warn(&self, message: &str) {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= Duration::from_secs(60)) {
            *last = Some(Instant::now());
            drop(last);
            warn(message);
        }
    }
}

/// Set by the first client with `debug` on, for the process.
static ALOUD: AtomicBool = AtomicBool::new(false);

/// From now on all of it goes to standard error too: a subscriber may well have no layer that prints.
pub(crate) fn aloud() {
    ALOUD.store(true, Ordering::Relaxed);
}

/// Says something that a user should act on.
pub(crate) fn warn(message: &str) {
    tracing::warn!(target: "tower_sentry", "{message}");
    if is_aloud() || !tracing::dispatcher::has_been_set() {
        to_standard_error("warning", message);
    }
}

/// Says something worth knowing.
pub(crate) fn info(message: &str) {
    tracing::info!(target: "tower_sentry", "{message}");
    if is_aloud() || !tracing::dispatcher::has_been_set() {
        to_standard_error("info", message);
    }
}

/// Says what only someone who looks for a fault wants to know.
pub(crate) fn debug(message: &str) {
    tracing::debug!(target: "tower_sentry", "{message}");
    if is_aloud() {
        to_standard_error("debug", message);
    }
}

/// Explains why a span is not recorded, once for each name and at most a hundred times, where `debug` is on. To standard error alone: subscribers are in
/// the middle of the very span.
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
    // A closed standard error is nothing we could report.
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

    /// How often the second of two equal warnings is heard, so long after the first.
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
