//! The data a test client captured.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::protocol::{Event, ItemType, Metric, Span, SpanId, SpanStatus, StreamedSpan, Timestamp, Transaction, parse, put_together};

/// How long to wait for the exporter.
const PATIENCE: Duration = Duration::from_secs(30);

/// The data that a client would have sent.
///
/// Each method first waits until everything recorded so far has been exported, and panics if this
/// takes longer than 30 seconds.
#[derive(Clone)]
pub struct Captured {
    client: Client,
    envelopes: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Captured {
    pub(super) fn new(client: Client, envelopes: Arc<Mutex<Vec<Vec<u8>>>>) -> Self {
        Self { client, envelopes }
    }

    /// All envelopes as bytes, in the order they were sent.
    ///
    /// Use it to check that a secret is not in them.
    ///
    /// # Panics
    ///
    /// If the exporter does not finish within 30 seconds.
    #[expect(clippy::panic, reason = "a test ends here")]
    pub fn envelopes(&self) -> Vec<Vec<u8>> {
        if let Err(error) = self.client.close_blocking(PATIENCE, false) {
            panic!("{error}");
        }
        self.envelopes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All transactions, in the order in which they ended.
    ///
    /// With [`TraceLifecycle::Stream`](crate::protocol::TraceLifecycle::Stream), each request or job is put together from its
    /// spans, in the order in which its first spans were sent. Tags, contexts and measurements are in the attributes of its
    /// root, `contexts.trace.data`. One that still runs has the status `unknown`.
    pub fn transactions(&self) -> Vec<Transaction> {
        #[derive(Deserialize)]
        struct Container {
            items: Vec<StreamedSpan>,
        }
        let mut transactions = self.items(ItemType::Transaction);
        let spans = self.items::<Container>(ItemType::Span).into_iter().flat_map(|container| container.items).collect();
        transactions.extend(put_together(spans));
        transactions
    }

    /// All errors and messages, in the order in which they were captured.
    pub fn events(&self) -> Vec<Event> {
        self.items(ItemType::Event)
    }

    /// All metrics, in the order in which they were captured.
    pub fn metrics(&self) -> Vec<Metric> {
        #[derive(Deserialize)]
        struct Container {
            items: Vec<Metric>,
        }
        self.items::<Container>(ItemType::TraceMetric).into_iter().flat_map(|container| container.items).collect()
    }

    /// All transactions with their spans, one per line.
    ///
    /// A line is `description [op] status`. Children are indented by two spaces.
    pub fn tree(&self) -> String {
        self.drawn(false)
    }

    /// Like [`tree`](Self::tree), with durations in milliseconds.
    pub fn timed_tree(&self) -> String {
        self.drawn(true)
    }

    fn items<T: DeserializeOwned>(&self, kind: ItemType) -> Vec<T> {
        let mut found = Vec::new();
        for envelope in self.envelopes() {
            let Ok((_, items)) = parse(&envelope) else { continue };
            let items = items.into_iter().filter(|item| item.header.kind == kind);
            found.extend(items.filter_map(|item| serde_json::from_slice(item.payload).ok()));
        }
        found
    }

    fn drawn(&self, is_timed: bool) -> String {
        let mut out = String::new();
        for transaction in self.transactions() {
            let Some(trace) = &transaction.contexts.trace else { continue };
            let (op, status) = (trace.op.as_deref().unwrap_or("default"), trace.status.unwrap_or_default());
            let times = is_timed.then_some((transaction.start_timestamp, transaction.timestamp));
            line(&mut out, 0, &transaction.name, op, status, times);
            below(&mut out, &transaction.spans, trace.span_id, 1, is_timed);
        }
        out
    }
}

fn below(out: &mut String, spans: &[Span], parent: SpanId, depth: usize, is_timed: bool) {
    for span in spans.iter().filter(|span| span.parent_span_id == Some(parent)) {
        let (name, op) = (span.description.as_deref().unwrap_or("-"), span.op.as_deref().unwrap_or("default"));
        let times = is_timed.then_some((span.start_timestamp, span.timestamp));
        line(out, depth, name, op, span.status.unwrap_or_default(), times);
        below(out, spans, span.span_id, depth + 1, is_timed);
    }
}

fn line(out: &mut String, depth: usize, name: &str, op: &str, status: SpanStatus, times: Option<(Timestamp, Timestamp)>) {
    out.extend(std::iter::repeat_n("  ", depth));
    // Writing to a `String` does not fail.
    let _ = write!(out, "{name} [{op}] {status}");
    if let Some((start, end)) = times {
        let micros = (end.as_nanos().saturating_sub(start.as_nanos()) + 500) / 1_000;
        // Values on the wire can be off by one microsecond.
        let millis = (micros + 1) / 1_000;
        let _ = if micros.abs_diff(millis * 1_000) <= 1 {
            write!(out, " {millis} ms")
        } else {
            write!(out, " {}.{:03} ms", micros / 1_000, micros % 1_000)
        };
    }
    out.push('\n');
}

impl fmt::Debug for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Captured").field("client", &self.client).finish_non_exhaustive()
    }
}
