//! The alert rules of a client at work.
//!
//! Requests show them each error and each duration, before anything is left out. Hooks run on the
//! exporter's thread.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::bare::SENSITIVE;
use crate::alert::{Alert, AlertRule, AlertWatch, Finding, Observed};
use crate::event::CapturedEvent;
use crate::fork::Lock;
use crate::payload::{Facts, RouteName};
use crate::record::{Record, ScopeData, clock, cut};
use crate::redaction::Redactor;
use crate::{diagnostics, unwind};

/// At most this many alerts wait for their hooks.
const WAITING_LIMIT: usize = 100;
/// The longest text of an alert, in bytes.
const TEXT_LIMIT: usize = 300;

/// A hook that learns of an alert.
pub(crate) type OnAlert = Arc<dyn Fn(Alert) + Send + Sync>;

/// The rules of a client. No user code runs under its locks.
pub(super) struct Alerts {
    about_errors: Vec<Watched>,
    about_durations: Vec<Watched>,
    environment: String,
    /// The tags of the client.
    tags: Vec<(String, String)>,
    waiting: Lock<Vec<(OnAlert, Alert)>>,
    has_news: AtomicBool,
    /// How many alerts had no room among those that wait.
    lost: AtomicU64,
    redactor: Redactor,
    trouble: diagnostics::Quiet,
}

struct Watched {
    rule: String,
    /// Empty in a forked child.
    watch: Lock<Option<AlertWatch>>,
    hook: OnAlert,
}

impl Alerts {
    pub(super) fn new(rules: &[(AlertRule, OnAlert)], facts: &Facts, redactor: Redactor) -> Self {
        let environment = facts.environment.clone();
        let active = rules.iter().filter(|(rule, _)| rule.is_for(&environment));
        let (about_durations, about_errors) = active.partition::<Vec<_>, _>(|(rule, _)| rule.is_about_durations());
        let watched = |rules: Vec<&(AlertRule, OnAlert)>| {
            let watched = |(rule, hook): &(AlertRule, OnAlert)| Watched {
                rule: rule.to_string(),
                watch: Lock::new(Some(AlertWatch::new(rule.clone()))),
                hook: Arc::clone(hook),
            };
            rules.into_iter().map(watched).collect()
        };
        let tags = facts.tags.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Self {
            about_errors: watched(about_errors),
            about_durations: watched(about_durations),
            environment,
            tags,
            waiting: Lock::default(),
            has_news: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            redactor,
            trouble: diagnostics::Quiet::new(),
        }
    }

    /// Whether a rule is about errors.
    pub(super) fn watch_errors(&self) -> bool {
        !self.about_errors.is_empty()
    }

    /// Shows the rules an error. `issue` is asked for only if a rule needs it. `wake` wakes the exporter's
    /// thread.
    pub(super) fn see_error(
        &self,
        captured: &CapturedEvent,
        scope: &Record,
        route: &dyn fmt::Display,
        issue: impl Fn() -> u64,
        wake: impl Fn(),
    ) {
        let set = captured.nested.as_deref().unwrap_or(&scope.set);
        let level = set.rare().and_then(|rare| rare.level).unwrap_or(captured.level);
        let tag = |name: &str| self.tag(set, name);
        let observed = Observed { now: clock::nanos(clock::now()), route, tag: &tag };
        for watched in &self.about_errors {
            let found = watched.watch.lock().as_mut().and_then(|watch| watch.see_error(&observed, level, &issue));
            if let Some(found) = found {
                let alert = Alert {
                    title: Some(title(captured, scope, route)),
                    level: Some(level),
                    event_id: Some(captured.event_id),
                    ..self.alert(watched, found, route)
                };
                self.add(watched, alert, &wake);
            }
        }
    }

    /// Shows the rules how long a request or a job took.
    #[inline]
    pub(super) fn see_duration(&self, record: &Record, wake: impl Fn()) {
        if !self.about_durations.is_empty() {
            self.judge_duration(record, wake);
        }
    }

    #[inline(never)]
    fn judge_duration(&self, record: &Record, wake: impl Fn()) {
        let duration = record.end.nanos_since(record.start);
        let tag = |name: &str| self.tag(&record.set, name);
        let observed = Observed { now: clock::nanos(record.end), route: &RouteName(record), tag: &tag };
        for watched in &self.about_durations {
            let found = watched.watch.lock().as_mut().and_then(|watch| watch.see_duration(&observed, duration, record.has_request));
            if let Some(found) = found {
                self.add(watched, self.alert(watched, found, observed.route), &wake);
            }
        }
    }

    fn tag<'a>(&'a self, set: &'a ScopeData, name: &str) -> Option<&'a str> {
        let own = set.tags.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        own.or_else(|| self.tags.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str()))
    }

    fn alert(&self, watched: &Watched, Finding(found): Finding, route: &dyn fmt::Display) -> Alert {
        Alert {
            rule: watched.rule.clone(),
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(clock::calendar()),
            environment: self.environment.clone(),
            found,
            title: None,
            level: None,
            event_id: None,
            transaction: route.to_string(),
        }
    }

    fn add(&self, watched: &Watched, alert: Alert, wake: impl Fn()) {
        let mut waiting = self.waiting.lock();
        if waiting.len() < WAITING_LIMIT {
            waiting.push((Arc::clone(&watched.hook), alert));
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        drop(waiting);
        if !self.has_news.swap(true, Ordering::Relaxed) {
            wake();
        }
    }

    /// Runs the hooks of the alerts that were found. For the exporter's thread.
    pub(super) fn look_after(&self) {
        if !self.has_news.swap(false, Ordering::Relaxed) {
            return;
        }
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for (hook, alert) in waiting {
            let rule = alert.rule.clone();
            if unwind::catch(|| hook(redacted(alert, &self.redactor))).is_none() {
                self.trouble.warn(&format!("the `on_alert` hook for '{rule}' panicked"));
            }
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            diagnostics::warn(&format!("{lost} alerts have reached no hook: more than {WAITING_LIMIT} were waiting"));
        }
    }
}

/// What Sentry shows as the title of the issue: type and text of the outermost error, or the message. Of a sensitive
/// route only the type.
fn title(captured: &CapturedEvent, record: &Record, route: &dyn fmt::Display) -> String {
    if record.request.is_sensitive {
        // The types of a given event are texts of the application.
        let kind = captured.exceptions.first().filter(|_| captured.given.is_none()).and_then(|error| error.kind.as_deref());
        return kind.unwrap_or(SENSITIVE).to_owned();
    }
    match (captured.exceptions.first(), &captured.message) {
        (Some(error), _) => {
            let parts = [error.kind.as_deref(), error.value.as_deref()];
            parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
        }
        (None, Some(message)) if captured.follows_name => format!("{route} {message}"),
        (None, message) => message.clone().unwrap_or_default(),
    }
}

fn redacted(alert: Alert, redactor: &Redactor) -> Alert {
    // Redacted as a whole: half a secret has no shape.
    let text = |text: &str| cut(&redactor.text(text), TEXT_LIMIT).to_owned();
    Alert { title: alert.title.as_deref().map(text), transaction: text(&alert.transaction), rule: text(&alert.rule), ..alert }
}
