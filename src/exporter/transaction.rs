//! The envelope of a transaction: with hooks, and with its profile.

use super::bare::{bare_span, bare_transaction, sensitive_transaction};
use super::hooked::{Hooked, through};
use super::pipeline::Pipeline;
use super::profile::AttachedProfile;
use crate::payload::{self, HeaderPayload, TransactionPayload};
use crate::protocol::{DiscardReason, DiscardedEvent, EventId, ItemType, Transaction};
use crate::record::Record;
use crate::redaction::{OpenEnvelope, Redacted, SealedEnvelope};

/// A transaction as it is sent.
pub(super) struct SealedTransaction {
    pub(super) envelope: Redacted<SealedEnvelope>,
    /// Its spans, the root included.
    pub(super) spans: u64,
    /// Why it has no profile, if it had one.
    pub(super) lost_profile: Option<DiscardReason>,
}

impl Pipeline {
    pub(super) fn seal_transaction(
        &self,
        record: &mut Record,
        reports: &[DiscardedEvent],
        buffer: Vec<u8>,
    ) -> Result<SealedTransaction, DiscardReason> {
        let shortest = self.limits.min_span_duration;
        let left_out = if shortest.is_zero() { 0 } else { record.leave_out_short_spans(shortest) };
        let profile = AttachedProfile::of(record, &self.facts);
        let (record, mut lost_profile) = (&*record, None);
        let event_id = EventId::new();
        let name = payload::name(record);
        let payload = TransactionPayload { event_id, record, name: &name, profile: profile.id(), facts: &self.facts };
        let header = HeaderPayload { event_id: Some(event_id), record, name: &name, facts: &self.facts, is_bare: false };
        let count = record.spans.len().saturating_sub(usize::try_from(left_out).unwrap_or_default());
        let has_hook = self.hooks.before_send_transaction.is_some() || self.hooks.before_send_span.is_some();
        if !has_hook && !record.request.is_sensitive {
            let write = |open: &mut OpenEnvelope<'_>| {
                open.item(ItemType::Transaction, Some(count), &payload)?;
                lost_profile = self.add_profile(&profile, open, (event_id, &name), record);
                Ok(())
            };
            let envelope = self.write(&header, reports, buffer, write)?;
            return Ok(SealedTransaction { envelope, spans: count as u64 + 1, lost_profile });
        }
        let prepare = |shown: &mut Transaction| {
            if record.request.is_sensitive {
                sensitive_transaction(shown, record);
            } else {
                self.hide_cookies(&mut shown.request);
            }
        };
        let hooks = |shown| self.hooks.pass_transaction(shown, |span| bare_span(span, record));
        let (changed, is_bare) = match through(&payload, prepare, hooks)? {
            Hooked::Kept(changed) => (*changed, record.request.is_sensitive),
            Hooked::Dropped(reason) => return Err(reason),
            Hooked::Panicked(mut original) => {
                bare_transaction(&mut original, record);
                (*original, true)
            }
        };
        // With the name that a hook has put in place of the recorded one.
        let header = HeaderPayload { event_id: Some(changed.event_id), name: &changed.name, is_bare, ..header };
        let count = changed.spans.len();
        let write = |open: &mut OpenEnvelope<'_>| {
            open.item(ItemType::Transaction, Some(count), &changed)?;
            lost_profile = self.add_profile(&profile, open, (changed.event_id, &changed.name), record);
            Ok(())
        };
        let envelope = self.write(&header, reports, buffer, write)?;
        Ok(SealedTransaction { envelope, spans: count as u64 + 1, lost_profile })
    }

    /// Adds the profile. Returns why there is none: a transaction leaves without it if it cannot be written.
    fn add_profile(
        &self,
        profile: &AttachedProfile,
        open: &mut OpenEnvelope<'_>,
        transaction: (EventId, &str),
        record: &Record,
    ) -> Option<DiscardReason> {
        let written = profile.write(open, transaction, record, &self.facts);
        profile.lost.or_else(|| written.is_err().then_some(DiscardReason::InternalSdkError))
    }
}
