//! The limits of the routes.

use std::time::Duration;

/// The limits of the routes.
#[derive(Clone, Debug)]
pub(super) struct BrowserLimits {
    pub(super) max_envelope_bytes: usize,
    pub(super) max_replay_bytes: usize,
    pub(super) max_feedback_bytes: usize,
    /// In a minute, of one client.
    pub(super) requests_per_address: u32,
    /// In a minute, of all clients.
    pub(super) requests: u32,
    pub(super) requests_at_once: usize,
    /// For a request and its answer together.
    pub(super) timeout: Duration,
}

impl Default for BrowserLimits {
    fn default() -> Self {
        Self {
            max_envelope_bytes: 1024 * 1024,
            max_replay_bytes: 20 * 1024 * 1024,
            max_feedback_bytes: 4 * 1024 * 1024,
            requests_per_address: 300,
            requests: 6000,
            requests_at_once: 64,
            timeout: Duration::from_secs(60),
        }
    }
}
