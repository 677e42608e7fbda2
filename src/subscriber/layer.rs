//! The `tracing` layer. Without per-layer filters, it returns early if no recorded request is
//! current.

mod events;
mod spans;

use std::fmt;
use std::sync::OnceLock;

use tracing::dispatcher::WeakDispatch;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::index::Index;
use super::visit::encoded;
use crate::client::{Client, WeakClient};
use crate::diagnostics::is_aloud;
use crate::scope::current;

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
    /// The subscriber that the layer belongs to.
    dispatch: OnceLock<WeakDispatch>,
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
            dispatch: OnceLock::new(),
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
    pub fn poll_times(mut self, record: bool) -> Self {
        self.times_polls = record;
        self
    }

    /// Declares that no other layer of the subscriber needs spans, so that unrecorded spans are not
    /// created at all.
    ///
    /// The spans of an unrecorded request then cost about a tenth, because most of their cost is
    /// the Registry's. In return, **no layer sees** spans below the level, outside requests, or in
    /// requests that are not recorded. For example, the lines of a `fmt` layer lack them, and a task
    /// that such a request spawns with `in_current_span()` does not carry the request: bind its future
    /// with [`Scope::bind`](crate::Scope::bind). Events are not affected. Defaults to off: this layer
    /// does not affect other layers.
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
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // A second subscriber would be another one's layer.
        let _first_one_stays = self.dispatch.set(dispatch.downgrade());
    }

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
        if let Some(parent) = attributes.parent() {
            self.start_below(parent, attributes, id.into_u64());
        } else if current::may_record() && self.takes(attributes.metadata()) {
            self.start(attributes, id.into_u64(), &context);
        } else if current::is_set() {
            self.remember(attributes, id.into_u64());
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
        match event.parent() {
            Some(parent) if current::is_used() => self.inside_parent(parent, || self.take(event, &context)),
            _ => self.take(event, &context),
        }
    }

    #[inline]
    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        if current::is_used() {
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

impl fmt::Debug for TracingLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { level, is_exclusive, captures_errors, times_polls, index, client, .. } = self;
        f.debug_struct("TracingLayer")
            .field("level", level)
            .field("is_exclusive", is_exclusive)
            .field("captures_errors", captures_errors)
            .field("times_polls", times_polls)
            .field("index", index)
            .field("client", client)
            .finish_non_exhaustive()
    }
}
