//! Spans outside any request or job, which may be transactions.

use std::borrow::Cow;

use tracing::Metadata;
use tracing::span::Attributes;

use super::super::visit::encoded;
use super::TracingLayer;
use crate::diagnostics::explain;
use crate::exporter::is_exporter;
use crate::propagation::{Carrier, incoming_from};
use crate::record::{FieldReader, FieldValue, Parent, clock};
use crate::scope::{LiveScope, Work, begin_work, current};

impl TracingLayer {
    /// Whether a span that begins outside any request or job is a transaction: of a worker, a cron run or a
    /// command.
    ///
    /// The transaction has the name and the `op` of the span (`task`, without a `sentry.op`), and a scope of
    /// its own, like a request. The field `sentry.trace` continues a trace; its value is that of a
    /// `sentry-trace` header. The transaction ends when the span closes. It has failed if an event of level
    /// ERROR was captured in it, or a panic closes it; `sentry.status` says something else.
    ///
    /// Nothing of a transaction is sent before its end, and it records no more spans than a request. So leave
    /// out a span that is open as long as the process, with [`span_filter`](Self::span_filter).
    ///
    /// Defaults to `false`: such spans are not recorded.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
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

    /// Takes a span that begins outside any request or job.
    #[cold]
    pub(super) fn start_outside(&self, attributes: &Attributes<'_>, id: u64) {
        let metadata = attributes.metadata();
        if current::is_set() || !self.rules.takes_span(metadata) || is_exporter() {
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
        let told = Told::read(metadata, fields);
        let name = told.name.map(|name| client.admitted_name(name, clock::nanos(clock::now())));
        let work = Work {
            name: name.unwrap_or_else(|| metadata.name()),
            op: "task",
            own_op: told.op,
            origin: "auto.function.tracing",
            incoming: told.trace.and_then(|header| incoming_from(&SentryTrace(header))),
            sample_rate: None,
        };
        let scope = begin_work(&client, work, |record| {
            record.of_span = Some((id, metadata));
            record.late_fields(Parent::Root, fields);
        });
        let Some(scope) = scope else { return };
        current::note_use();
        if !self.index.insert(id, &scope) {
            // Its end would not be seen.
            scope.finish_untold(false);
        }
    }

    /// Renames a transaction whose span gets a name after it began.
    #[cold]
    pub(super) fn rename(scope: &LiveScope, id: u64, fields: &[u8]) {
        let mut state = scope.lock();
        let Some((_, metadata)) = state.transaction.record.of_span.filter(|(span, _)| *span == id) else { return };
        if let Some(name) = Told::read(metadata, fields).name {
            let name = scope.client.admitted_name(name, clock::nanos(clock::now()));
            state.transaction.record.name_by_hand(name);
        }
    }
}

/// What the fields of a span say about its transaction.
#[derive(Default)]
struct Told<'a> {
    name: Option<&'a str>,
    op: Option<&'a str>,
    /// The value of a `sentry-trace` header.
    trace: Option<&'a str>,
}

impl<'a> Told<'a> {
    fn read(metadata: &'static Metadata<'static>, fields: &'a [u8]) -> Self {
        let (mut told, mut otel_name) = (Self::default(), None);
        for (key, value) in FieldReader::new(fields) {
            let (Some(name), FieldValue::Text(text)) = (key.name(Some(metadata.fields())), value) else { continue };
            match name {
                "sentry.name" => told.name = Some(text),
                "otel.name" => otel_name = Some(text),
                "sentry.op" => told.op = Some(text),
                "sentry.trace" => told.trace = Some(text),
                _ => {}
            }
        }
        Self { name: told.name.or(otel_name), ..told }
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
