//! The counts of a client, for its user.

use crate::protocol::DiscardReason;

/// The counts of a client at one moment, by category.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The [name of the client](crate::ConfigBuilder::client_name), empty without one.
    pub client_name: String,
    /// Error events and messages.
    pub errors: Counts,
    /// Transactions.
    pub transactions: Counts,
    /// Spans, including the root spans of transactions.
    pub spans: Counts,
    /// Attachments of events, in bytes.
    pub attachment_bytes: Counts,
    /// Check-ins of cron jobs.
    pub check_ins: Counts,
    /// User feedback.
    pub feedback: Counts,
    /// Structured logs.
    pub logs: Counts,
    /// Metrics.
    pub metrics: Counts,
    /// Spans for the [OpenTelemetry collector](crate::ConfigBuilder::otlp). They are copies: [`waiting`](Self::waiting)
    /// does not count them.
    ///
    /// `sent` are those that the collector took. Dropped are those that found the queue full ([`QueueOverflow`]), that
    /// the collector refused ([`SendError`]), and that it did not take after ten attempts or before the process ended
    /// ([`NetworkError`]).
    ///
    /// [`QueueOverflow`]: DiscardReason::QueueOverflow
    /// [`SendError`]: DiscardReason::SendError
    /// [`NetworkError`]: DiscardReason::NetworkError
    #[cfg(feature = "otlp")]
    pub otlp: Counts,
    /// Profiles of transactions.
    #[cfg(profiles)]
    pub profiles: Counts,
    /// Chunks of the profiles of sessions.
    #[cfg(profiles)]
    pub profile_chunks: Counts,
    /// Values that were shortened or left out because of a limit of size: fields of spans and events,
    /// and data that was set on a scope.
    ///
    /// What is sent shows it. A text that was cut ends with `…`, `[left out: 300000 bytes]` stands
    /// for a value without room, and the attributes `tower_sentry.truncated` and
    /// `tower_sentry.dropped_fields` have the numbers.
    pub truncated: u64,
    /// Breadcrumbs that events lack, because newer ones replaced them
    /// ([`max_breadcrumbs`](crate::ConfigBuilder::max_breadcrumbs)), and breadcrumbs that
    /// [`before_breadcrumb`](crate::ConfigBuilder::before_breadcrumb) dropped.
    ///
    /// Each event has the number of those that were replaced in the context `tower_sentry`. Two events of one request may lack
    /// the same breadcrumb, which counts twice.
    pub dropped_breadcrumbs: u64,
    /// Lines of the [security log](crate::ConfigBuilder::security_log) that were not written: its disk was
    /// full, slow or gone, or hung.
    pub lost_security_lines: u64,
    /// Reports of a failure that became part of the event of an earlier report.
    ///
    /// They are not in `errors.captured`, which counts events. All reports together are
    /// `errors.captured + merged_reports`.
    pub merged_reports: u64,
    /// Whether spans are items, see [`waiting`](Self::waiting).
    pub(crate) streams_spans: bool,
}

impl Stats {
    /// Returns the number of items that wait in memory: they are neither delivered nor dropped yet, nor
    /// in the spool.
    ///
    /// Items are events, transactions, check-ins, logs, metrics, feedback and chunks of profiles. Attachments and
    /// profiles belong to an item and are not counted here. Neither are spans, except with
    /// [`TraceLifecycle::Stream`](crate::protocol::TraceLifecycle::Stream): they are sent on their own then.
    pub fn waiting(&self) -> u64 {
        self.items().map(Counts::waiting).sum()
    }

    /// Returns the number of items in the [spool](crate::ConfigBuilder::spool_dir).
    pub fn spooled(&self) -> u64 {
        self.items().map(|counts| counts.spooled).sum()
    }

    /// The categories that are submitted on their own. Attachments, and most spans, are part of an item.
    fn items(&self) -> impl Iterator<Item = &Counts> {
        [
            &self.errors,
            &self.transactions,
            &self.check_ins,
            &self.feedback,
            &self.logs,
            &self.metrics,
            #[cfg(profiles)]
            &self.profile_chunks,
        ]
        .into_iter()
        .chain(self.streams_spans.then_some(&self.spans))
    }
}

/// The counts of one category.
///
/// Once nothing is in progress, `captured = sent + spooled + dropped`. What a dead process left in
/// the spool counts as captured too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Everything captured so far.
    pub captured: u64,
    /// Accepted by the server (2xx). Without a server: passed to the transport function or shown by
    /// a local sink.
    pub sent: u64,
    /// In the [spool](crate::ConfigBuilder::spool_dir) and not in memory. They are sent later, by this
    /// process or by another.
    pub spooled: u64,
    /// Dropped, by reason.
    pub dropped: Vec<(DiscardReason, u64)>,
    /// How many of those dropped for [`Backpressure`](DiscardReason::Backpressure) were over a
    /// [budget](crate::ConfigBuilder::budget).
    pub over_budget: u64,
}

impl Counts {
    /// Returns how many were dropped, for all reasons together.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().map(|(_, count)| count).sum()
    }

    /// Returns how many wait in memory: they are neither delivered nor dropped yet, nor on disk.
    pub fn waiting(&self) -> u64 {
        self.captured.saturating_sub(self.sent + self.spooled + self.dropped_total())
    }
}
