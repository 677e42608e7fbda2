//! Decides what each span and event becomes.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};

use crate::diagnostics;
use crate::unwind::{Contained, is_in_hook};

/// What becomes of a `tracing` event: any combination of a breadcrumb, a Sentry event and a log.
///
/// See [`TracingLayer::event_filter`](crate::TracingLayer::event_filter).
///
/// # Examples
///
/// ```
/// use tower_sentry::EventFilter;
///
/// let both = EventFilter::EVENT | EventFilter::LOG;
/// assert!(both.contains(EventFilter::LOG) && !both.contains(EventFilter::BREADCRUMB));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct EventFilter(u8);

impl EventFilter {
    /// Nothing. The event does not mark its span as failed either.
    pub const IGNORE: Self = Self(0);
    /// A step that led to the next Sentry event of the request.
    pub const BREADCRUMB: Self = Self(1);
    /// A Sentry event.
    pub const EVENT: Self = Self(2);
    /// A structured log, if [`enable_logs`](crate::ConfigBuilder::enable_logs) is on.
    pub const LOG: Self = Self(4);

    /// Whether all of `other` is in this.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    const fn of(self, wanted: bool) -> Self {
        if wanted { self } else { Self::IGNORE }
    }
}

impl BitOr for EventFilter {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for EventFilter {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl fmt::Debug for EventFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(Self::BREADCRUMB, "BREADCRUMB"), (Self::EVENT, "EVENT"), (Self::LOG, "LOG")];
        let names: Vec<_> = names.into_iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, name)| name).collect();
        f.write_str(if names.is_empty() { "IGNORE" } else { "" })?;
        f.write_str(&names.join(" | "))
    }
}

/// A function of the user that decides for a callsite.
type Filter<T> = Contained<Box<dyn Fn(&Metadata<'_>) -> T + Send + Sync>>;

/// The levels and filters of a layer.
#[derive(Debug)]
pub(super) struct Rules {
    spans: LevelFilter,
    breadcrumbs: LevelFilter,
    events: LevelFilter,
    logs: LevelFilter,
    span_filter: Option<Filter<bool>>,
    event_filter: Option<Filter<EventFilter>>,
}

impl Default for Rules {
    fn default() -> Self {
        let (spans, breadcrumbs, logs) = (LevelFilter::INFO, LevelFilter::INFO, LevelFilter::INFO);
        Self { spans, breadcrumbs, events: LevelFilter::ERROR, logs, span_filter: None, event_filter: None }
    }
}

impl Rules {
    pub(super) fn set_level(&mut self, level: Level) {
        (self.spans, self.breadcrumbs, self.logs) = (level.into(), level.into(), level.into());
    }

    pub(super) fn set_breadcrumbs(&mut self, level: LevelFilter) {
        self.breadcrumbs = level;
    }

    pub(super) fn set_events(&mut self, level: LevelFilter) {
        self.events = level;
    }

    pub(super) fn set_logs(&mut self, level: LevelFilter) {
        self.logs = level;
    }

    pub(super) fn set_span_filter(&mut self, filter: impl Fn(&Metadata<'_>) -> bool + Send + Sync + 'static) {
        self.span_filter = Some(Contained::new(Box::new(filter)));
    }

    pub(super) fn set_event_filter(&mut self, filter: impl Fn(&Metadata<'_>) -> EventFilter + Send + Sync + 'static) {
        self.event_filter = Some(Contained::new(Box::new(filter)));
    }

    /// The least severe level of which events may become something.
    pub(super) fn widest(&self) -> LevelFilter {
        if self.event_filter.is_some() { LevelFilter::TRACE } else { self.breadcrumbs.max(self.events).max(self.logs) }
    }

    /// The least severe level of which events may become Sentry events.
    pub(super) fn reported(&self) -> LevelFilter {
        if self.event_filter.is_some() { LevelFilter::TRACE } else { self.events }
    }

    /// Whether to record spans of this callsite. The crate's own are never recorded.
    #[inline]
    pub(super) fn takes_span(&self, metadata: &Metadata<'_>) -> bool {
        let by_level = || *metadata.level() <= self.spans;
        match &self.span_filter {
            None => by_level() && !is_own(metadata),
            Some(filter) => !is_own(metadata) && ask(filter, metadata).unwrap_or_else(by_level),
        }
    }

    /// What events of this callsite become. The crate's own messages are ignored.
    pub(super) fn of_event(&self, metadata: &Metadata<'_>) -> EventFilter {
        if is_own(metadata) {
            return EventFilter::IGNORE;
        }
        let filtered = self.event_filter.as_ref().and_then(|filter| ask(filter, metadata));
        filtered.unwrap_or_else(|| {
            let level = metadata.level();
            EventFilter::BREADCRUMB.of(*level <= self.breadcrumbs)
                | EventFilter::EVENT.of(*level <= self.events)
                | EventFilter::LOG.of(*level <= self.logs)
        })
    }
}

/// The answer of a filter. None after a panic, and for what the filter itself records.
#[cold]
fn ask<T>(filter: &Filter<T>, metadata: &Metadata<'_>) -> Option<T> {
    if is_in_hook() {
        return None;
    }
    let answer = filter.run(|filter| filter(metadata));
    answer.map_err(|why| diagnostics::warn_of_hook("a filter of the TracingLayer", "the levels decide", "the levels decide", why)).ok()
}

/// Whether it is a message of this crate.
#[inline]
pub(super) fn is_own(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "tower_sentry"
}
