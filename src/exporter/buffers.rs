//! Buffers of sent envelopes, for reuse.

use crate::redaction::{Redacted, SealedEnvelope};

/// At most this many are kept, each of at most `BYTES`: unused memory returns to the application.
const COUNT: usize = 4;
const BYTES: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct Buffers(Vec<Vec<u8>>);

impl Buffers {
    /// Takes the buffer of a sent envelope, or a new one.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    /// Keeps the buffer of an envelope that has an outcome.
    pub(super) fn keep(&mut self, envelope: Redacted<SealedEnvelope>) {
        if self.0.len() < COUNT && envelope.len() < BYTES {
            self.0.push(envelope.into_buffer());
        }
    }
}
