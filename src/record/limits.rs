//! How much of a request or job is kept.

use std::time::Duration;

/// The number of spans that Sentry's servers accept in a transaction.
pub(crate) const MOST_SPANS: usize = 1000;

/// How much of a request or job is kept.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) max_breadcrumbs: usize,
    pub(crate) max_spans: usize,
    /// Shorter spans are left out if they are finished, successful and childless.
    pub(crate) min_span_duration: Duration,
    /// In bytes, of each attachment.
    pub(crate) max_attachment_size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_breadcrumbs: 100, max_spans: MOST_SPANS, min_span_duration: Duration::ZERO, max_attachment_size: 1024 * 1024 }
    }
}
