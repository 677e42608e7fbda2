//! Envelopes that got no answer, until they are sent again.

use std::collections::VecDeque;
use std::time::Instant;

use super::outbound::Outbound;

/// Envelopes of any size that may wait.
const FEW: usize = 8;

/// Envelopes that wait for another attempt. The one that waits longest is sent first.
#[derive(Debug, Default)]
pub(super) struct Retries {
    waiting: VecDeque<Outbound>,
    bytes: usize,
}

impl Retries {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The bytes of all envelopes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The smallest item number.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.waiting.iter().map(Outbound::oldest).min()
    }

    /// When the next envelope is due; `None` if none waits.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.waiting.iter().map(|outbound| outbound.attempts.not_before.unwrap_or(now)).min()
    }

    /// Adds an envelope whose connection failed. It is sent at once.
    pub(super) fn push_first(&mut self, outbound: Outbound) {
        self.bytes += outbound.envelope.len();
        self.waiting.push_front(outbound);
    }

    /// Adds an envelope. Returns the oldest ones if they take more than `bytes_limit`.
    ///
    /// New envelopes that fail come here too, but most of the memory must stay with the queue. One
    /// large envelope may displace several small ones.
    pub(super) fn push(&mut self, outbound: Outbound, bytes_limit: usize) -> Vec<Outbound> {
        self.bytes += outbound.envelope.len();
        self.waiting.push_back(outbound);
        let mut displaced = Vec::new();
        while self.waiting.len() > FEW
            && self.bytes > bytes_limit
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.bytes -= oldest.envelope.len();
            displaced.push(oldest);
        }
        displaced
    }

    /// Takes an envelope that only lacked a good connection.
    pub(super) fn pop_at_once(&mut self) -> Option<Outbound> {
        let is_next = self.waiting.front().is_some_and(|outbound| outbound.attempts.goes_at_once);
        if is_next { self.take(0) } else { None }
    }

    /// Takes the first envelope that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Outbound> {
        let is_due = |outbound: &Outbound| outbound.attempts.not_before.is_none_or(|not_before| not_before <= now);
        self.waiting.iter().position(is_due).and_then(|place| self.take(place))
    }

    /// Makes every envelope due, because the process is about to end.
    pub(super) fn hurry(&mut self) {
        self.waiting.iter_mut().for_each(|outbound| outbound.attempts.not_before = None);
    }

    fn take(&mut self, place: usize) -> Option<Outbound> {
        let outbound = self.waiting.remove(place)?;
        self.bytes -= outbound.envelope.len();
        Some(outbound)
    }

    /// Takes all envelopes.
    pub(super) fn take_all(&mut self) -> VecDeque<Outbound> {
        std::mem::take(self).waiting
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
