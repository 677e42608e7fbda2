//! What a client would have sent.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::protocol::{Event, ItemType, Span, SpanId, SpanStatus, Timestamp, Transaction, parse};

/// As long as the exporter may take to look at what it was given.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a client would have sent. Each method waits until everything that was recorded so far is there.
#[derive(Clone)]
pub struct Captured {
    client: Client,
    envelopes: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Captured {
    pub(super) fn new(client: Client, envelopes: Arc<Mutex<Vec<Vec<u8>>>>) -> Self {
        Self { client, envelopes }
    }

    /// The bytes of all envelopes, in the order they were sent: for a search for what must not be in them.
    ///
    /// # Panics
    ///
    /// If the exporter does not end within 30 seconds.
    #[expect(clippy::panic, reason = "a test ends here")]
    pub fn envelopes(&self) -> Vec<Vec<u8>> {
        if let Err(error) = self.client.close_blocking(PATIENCE, false) {
            panic!("{error}");
        }
        self.envelopes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All transactions, in the order they ended.
    pub fn transactions(&self) -> Vec<Transaction> {
        self.items(ItemType::Transaction)
    }

    /// All errors and messages, in the order they were captured.
    pub fn events(&self) -> Vec<Event> {
        self.items(ItemType::Event)
    }

    /// All transactions with their spans, one a line: `description [op] status`, children indented by two spaces.
    pub fn tree(&self) -> String {
        self.drawn(false)
    }

    /// The same with durations, in milliseconds.
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
        // What the wire holds is a microsecond off at times.
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
