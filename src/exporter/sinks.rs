//! Local sinks, for development. They get copies, whose outcome is not counted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::destination::Destination;
use super::gzip::Gzip;
use super::shared::Shared;
use crate::diagnostics;
use crate::redaction::{Redacted, SealedEnvelope};
use crate::transport::EnvelopeRequest;

/// At most this many copies are in flight to a sink at once.
const IN_FLIGHT: usize = 4;
/// Copies that wait for a sink, in bytes. Beyond them, the oldest are dropped.
const WAITING_BYTES: usize = 4 * 1024 * 1024;

/// A local sink, and the copies on their way to it.
pub(super) struct Sink {
    name: &'static str,
    destination: Destination,
    request_timeout: Duration,
    waiting: VecDeque<EnvelopeRequest>,
    copies: JoinSet<()>,
    shared: Arc<Shared>,
    trouble: diagnostics::Quiet,
}

impl Sink {
    pub(super) fn new(name: &'static str, destination: Destination, request_timeout: Duration, shared: Arc<Shared>) -> Self {
        let trouble = diagnostics::Quiet::new();
        Self { name, destination, request_timeout, waiting: VecDeque::new(), copies: JoinSet::new(), shared, trouble }
    }

    /// Sends a copy of an envelope, after those that wait already.
    pub(super) fn show(&mut self, gzip: &mut Gzip, envelope: &mut Redacted<SealedEnvelope>) {
        self.waiting.push_back(self.destination.request(gzip, envelope));
        let mut bytes: usize = self.waiting.iter().map(|request| request.body().len()).sum();
        while bytes > WAITING_BYTES
            && self.waiting.len() > 1
            && let Some(oldest) = self.waiting.pop_front()
        {
            bytes -= oldest.body().len();
            self.trouble.warn(&format!("{} is too slow: some of its copies are dropped", self.name));
        }
        self.go_on();
    }

    /// Sends what waits, as far as there is room.
    pub(super) fn go_on(&mut self) {
        while self.copies.try_join_next().is_some() {}
        while self.copies.len() < IN_FLIGHT
            && let Some(request) = self.waiting.pop_front()
        {
            let mut attempt = self.destination.send(request);
            // The console is done at once.
            if attempt.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                continue;
            }
            let (name, shared, limit) = (self.name, Arc::clone(&self.shared), self.request_timeout);
            self.copies.spawn(async move {
                if let Ok(Some(Err(error))) = timeout(limit, attempt).await {
                    diagnostics::debug(&format!("{name} did not take an envelope: {}", error.reason()));
                }
                shared.queue.wake();
            });
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.copies.is_empty()
    }
}
