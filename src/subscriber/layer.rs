//! The `tracing` layer. Without per-layer filters, it returns early if no recorded request is
//! current.

use std::fmt;

use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::database;
use super::failure;
use super::index::Index;
use super::visit::{encoded, fields_of};
use crate::client::{Client, WeakClient};
use crate::export::diagnostics::{explain, is_aloud};
use crate::export::{Item, are_logs_wanted, is_exporter};
use crate::record::BreadcrumbSource;
use crate::scope::current::{self, Entered};
use crate::scope::{LogPlace, capture_outside};

/// Records `tracing` spans as spans of the current transaction, and `tracing` events as
/// breadcrumbs.
///
/// One layer serves all clients of the process: it records into the current request or job. These
/// fields describe a span:
///
/// | field | meaning |
/// |---|---|
/// | `sentry.op` | the kind of work |
/// | `sentry.name` | the description of the span |
/// | `otel.name`, `otel.kind`, `otel.status_code` | as for `tracing-opentelemetry` |
/// | `http.*`, `db.*`, `messaging.*`, `rpc.*` | the kind of work, if `sentry.op` is missing |
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
    level: Level,
    is_exclusive: bool,
    captures_errors: bool,
    times_polls: bool,
    index: Index,
    /// Weak: a subscriber lives as long as the process, but dropping the last handle must deliver.
    client: WeakClient,
}

impl TracingLayer {
    /// Creates a layer for spans and events of level INFO and above.
    pub fn new(client: impl Into<Client>) -> Self {
        Self {
            level: Level::INFO,
            is_exclusive: false,
            captures_errors: true,
            times_polls: false,
            index: Index::new(),
            client: client.into().downgrade(),
        }
    }

    /// Sets the least severe level of spans and events to record.
    ///
    /// Defaults to `Level::INFO`.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Whether events of level ERROR are captured, in addition to being breadcrumbs.
    ///
    /// Defaults to `true`.
    #[must_use]
    pub fn error_events(mut self, capture: bool) -> Self {
        self.captures_errors = capture;
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
    pub fn poll_times(mut self, tell: bool) -> Self {
        self.times_polls = tell;
        self
    }

    /// Declares that no other layer of the subscriber needs spans, so that unrecorded spans are not
    /// created at all.
    ///
    /// The spans of an unrecorded request then cost about a tenth, because most of their cost is
    /// the Registry's. In return, **no layer sees** spans below the level, outside requests, or in
    /// requests that are not recorded. For example, the lines of a `fmt` layer lack them. Events
    /// are not affected. Defaults to off: this layer does not affect other layers.
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

    /// Whether to record this callsite. The crate's own messages are never recorded.
    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level && metadata.target() != "tower_sentry"
    }
}

impl<S> Layer<S> for TracingLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.is_exclusive && metadata.is_span() {
            true if self.takes(metadata) => Interest::sometimes(),
            true => Interest::never(),
            // Any other answer would apply to all other layers too.
            false => Interest::always(),
        }
    }

    #[inline]
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        !self.is_exclusive || !metadata.is_span() || (current::may_record() && self.takes(metadata))
    }

    // Each callback checks one condition and returns early. The rest is in separate functions, so
    // that the check does not need to save registers.
    #[inline]
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if current::may_record() && self.takes(attributes.metadata()) {
            self.start(attributes, id.into_u64(), &context);
        } else if is_aloud() {
            self.explain_orphan(attributes.metadata());
        }
    }

    #[inline]
    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if current::is_used()
            && let Some(scope) = self.index.get(id.into_u64())
        {
            encoded(|fields| values.record(fields), |fields| scope.lock().transaction.add_fields(id.into_u64(), fields));
        }
    }

    #[inline]
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if current::is_set() && self.takes(event.metadata()) {
            self.note(event, &context);
        } else if *event.metadata().level() == Level::ERROR || are_logs_wanted() || current::may_record() {
            self.note_unusual(event, &context);
        }
    }

    #[inline]
    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        // If a scope is current, it is nearly always the span's own.
        if current::is_used() {
            if !current::span_entered(id.into_u64()) {
                self.lend(id.into_u64());
            }
            if self.times_polls {
                Self::enter_span(id.into_u64());
            }
        }
    }

    #[inline]
    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if current::is_used() {
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

impl TracingLayer {
    /// Starts the span, if it is recorded.
    #[inline(never)]
    fn start<S>(&self, attributes: &Attributes<'_>, id: u64, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let start = |entered: Entered<'_>, fields: &[u8]| {
            let scope = entered.scope;
            let (parent, mut state) = if attributes.is_contextual() {
                entered.parent(|| context.span_scope(context.current_span().id()?))
            } else {
                let parent = attributes.parent().map(|parent| entered.explicit_parent(context.span_scope(parent)));
                (parent.unwrap_or_default(), scope.lock())
            };
            if !state.transaction.start_traced_span(id, attributes.metadata(), parent, fields) {
                drop(state);
                scope.count_if_late(attributes.metadata().name());
            } else if !self.index.insert(id, scope) {
                // A span that is not in the index could not be closed, and would stay open until
                // the end.
                state.transaction.end_traced_span(id, false);
            }
        };
        encoded(
            |fields| attributes.record(fields),
            |fields| {
                current::with(|entered| start(entered, fields));
            },
        );
    }

    /// Explains why a span is not recorded: usually because its task was spawned without a scope.
    #[cold]
    fn explain_orphan(&self, metadata: &Metadata<'_>) {
        if !current::is_set() && self.takes(metadata) && !is_exporter() {
            explain(
                metadata.name(),
                "it began outside of any request or job; spawned work needs `.instrument(..)`, `.in_current_span()` or `Scope::bind`",
            );
        }
    }

    /// Records the event as a breadcrumb.
    ///
    /// An event of level ERROR also marks the enclosing span as failed.
    #[inline(never)]
    fn note<S>(&self, event: &Event<'_>, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let metadata = event.metadata();
        if database::is_query(metadata) && current::may_record() {
            Self::query(event, context);
        }
        if are_logs_wanted() {
            self.log(event, context);
        }
        let takes_breadcrumbs = current::with(|entered| entered.scope.takes_breadcrumbs) == Some(true);
        if *metadata.level() == Level::ERROR {
            self.note_error(event, context, takes_breadcrumbs);
        } else if takes_breadcrumbs {
            encoded(|fields| event.record(fields), |fields| Self::add_breadcrumb(metadata, fields));
        }
    }

    fn add_breadcrumb(metadata: &'static Metadata<'static>, fields: &[u8]) {
        current::with(|entered| entered.scope.lock().transaction.add_breadcrumb(BreadcrumbSource::Event(metadata), fields));
    }

    #[inline(never)]
    fn note_error<S>(&self, event: &Event<'_>, context: &Context<'_, S>, takes_breadcrumbs: bool)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let captures = self.captures_errors && current::with(|entered| entered.scope.client.is_enabled()) == Some(true);
        let fields = if takes_breadcrumbs || captures { fields_of(event) } else { Vec::new() };
        if takes_breadcrumbs {
            Self::add_breadcrumb(event.metadata(), &fields);
        }
        let capture = if captures { failure::capture(event, fields) } else { None };
        current::with(|entered| {
            let (span, mut state) = entered.parent(|| context.span_scope(context.current_span().id()?));
            state.transaction.fail_span(span);
            drop(state);
            if let Some(capture) = capture {
                entered.scope.capture(capture, span);
            }
        });
    }

    /// Handles the rare cases: an error outside any request, a driver's query below the level, and
    /// logs.
    #[inline(never)]
    fn note_unusual<S>(&self, event: &Event<'_>, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if database::is_of_driver(event.metadata()) && database::is_query(event.metadata()) && current::may_record() {
            Self::query(event, context);
        }
        if *event.metadata().level() == Level::ERROR {
            self.capture_outside(event);
        }
        if are_logs_wanted() {
            self.log(event, context);
        }
    }

    #[inline(never)]
    fn enter_span(id: u64) {
        if current::may_record() {
            current::with(|entered| entered.scope.lock().transaction.enter_span(id));
        }
    }

    #[inline(never)]
    fn exit_span(id: u64) {
        if current::may_record() {
            current::with(|entered| entered.scope.lock().transaction.exit_span(id));
        }
    }

    /// Records a finished query as a span.
    #[inline(never)]
    fn query<S>(event: &Event<'_>, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let metadata = event.metadata();
        let Some(elapsed) = database::elapsed(event) else { return };
        let add = |entered: Entered<'_>, fields: &[u8]| {
            let (parent, mut state) = entered.parent(|| context.span_scope(context.current_span().id()?));
            state.transaction.add_ended_span(metadata, parent, fields, elapsed);
        };
        encoded(
            |fields| event.record(fields),
            |fields| {
                current::with(|entered| add(entered, fields));
            },
        );
    }

    /// Captures an error outside any request.
    #[inline(never)]
    fn capture_outside(&self, event: &Event<'_>) {
        if !self.captures_errors || current::is_set() || !self.takes(event.metadata()) || is_exporter() {
            return;
        }
        let client = self.client.upgrade();
        if client.is_enabled()
            && let Some(capture) = failure::capture(event, fields_of(event))
        {
            capture_outside(client, capture);
        }
    }

    /// Records the event as a structured log and in the security log, if these are on.
    #[inline(never)]
    fn log<S>(&self, event: &Event<'_>, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let metadata = event.metadata();
        let here = current::with(|entered| entered.scope.client.clone());
        // Logs of an ignored request are not sent, but security events are still written.
        let is_ignored = here.as_ref().is_some_and(|client| !client.is_enabled());
        let client = here.filter(Client::is_enabled).unwrap_or_else(|| self.client.upgrade());
        let keeps = client.keeps_logs_of(metadata.target());
        let sends = keeps.sends && !is_ignored && self.takes(metadata);
        if !(sends || keeps.writes) || metadata.target() == "tower_sentry" || is_exporter() {
            return;
        }
        let fields = fields_of(event);
        let place = current::with(|entered| {
            let (span, mut state) = entered.parent(|| context.span_scope(context.current_span().id()?));
            entered.scope.log_place(&mut state, span)
        });
        let place = place.unwrap_or_else(LogPlace::outside);
        if keeps.writes {
            client.write_security_log(place.line(metadata, fields.clone()));
        }
        if sends {
            client.submit(Item::Log(Box::new(place.line(metadata, fields))));
        }
    }

    /// Makes the span's scope current in a task that has none.
    #[inline(never)]
    fn lend(&self, id: u64) {
        if let Some(scope) = self.index.get(id) {
            current::lend(scope, id);
        }
    }

    #[inline(never)]
    fn end(&self, id: u64) {
        if let Some(scope) = self.index.remove(id) {
            // A span that closes during unwinding has failed.
            scope.lock().transaction.end_traced_span(id, std::thread::panicking());
        }
    }
}

impl fmt::Debug for TracingLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { level, is_exclusive, captures_errors, times_polls, index, client } = self;
        f.debug_struct("TracingLayer")
            .field("level", level)
            .field("is_exclusive", is_exclusive)
            .field("captures_errors", captures_errors)
            .field("times_polls", times_polls)
            .field("index", index)
            .field("client", client)
            .finish()
    }
}
