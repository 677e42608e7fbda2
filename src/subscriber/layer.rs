//! The `tracing` layer. Without per-layer filters, it returns early if no recorded request is
//! current.

mod events;
mod roots;
mod spans;

use std::fmt;
use std::sync::OnceLock;

use tracing::dispatcher::WeakDispatch;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::index::Index;
use super::rules::{EventFilter, Rules, is_own};
use super::visit::encoded;
use crate::client::{Client, WeakClient};
use crate::diagnostics::{is_aloud, warn};
use crate::event::Hint;
use crate::scope::{EventMapper, current};

/// Records `tracing` spans as spans of the current transaction, and `tracing` events as
/// breadcrumbs.
///
/// One layer serves all clients of the process: it records into the current request or job. These
/// fields describe a span:
///
/// | field | meaning |
/// |---|---|
/// | `sentry.op` | the kind of work |
/// | `sentry.name` | the description of the span; `message` is, if this and `otel.name` are missing |
/// | `sentry.status` | its status: `ok`, `not_found`, … as in [`SpanStatus`](crate::protocol::SpanStatus) |
/// | `otel.name`, `otel.kind`, `otel.status_code` | as for `tracing-opentelemetry` |
/// | `http.*`, `db.*`, `messaging.*`, `rpc.*` | the kind of work, if `sentry.op` is missing |
///
/// Fields that are recorded later, with `Span::record`, count as well. [`Scope::span`](crate::Scope::span)
/// sets what a span did not declare.
///
/// # Examples
///
/// ```
/// use tower_sentry::{Config, TracingLayer};
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let sentry = Config::builder().init()?;
/// let subscriber = tracing_subscriber::registry().with(TracingLayer::new(&sentry));
/// # Ok::<(), tower_sentry::Error>(())
/// ```
pub struct TracingLayer {
    rules: Rules,
    /// The least severe level of events that may become anything; copied from `rules` for a cheap check.
    widest: LevelFilter,
    /// The same, of events that may become Sentry events.
    reported: LevelFilter,
    mapper: Option<EventMapper>,
    is_exclusive: bool,
    times_polls: bool,
    /// Whether spans outside any request or job are transactions.
    begins_transactions: bool,
    index: Index,
    /// The subscriber that the layer belongs to.
    dispatch: OnceLock<WeakDispatch>,
    /// Set if the subscriber has an outer layer of this crate; true if both have the same client.
    other: OnceLock<bool>,
    /// Weak: a subscriber lives as long as the process, but dropping the last handle must deliver.
    client: WeakClient,
}

impl TracingLayer {
    /// Creates a layer for spans and events of level INFO and above.
    pub fn new(client: impl Into<Client>) -> Self {
        Self {
            widest: LevelFilter::INFO,
            reported: LevelFilter::ERROR,
            rules: Rules::default(),
            mapper: None,
            is_exclusive: false,
            times_polls: false,
            begins_transactions: false,
            index: Index::new(),
            dispatch: OnceLock::new(),
            other: OnceLock::new(),
            client: client.into().downgrade(),
        }
    }

    /// Sets the least severe level of spans, breadcrumbs and logs.
    ///
    /// Later calls of the methods for one kind change that kind alone. Defaults to `Level::INFO`.
    #[must_use]
    pub fn level(self, level: Level) -> Self {
        self.with_rules(|rules| rules.set_level(level))
    }

    /// Whether events of level ERROR are captured, in addition to being breadcrumbs.
    ///
    /// Short for [`events_from`](Self::events_from) with `Level::ERROR` or `LevelFilter::OFF`. Defaults to
    /// `true`.
    #[must_use]
    pub fn error_events(self, capture: bool) -> Self {
        self.events_from(if capture { LevelFilter::ERROR } else { LevelFilter::OFF })
    }

    /// Sets the least severe level of `tracing` events that become breadcrumbs.
    ///
    /// `LevelFilter::OFF` turns them off. Defaults to `Level::INFO`.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::{Config, TracingLayer};
    /// use tracing::Level;
    ///
    /// let sentry = Config::builder().enable_logs(true).init()?;
    /// // Warnings are Sentry events, debug messages only lead to them.
    /// let layer = TracingLayer::new(&sentry).events_from(Level::WARN).breadcrumbs_from(Level::DEBUG).logs_from(Level::INFO);
    /// # drop(layer);
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    #[must_use]
    pub fn breadcrumbs_from(self, level: impl Into<LevelFilter>) -> Self {
        self.with_rules(|rules| rules.set_breadcrumbs(level.into()))
    }

    /// Sets the least severe level of `tracing` events that become Sentry events.
    ///
    /// A Sentry event has the level of the `tracing` event. Only events of level ERROR mark their span and
    /// request as failed. `LevelFilter::OFF` turns these captures off. Defaults to `Level::ERROR`.
    #[must_use]
    pub fn events_from(self, level: impl Into<LevelFilter>) -> Self {
        self.with_rules(|rules| rules.set_events(level.into()))
    }

    /// Sets the least severe level of `tracing` events that become structured logs, if
    /// [`enable_logs`](crate::ConfigBuilder::enable_logs) is on.
    ///
    /// `LevelFilter::OFF` turns them off. Defaults to `Level::INFO`.
    #[must_use]
    pub fn logs_from(self, level: impl Into<LevelFilter>) -> Self {
        self.with_rules(|rules| rules.set_logs(level.into()))
    }

    /// Sets a function that decides which spans are recorded. It replaces the level of spans.
    ///
    /// It sees a callsite: target, name, level, names of fields, file. It runs inside the request each time
    /// a span begins, so it must be quick. If it panics, the level decides. After ten panics it is turned off.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::{Config, TracingLayer};
    /// use tracing::Level;
    ///
    /// let sentry = Config::builder().init()?;
    /// let layer = TracingLayer::new(&sentry)
    ///     .span_filter(|callsite| *callsite.level() <= Level::INFO && !callsite.target().starts_with("h2"));
    /// # drop(layer);
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    #[must_use]
    pub fn span_filter(self, filter: impl Fn(&Metadata<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.with_rules(|rules| rules.set_span_filter(filter))
    }

    /// Sets a function that decides what becomes of `tracing` events. It replaces the levels of breadcrumbs,
    /// Sentry events and logs.
    ///
    /// Like [`span_filter`](Self::span_filter), it sees a callsite and must be quick. It runs for each event
    /// inside a request, and outside for each event that may become a Sentry event or a log. Queries that
    /// database crates report are spans, whatever it returns.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::{Config, EventFilter, TracingLayer};
    /// use tracing::Level;
    ///
    /// let sentry = Config::builder().init()?;
    /// let layer = TracingLayer::new(&sentry).event_filter(|callsite| match *callsite.level() {
    ///     _ if callsite.target().starts_with("rdkafka") => EventFilter::IGNORE,
    ///     Level::ERROR => EventFilter::EVENT | EventFilter::BREADCRUMB,
    ///     Level::WARN | Level::INFO => EventFilter::BREADCRUMB | EventFilter::LOG,
    ///     _ => EventFilter::IGNORE,
    /// });
    /// # drop(layer);
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    #[must_use]
    pub fn event_filter(self, filter: impl Fn(&Metadata<'_>) -> EventFilter + Send + Sync + 'static) -> Self {
        self.with_rules(|rules| rules.set_event_filter(filter))
    }

    /// Sets a function that adds data to the Sentry event of a `tracing` event, or drops it.
    ///
    /// It sees the `tracing` event with its fields, and sets tags and other data on a [`Hint`]. It runs inside
    /// the request, after [`before_capture`](crate::ConfigBuilder::before_capture) if a field is an error. If it
    /// panics, the event is sent without this data. After ten panics it is turned off.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::{Config, TracingLayer};
    ///
    /// let sentry = Config::builder().init()?;
    /// let layer = TracingLayer::new(&sentry).event_mapper(|event, hint| {
    ///     if event.metadata().target().starts_with("sqlx") {
    ///         hint.set_tag("component", "database").set_fingerprint(["database", event.metadata().name()]);
    ///     }
    /// });
    /// # drop(layer);
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    #[must_use]
    pub fn event_mapper(mut self, mapper: impl Fn(&Event<'_>, &mut Hint<'_>) + Send + Sync + 'static) -> Self {
        self.mapper = Some(EventMapper::new(Box::new(mapper)));
        self
    }

    fn with_rules(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(&mut self.rules);
        (self.widest, self.reported) = (self.rules.widest(), self.rules.reported());
        self
    }

    /// Whether to record poll times on each span, which separates waiting from computing.
    ///
    /// The attributes are:
    ///
    /// - `tower_sentry.polls`: how often the span was entered, once per poll and once for the drop
    /// - `tower_sentry.busy_ms`: how long it was entered in total
    /// - `tower_sentry.idle_ms`: how long it waited
    /// - `tower_sentry.longest_poll_ms`: the longest time it was entered at once
    ///
    /// This costs two clock reads per poll. The poll times of the request itself are always
    /// recorded. Defaults to `false`.
    #[must_use]
    pub fn poll_times(mut self, record: bool) -> Self {
        self.times_polls = record;
        self
    }

    /// Declares that no other layer of the subscriber needs spans, so that unrecorded spans are not
    /// created at all.
    ///
    /// The spans of an unrecorded request then cost about a tenth, because most of their cost is that of the
    /// Registry. In return, **no layer sees** spans below the level, in requests that are not recorded, or
    /// outside requests (unless [`root_transactions`](Self::root_transactions) is on). For example, the lines
    /// of a `fmt` layer lack them. A task that such a request spawns with `in_current_span()` does not carry
    /// the request: bind its future with [`Scope::bind`](crate::Scope::bind). Events are not affected.
    /// Defaults to off: this layer does not affect other layers.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::{Config, TracingLayer};
    /// use tracing_subscriber::layer::SubscriberExt;
    ///
    /// let sentry = Config::builder().traces_sample_rate(0.01).keep_failed(false).init()?;
    /// let subscriber = tracing_subscriber::registry().with(TracingLayer::new(&sentry).exclusive());
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    #[must_use]
    pub fn exclusive(mut self) -> Self {
        self.is_exclusive = true;
        self
    }

    /// Whether an event of this callsite may become anything. The crate's own messages never do.
    #[inline]
    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.widest && !is_own(metadata)
    }

    /// Whether an outer layer records everything that belongs to a request.
    #[inline]
    fn is_second(&self) -> bool {
        self.other.get().is_some()
    }

    /// Notes that the subscriber has another layer of this crate.
    #[cold]
    fn stand_back(&self, other: &Self) {
        let has_one_client = self.client.upgrade().is_same(&other.client.upgrade());
        if self.other.set(has_one_client).is_ok() {
            let rest = if has_one_client { "nothing" } else { "only events outside any request" };
            warn(&format!("the subscriber has two TracingLayers: the outer one records, the inner one {rest}. Remove one of them"));
        }
    }
}

impl<S> Layer<S> for TracingLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // The layer belongs to the first subscriber that it is added to.
        let _first_one_stays = self.dispatch.set(dispatch.downgrade());
        if let Some(other) = dispatch.downcast_ref::<Self>().filter(|outermost| !std::ptr::eq(*outermost, self)) {
            self.stand_back(other);
        }
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.is_exclusive && metadata.is_span() {
            true if self.rules.takes_span(metadata) => Interest::sometimes(),
            true => Interest::never(),
            // Any other answer would apply to all other layers too.
            false => Interest::always(),
        }
    }

    #[inline]
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let may_be_recorded = || current::may_record() || self.begins_transactions && !current::is_set();
        !self.is_exclusive || !metadata.is_span() || (may_be_recorded() && self.rules.takes_span(metadata))
    }

    // Each callback checks one condition and returns early. The rest is in separate functions, so
    // that the check does not need to save registers.
    #[inline]
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if self.is_second() {
            // The other layer records it.
        } else if let Some(parent) = attributes.parent() {
            self.start_below(parent, attributes, id.into_u64());
        } else if self.is_new_root(attributes) {
            self.start_outside(attributes, id.into_u64());
        } else if current::may_record() && self.rules.takes_span(attributes.metadata()) {
            self.start(attributes, id.into_u64(), &context);
        } else if current::is_set() {
            self.remember(attributes, id.into_u64());
        } else if self.begins_transactions || is_aloud() {
            self.start_outside(attributes, id.into_u64());
        }
    }

    #[inline]
    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if current::is_used()
            && let Some(scope) = self.index.get(id.into_u64())
        {
            encoded(|fields| values.record(fields), |fields| self.add_fields(&scope, id.into_u64(), fields));
        }
    }

    #[inline]
    fn on_follows_from(&self, id: &Id, other: &Id, _: Context<'_, S>) {
        if current::is_used() {
            self.link(id.into_u64(), other.into_u64());
        }
    }

    #[inline]
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        match event.parent() {
            Some(parent) if current::is_used() => self.inside_parent(parent, || self.take(event, &context)),
            _ => self.take(event, &context),
        }
    }

    #[inline]
    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        if current::is_used() && !self.is_second() {
            let id = id.into_u64();
            // If a scope is current, it is nearly always the span's own.
            if !current::span_entered(id, self.index.address(id)) {
                self.lend(id);
            }
            if self.times_polls {
                Self::enter_span(id);
            }
        }
    }

    #[inline]
    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if current::is_used() && !self.is_second() {
            if self.times_polls {
                Self::exit_span(id.into_u64());
            }
            current::span_exited(id.into_u64());
        }
    }

    #[inline]
    fn on_close(&self, id: Id, _: Context<'_, S>) {
        if current::is_used() && self.index.may_hold(id.into_u64()) {
            self.end(id.into_u64());
        }
    }
}

impl fmt::Debug for TracingLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rules, is_exclusive, times_polls, index, client, .. } = self;
        f.debug_struct("TracingLayer")
            .field("rules", rules)
            .field("is_exclusive", is_exclusive)
            .field("times_polls", times_polls)
            .field("index", index)
            .field("client", client)
            .finish_non_exhaustive()
    }
}
