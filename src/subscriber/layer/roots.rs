//! Spans outside any request or job, which may be transactions.

use std::borrow::Cow;

use tracing::Metadata;
use tracing::span::Attributes;

use super::super::visit::encoded;
use super::TracingLayer;
use crate::diagnostics::explain;
use crate::exporter::is_exporter;
use crate::propagation::{Carrier, incoming_from};
use crate::protocol::SpanStatus;
use crate::record::{FieldReader, FieldValue, Parent, Record, clock};
use crate::scope::{LiveScope, Work, begin_work, current};
use crate::unwind::is_catching;

impl TracingLayer {
    /// Whether a span that begins outside any request or job is a transaction: of a worker, a cron run or a
    /// command.
    ///
    /// The transaction has the name and the `op` of the span (`task`, without a `sentry.op`), and a scope of
    /// its own, like a request. The field `sentry.trace` continues a trace; its value is that of a
    /// `sentry-trace` header, and it must be there when the span begins. `parent: None` begins a new
    /// transaction inside another span's.
    ///
    /// The transaction ends when the span closes. It has failed if an event of level ERROR was captured in it,
    /// if a panic closes it, or if `sentry.status` or `otel.status_code` says so.
    ///
    /// A request or a job inside such a span has its own transaction and trace. Its work belongs to it, whichever
    /// spans it enters. In a subscriber with two of these layers, the setting of the outer one counts.
    ///
    /// Leave out two kinds of span with [`span_filter`](Self::span_filter):
    ///
    /// - one that is open as long as the process: it is sent at its end, and records no more spans than a
    ///   request;
    /// - the span of a layer outside the [`SentryLayer`](crate::SentryLayer), such as tower-http's `TraceLayer`.
    ///   It would be a second transaction of each request.
    ///
    /// Defaults to `false`: such spans are not recorded.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "test")] {
    /// use tower_sentry::TracingLayer;
    /// use tracing_subscriber::layer::SubscriberExt;
    ///
    /// let (sentry, captured) = tower_sentry::test::client();
    /// let layer = TracingLayer::new(&sentry).root_transactions(true);
    /// let subscriber = tracing_subscriber::registry().with(layer);
    ///
    /// #[tracing::instrument(fields(sentry.op = "queue.process"))]
    /// fn send_mails() {
    ///     tracing::info_span!("connect").in_scope(|| {});
    /// }
    /// tracing::subscriber::with_default(subscriber, send_mails);
    ///
    /// assert_eq!(captured.tree(), "send_mails [queue.process] ok\n  connect [function] ok\n");
    /// # }
    /// ```
    #[must_use]
    pub fn root_transactions(mut self, begin: bool) -> Self {
        self.begins_transactions = begin;
        self
    }

    /// Whether the span begins a transaction although a scope is current: that of another span.
    #[inline]
    pub(super) fn is_new_root(&self, attributes: &Attributes<'_>) -> bool {
        self.begins_transactions && attributes.is_root() && Self::is_inside_root()
    }

    #[inline(never)]
    fn is_inside_root() -> bool {
        current::with(|entered| entered.scope.is_of_span()) == Some(true)
    }

    /// Takes a span that begins outside any request or job.
    #[cold]
    pub(super) fn start_outside(&self, attributes: &Attributes<'_>, id: u64) {
        let metadata = attributes.metadata();
        // The user's sampler may open spans itself. As transactions, they would call the sampler again.
        if !self.rules.takes_span(metadata) || is_exporter() || is_catching() {
            return;
        }
        if !self.begins_transactions {
            return explain(
                metadata.name(),
                "it began outside of any request or job; spawned work needs `.instrument(..)`, `.in_current_span()` or `Scope::bind`",
            );
        }
        encoded(|fields| attributes.record(fields), |fields| self.begin_transaction(id, metadata, fields));
    }

    fn begin_transaction(&self, id: u64, metadata: &'static Metadata<'static>, fields: &[u8]) {
        let client = self.client.upgrade();
        let facts = RootFacts::read(metadata, fields);
        let name = facts.sentry_name.or(facts.otel_name).map(|name| client.admitted_name(name, clock::nanos(clock::now())));
        let work = Work {
            name: name.unwrap_or_else(|| metadata.name()),
            op: "task",
            own_op: facts.op,
            origin: "auto.function.tracing",
            incoming: facts.trace.and_then(|header| incoming_from(&SentryTrace(header))),
            sample_rate: None,
        };
        let scope = begin_work(&client, work, |record| {
            record.of_span = Some((id, metadata));
            record.late_fields(Parent::Root, fields);
        });
        let Some(scope) = scope else { return };
        current::note_use();
        if facts.has_failed {
            scope.note_failure();
        }
        if !self.index.insert(id, &scope) {
            // A span that is not in the index does not end its transaction.
            scope.finish_without_result(false);
        }
    }

    /// Adds fields that a span gets after it began.
    pub(super) fn add_fields(&self, scope: &LiveScope, id: u64, fields: &[u8]) {
        let mut state = scope.lock();
        let transaction = &mut state.transaction;
        let of_span = transaction.record.of_span.filter(|(span, _)| self.begins_transactions && *span == id);
        let facts = of_span.map(|(_, metadata)| (RootFacts::read(metadata, fields), has_sentry_name(&transaction.record, metadata)));
        transaction.add_fields(id, fields);
        let Some((facts, is_named)) = facts else { return };
        // `sentry.name` counts, whichever of them came last.
        if let Some(name) = facts.sentry_name.or_else(|| facts.otel_name.filter(|_| !is_named)) {
            let name = scope.client.admitted_name(name, clock::nanos(clock::now()));
            transaction.record.name_by_hand(name);
        }
        drop(state);
        if facts.has_failed {
            scope.note_failure();
        }
    }
}

/// Whether the span of a transaction has named it.
fn has_sentry_name(record: &Record, metadata: &'static Metadata<'static>) -> bool {
    record.root_fields().any(|(key, _)| key.name(Some(metadata.fields())) == Some("sentry.name"))
}

/// Whether a status says that the work has failed, and not its caller.
const fn is_failure(status: SpanStatus) -> bool {
    use SpanStatus::{DataLoss, DeadlineExceeded, InternalError, Unavailable, Unimplemented, Unknown};
    matches!(status, DataLoss | DeadlineExceeded | InternalError | Unavailable | Unimplemented | Unknown)
}

/// The fields of a span that describe its transaction.
#[derive(Default)]
struct RootFacts<'a> {
    sentry_name: Option<&'a str>,
    otel_name: Option<&'a str>,
    op: Option<&'a str>,
    /// The value of a `sentry-trace` header.
    trace: Option<&'a str>,
    has_failed: bool,
}

impl<'a> RootFacts<'a> {
    fn read(metadata: &'static Metadata<'static>, fields: &'a [u8]) -> Self {
        let mut facts = Self::default();
        for (key, value) in FieldReader::new(fields) {
            let (Some(name), FieldValue::Text(text)) = (key.name(Some(metadata.fields())), value) else { continue };
            match name {
                "sentry.name" => facts.sentry_name = Some(text),
                "otel.name" => facts.otel_name = Some(text),
                "sentry.op" => facts.op = Some(text),
                "sentry.trace" => facts.trace = Some(text),
                "sentry.status" => facts.has_failed |= SpanStatus::from_name(text).is_some_and(is_failure),
                "otel.status_code" => facts.has_failed |= text.eq_ignore_ascii_case("error"),
                _ => {}
            }
        }
        facts
    }
}

/// The text of a field in the place of a header.
struct SentryTrace<'a>(&'a str);

impl Carrier for SentryTrace<'_> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        (name == "sentry-trace").then_some(Cow::Borrowed(self.0))
    }

    fn set(&mut self, _: &'static str, _: String) {}
}

impl Drop for TracingLayer {
    /// Ends the transactions of open spans: the layer was replaced, so it does not see the spans close.
    fn drop(&mut self) {
        for scope in self.index.take_all() {
            if scope.is_of_span() {
                scope.finish_without_result(false);
            }
        }
    }
}
