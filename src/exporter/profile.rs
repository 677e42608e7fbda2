//! Profiles: of a transaction, in the same envelope, and chunks of that of the session.

use crate::payload::Facts;
#[cfg(profiles)]
use crate::payload::{ChunkPayload, ProfilePayload};
#[cfg(profiles)]
use crate::protocol::ItemType;
use crate::protocol::{DiscardReason, EventId};
use crate::record::Record;
use crate::redaction::OpenEnvelope;
#[cfg(profiles)]
use crate::{
    event::{self, ProfileCalls},
    exporter::pipeline::Pipeline,
    profiling::{Samples, SessionChunk},
    redaction::{Redacted, SealedEnvelope},
};

/// The profile that goes with a transaction, if it has one.
pub(super) struct AttachedProfile {
    #[cfg(profiles)]
    ready: Option<Ready>,
    /// Why the transaction is sent without the profile that it had.
    pub(super) lost: Option<DiscardReason>,
}

/// A profile with the names of its functions.
#[cfg(profiles)]
struct Ready {
    id: EventId,
    samples: Samples,
    calls: ProfileCalls,
}

impl AttachedProfile {
    /// Takes the samples, and finds the names of the functions.
    #[cfg(profiles)]
    pub(super) fn of(record: &Record, facts: &Facts) -> Self {
        let Some(profile) = &record.profile else { return Self { ready: None, lost: None } };
        let ready = profile.take().map(|samples| {
            let stacks: Vec<_> = samples.taken.iter().map(|sample| &*sample.calls).collect();
            let calls = event::resolve_calls(&stacks, &facts.frames);
            Ready { id: profile.id(), samples, calls }
        });
        let lost = ready.is_none().then_some(DiscardReason::InsufficientData);
        Self { ready, lost }
    }

    #[cfg(not(profiles))]
    pub(super) fn of(_record: &Record, _facts: &Facts) -> Self {
        Self { lost: None }
    }

    /// The id of the profile that is sent.
    #[cfg(profiles)]
    pub(super) fn id(&self) -> Option<EventId> {
        self.ready.as_ref().map(|ready| ready.id)
    }

    #[cfg(not(profiles))]
    #[expect(clippy::unused_self, reason = "this build has no profiles")]
    pub(super) fn id(&self) -> Option<EventId> {
        None
    }

    /// Adds the profile behind its transaction, which has this id and this name.
    #[cfg(profiles)]
    pub(super) fn write(
        &self,
        open: &mut OpenEnvelope<'_>,
        (transaction, name): (EventId, &str),
        record: &Record,
        facts: &Facts,
    ) -> serde_json::Result<()> {
        let Some(Ready { id, samples, calls }) = &self.ready else { return Ok(()) };
        let payload = ProfilePayload { id: *id, samples, calls, transaction, name, trace_id: record.trace.trace_id, facts };
        open.item_of(ItemType::Profile, ProfilePayload::PLATFORM, &payload)
    }

    #[cfg(not(profiles))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "this build has no profiles")]
    pub(super) fn write(
        &self,
        _open: &mut OpenEnvelope<'_>,
        _transaction: (EventId, &str),
        _record: &Record,
        _facts: &Facts,
    ) -> serde_json::Result<()> {
        Ok(())
    }
}

#[cfg(profiles)]
impl Pipeline {
    /// Seals a chunk of the profile of the session, in an envelope of its own: the protocol demands that.
    pub(super) fn seal_chunk(&self, chunk: &SessionChunk, buffer: Vec<u8>) -> Result<Redacted<SealedEnvelope>, DiscardReason> {
        let SessionChunk { profiler_id, samples } = chunk;
        let stacks: Vec<_> = samples.taken.iter().map(|sample| &*sample.calls).collect();
        let calls = event::resolve_calls(&stacks, &self.facts.frames);
        let payload = ChunkPayload { profiler_id: *profiler_id, chunk_id: EventId::new(), samples, calls: &calls, facts: &self.facts };
        let write = |open: &mut OpenEnvelope<'_>| open.item_of(ItemType::ProfileChunk, ProfilePayload::PLATFORM, &payload);
        self.write(&Self::plain_header(None), &[], buffer, write)
    }
}
