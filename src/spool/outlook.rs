//! What the exporter knows of the spool without asking the disk.

use std::time::Instant;

use super::lane::{LANES, Lane};

/// What a spool has at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outlook {
    /// Whether envelopes can be written.
    pub(crate) is_well: bool,
    /// Whether an envelope is on disk only.
    pub(crate) has_any: bool,
    /// The lanes that have an envelope that may be sent.
    pub(super) free: [bool; LANES.len()],
    /// When the first of the envelopes that rest may be sent.
    pub(crate) next_due: Option<Instant>,
    /// When the spool needs a look; `None` if it had none yet.
    pub(crate) next_upkeep: Option<Instant>,
}

impl Outlook {
    /// Whether an envelope may be there that can be sent now.
    pub(crate) fn may_have(&self, now: Instant, is_closed: impl Fn(Lane) -> bool) -> bool {
        let is_free = LANES.into_iter().zip(self.free).any(|(lane, is_free)| is_free && !is_closed(lane));
        is_free || self.next_due.is_some_and(|due| due <= now)
    }

    /// Whether it is time for a look.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next_upkeep.is_none_or(|next| next <= now)
    }
}
