//! The layer: a plain one, which returns early wherever no recorded request is current.

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

/// Makes spans of `tracing` (`#[instrument]`, `info_span!`) spans of the current request's transaction, and events its breadcrumbs.
///
/// One layer serves every client of the process: it records into whatever request is current. These fields describe a span:
/// `sentry.op` (the kind of work), `sentry.name` (what is done), `otel.name`, `otel.kind`, `otel.status_code`; the `http.*`, `db.*`, `messaging.*` and
/// `rpc.*` attributes of OpenTelemetry give a kind where `sentry.op` does not.
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
    /// Weak: a subscriber lives as long as the process, and the last handle's drop delivers.
    client: WeakClient,
}

impl TracingLayer {
    /// A layer for spans and events of level INFO and above.
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

    /// Sets the level from which on spans and events are recorded. Defaults to `Level::INFO`.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Whether events of level ERROR are captured, beside being breadcrumbs. Defaults to `true`.
    #[must_use]
    pub fn error_events(mut self, capture: bool) -> Self {
        self.captures_errors = capture;
        self
    }

    /// Tells of each span how often it was entered (to be polled, and once to be dropped), how long it was busy, how long it was waiting, and how long its longest poll was (`tower_sentry.polls`, `.busy_ms`,
    /// `.idle_ms`, `.longest_poll_ms`): what waits is not what computes. Costs two looks at the clock a poll. Defaults to `false`; of the
    /// request itself the layer always tells.
    #[must_use]
    pub fn poll_times(mut self, tell: bool) -> Self {
        self.times_polls = tell;
        self
    }

    /// Says that no other layer of the subscriber wants spans: then those that nobody will record are not made at all.
    ///
    /// A request that is not recorded costs about a tenth in spans then, since most of their cost is the Registry's. In return **no
    /// layer sees** spans below the level, outside of requests, or in requests that are not recorded: lines of a `fmt` layer lack them.
    /// Events are left to everybody. Defaults to off: this layer takes nothing from others.
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

    /// Whether the callsite is of interest. Our own messages never are.
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
            // Anything else would hold for every other layer too.
            false => Interest::always(),
        }
    }

    #[inline]
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        !self.is_exclusive || !metadata.is_span() || (current::may_record() && self.takes(metadata))
    }

    // Each callback asks one question and is done where there is nothing to do; what follows is a call away, so that the question
    // costs no registers to be saved.
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
        // Where something is current the span is at home: the common case.
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
    /// Begins the span where it is recorded.
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
                // A span that does not find home again would stay open until the end.
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

    /// Says what has no home: most often work that was spawned bare.
    #[cold]
    fn explain_orphan(&self, metadata: &Metadata<'_>) {
        if !current::is_set() && self.takes(metadata) && !is_exporter() {
            explain(
                metadata.name(),
                "it began outside of any request or job; spawned work needs `.instrument(..)`, `.in_current_span()` or `Scope::bind`",
            );
        }
    }

    /// Makes a breadcrumb of the event; one of level ERROR says that the span around it failed.
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

    /// What is neither a breadcrumb nor everybody's: an error outside of requests, a query that a driver tells of below the level, a log.
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

    /// Makes a span of a query that is over.
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

    /// Captures an error that no request has.
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

    /// Keeps the event as a log, for whoever sends logs or writes those of security.
    #[inline(never)]
    fn log<S>(&self, event: &Event<'_>, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let metadata = event.metadata();
        let here = current::with(|entered| entered.scope.client.clone());
        // What an ignored request logs is not sent; the file of security events knows no ignored ones.
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

    /// Brings the span's scope to a task that has none.
    #[inline(never)]
    fn lend(&self, id: u64) {
        if let Some(scope) = self.index.get(id) {
            current::lend(scope, id);
        }
    }

    #[inline(never)]
    fn end(&self, id: u64) {
        if let Some(scope) = self.index.remove(id) {
            // A span that closes while its code unwinds did not end well.
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
