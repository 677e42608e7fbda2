//! The layer: a plain one, which returns early wherever no recorded request is current.

use std::fmt;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::index::Index;
use super::visit::encoded;
use crate::client::{Client, WeakClient};
use crate::record::{BreadcrumbSource, Parent};
use crate::scope::current;

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
    index: Index,
    /// Weak: a subscriber lives as long as the process, and the last handle's drop delivers.
    client: WeakClient,
}

impl TracingLayer {
    /// A layer for spans and events of level INFO and above.
    pub fn new(client: impl Into<Client>) -> Self {
        Self { level: Level::INFO, index: Index::new(), client: client.into().downgrade() }
    }

    /// Sets the level from which on spans and events are recorded. Defaults to `Level::INFO`.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
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
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !current::is_used() {
            return;
        }
        let metadata = attributes.metadata();
        let Some(scope) = current::recording().filter(|_| self.takes(metadata)) else { return };
        let parent = match attributes.parent() {
            Some(parent) => current::explicit_parent(&scope, context.span_scope(parent)),
            None if attributes.is_root() => Parent::Root,
            None => {
                let current = context.current_span();
                current::parent(&scope, current.id().map(Id::into_u64), || context.span_scope(current.id()?))
            }
        };
        let id = id.into_u64();
        let is_recorded =
            encoded(|fields| attributes.record(fields), |fields| scope.lock().transaction.start_traced_span(id, metadata, parent, fields));
        // A span that does not find home again would stay open until the end.
        if is_recorded && !self.index.insert(id, &scope) {
            scope.lock().transaction.end_traced_span(id, false);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if !current::is_used() {
            return;
        }
        let Some(scope) = self.index.get(id.into_u64()) else { return };
        encoded(|fields| values.record(fields), |fields| scope.lock().transaction.add_fields(id.into_u64(), fields));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !current::is_used() {
            return;
        }
        let metadata = event.metadata();
        let Some(scope) = current::scope().filter(|scope| self.takes(metadata) && scope.client.is_enabled()) else { return };
        encoded(|fields| event.record(fields), |fields| scope.lock().transaction.add_breadcrumb(BreadcrumbSource::Event(metadata), fields));
        if *metadata.level() == Level::ERROR && scope.is_recording() {
            let current = context.current_span();
            let parent = current::parent(&scope, current.id().map(Id::into_u64), || context.span_scope(current.id()?));
            scope.lock().transaction.fail_span(parent);
        }
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        if !current::is_used() {
            return;
        }
        // Where something is current the span is at home: the common case, and one look at a thread-local.
        if !current::is_set_for(id.into_u64())
            && let Some(scope) = self.index.get(id.into_u64())
        {
            current::lend(&scope, id.into_u64());
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if !current::is_used() {
            return;
        }
        current::end_loan(id.into_u64());
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        if !current::is_used() {
            return;
        }
        if let Some(scope) = self.index.remove(id.into_u64()) {
            // A span that closes while its code unwinds did not end well.
            scope.lock().transaction.end_traced_span(id.into_u64(), std::thread::panicking());
        }
    }
}

impl fmt::Debug for TracingLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracingLayer").field("level", &self.level).field("index", &self.index).field("client", &self.client).finish()
    }
}
