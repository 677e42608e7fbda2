//! The settings in force: changed by the application, or by a file.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};

use super::settings_file::{SettingsFile, Version};
use crate::diagnostics;
use crate::error::Error;
use crate::exporter::EventLimits;
use crate::fork::Lock;
use crate::sampling::{LiveSettings, Routes, TokenBucket};

/// At least this many requests may be added by callers at once.
///
/// Honest callers with our own rate spend what they earn in an uneven order. With a smaller burst,
/// chance would thin their traces.
const INHERITED_AT_ONCE: f64 = 100.0;

/// The settings in force, and what they limit.
///
/// A request reads one number, or all of them through one pointer, without a lock.
pub(super) struct Live {
    current: ArcSwap<LiveSettings>,
    /// The sample rate of traces, as bits. With a table of routes it is `NAN`, and the pointer is loaded,
    /// which takes a hundred instructions.
    lone_rate: AtomicU64,
    file: Option<SettingsFile>,
    /// The version of the file that was read last. Changes are made while it is locked.
    seen: Lock<Option<Version>>,
    pub(super) event_limits: Arc<EventLimits>,
    pub(super) inherited: Lock<TokenBucket>,
    pub(super) kept: Lock<TokenBucket>,
    pub(super) kept_slow: Lock<TokenBucket>,
    pub(super) failures: Lock<TokenBucket>,
}

impl Live {
    pub(super) fn new(settings: &LiveSettings, file: Option<&SettingsFile>) -> Self {
        Self {
            current: ArcSwap::from_pointee(settings.clone()),
            lone_rate: AtomicU64::new(lone_rate(settings)),
            file: file.cloned(),
            seen: Lock::new(file.and_then(|file| file.version)),
            event_limits: Arc::new(EventLimits::new(settings)),
            inherited: Lock::new(TokenBucket::with_burst(settings.parent_budget, INHERITED_AT_ONCE)),
            kept: Lock::new(TokenBucket::new(settings.keep_failed_budget)),
            kept_slow: Lock::new(TokenBucket::new(settings.keep_slow_budget)),
            failures: Lock::new(TokenBucket::new(settings.failure_budget)),
        }
    }

    /// What decides about one request.
    #[inline]
    pub(super) fn in_force(&self) -> InForce {
        // If it means a table, the pointer was stored before.
        let rate = f64::from_bits(self.lone_rate.load(Ordering::Acquire));
        if rate.is_nan() { InForce::Table(self.current()) } else { InForce::Rate(rate) }
    }

    pub(super) fn current(&self) -> Guard<Arc<LiveSettings>> {
        self.current.load()
    }

    /// Lets a function change the settings. If the result is invalid, the old ones stay.
    pub(super) fn update(&self, change: impl FnOnce(&mut LiveSettings)) -> Result<(), Error> {
        let _alone = self.seen.lock();
        let mut changed = LiveSettings::clone(&self.current());
        change(&mut changed);
        changed.check()?;
        self.install(changed);
        Ok(())
    }

    /// Reads the file now.
    pub(super) fn reload(&self) -> Result<(), Error> {
        let file = self.file.as_ref().ok_or_else(|| Error::setting("reload: expected a `settings_file`, found none"))?;
        self.read(file, file.look())
    }

    /// Reads the file if it has changed since. A file that is bad is named once, and the old settings
    /// stay.
    pub(super) fn reload_if_changed(&self) {
        let Some(file) = &self.file else { return };
        match self.read_if_changed(file) {
            None => {}
            Some(Ok(())) => diagnostics::info(&format!("{file} has changed and is in force")),
            Some(Err(error)) => diagnostics::warn(&format!("{error:#}; the settings stay as they are")),
        }
    }

    fn read_if_changed(&self, file: &SettingsFile) -> Option<Result<(), Error>> {
        let found = file.look();
        let is_known = *self.seen.lock() == found;
        if is_known { None } else { Some(self.read(file, found)) }
    }

    /// Reads the file, of which this is the version that was found before: what changes meanwhile is another
    /// one. No lock is held: a disk that hangs must not hold up `update`.
    fn read(&self, file: &SettingsFile, found: Option<Version>) -> Result<(), Error> {
        let read = file.read();
        let mut seen = self.seen.lock();
        *seen = found;
        self.install(read?.0);
        Ok(())
    }

    fn install(&self, changed: LiveSettings) {
        self.inherited.lock().change(changed.parent_budget, INHERITED_AT_ONCE);
        self.kept.lock().change(changed.keep_failed_budget, 0.0);
        self.kept_slow.lock().change(changed.keep_slow_budget, 0.0);
        self.failures.lock().change(changed.failure_budget, 0.0);
        self.event_limits.set(&changed);
        let rate = lone_rate(&changed);
        self.current.store(Arc::new(changed));
        self.lone_rate.store(rate, Ordering::Release);
    }
}

fn lone_rate(settings: &LiveSettings) -> u64 {
    if settings.routes.is_empty() { settings.traces_sample_rate } else { f64::NAN }.to_bits()
}

/// The client's sample rate, and its table of routes, of one moment.
pub(crate) enum InForce {
    Rate(f64),
    Table(Guard<Arc<LiveSettings>>),
}

impl InForce {
    #[inline]
    pub(crate) fn rate(&self) -> f64 {
        match self {
            Self::Rate(rate) => *rate,
            Self::Table(settings) => settings.traces_sample_rate,
        }
    }

    #[inline]
    pub(crate) fn routes(&self) -> Option<&Routes> {
        match self {
            Self::Rate(_) => None,
            Self::Table(settings) => Some(settings.routes.routes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::fs;
    use std::sync::Mutex;

    use tracing::field::{Field, Visit};
    use tracing::{Event, Level, Subscriber};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

    use super::*;

    /// The levels and texts of the log lines.
    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<(Level, String)>>>);

    impl<S: Subscriber> Layer<S> for Said {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            struct Text(String);
            impl Visit for Text {
                fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
                    self.0 = format!("{value:?}");
                }
            }
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.lock().unwrap().push((*event.metadata().level(), text.0));
        }
    }

    #[test]
    fn a_bad_file_is_named_once_and_the_settings_stay() {
        let path = std::env::temp_dir().join(format!("tower-sentry-live-{}.json", std::process::id()));
        let said = Said::default();
        let _heard = tracing::subscriber::set_default(tracing_subscriber::registry().with(said.clone()));
        fs::write(&path, r#"{"traces_sample_rate": 0.25}"#).unwrap();
        let file = SettingsFile::new(path.clone(), &LiveSettings::default(), false);
        let live = Live::new(&file.read().unwrap().0, Some(&file));
        // The rate after three looks, and the log lines meanwhile.
        let look = || {
            (0..3).for_each(|_| live.reload_if_changed());
            let said = said.0.lock().unwrap().drain(..).collect::<Vec<_>>();
            (live.current().traces_sample_rate, said.into_iter().map(|(level, _)| level).collect::<Vec<_>>())
        };

        assert_eq!(look(), (0.25, vec![]), "it was read at the start");
        fs::write(&path, r#"{"traces_sample_rate": 25}"#).unwrap();
        assert_eq!(look(), (0.25, vec![Level::WARN]));
        fs::remove_file(&path).unwrap();
        assert_eq!(look(), (0.25, vec![Level::WARN]));
        fs::write(&path, r#"{"traces_sample_rate": 0.75}"#).unwrap();
        assert_eq!(look(), (0.75, vec![Level::INFO]));
        fs::remove_file(&path).unwrap();
    }
}
