//! Turns items from the queue into envelopes: runs the hooks, and redacts while serialising.

use std::collections::BTreeMap;

use serde::Serialize;

use super::bare::{bare_event, sensitive_event, withhold_types};
use super::entry::Entry;
use super::given;
use super::hooked::{Hooked, pass_entry, through};
use super::hooks::Hooks;
use super::item::Item;
use super::load::Load;
use super::outbound::{Attempts, Outbound};
use super::resolved::{Resolved, resolve};
use super::sessions::Minute;
use crate::diagnostics;
use crate::event::EventRecord;
use crate::payload::{self, ContainerPayload, EventPayload, Facts, HeaderPayload};
use crate::protocol::{
    Category, CheckIn, ClientReport, DiscardReason, DiscardedEvent, EnvelopeHeader, Event, EventId, FeedbackEvent, ItemType, Request,
    SdkInfo, SessionAggregates,
};
use crate::record::{Limits, LogLine, MetricRecord};
use crate::redaction::{OpenEnvelope, Redacted, Redactor, SealedEnvelope};

pub(super) struct Pipeline {
    pub(super) facts: Facts,
    pub(super) redactor: Redactor,
    pub(super) hooks: Hooks,
    pub(super) limits: Limits,
}

/// An envelope of logs or metrics, and the number of entries that are missing in it.
pub(super) struct SealedBatch {
    /// None if a hook dropped all of them.
    pub(super) outbound: Option<Outbound>,
    /// The places of the others among the entries.
    pub(super) dropped: BTreeMap<usize, DiscardReason>,
}

impl Pipeline {
    /// Turns an item into an envelope, with a client report if there is something to report.
    pub(super) fn seal(
        &self,
        item: &mut Item,
        reports: Vec<DiscardedEvent>,
        buffer: Vec<u8>,
    ) -> Result<Outbound, (DiscardReason, Vec<DiscardedEvent>)> {
        let before = item.load();
        let (mut withheld, mut lost_profile) = (0, None);
        let sealed = match item {
            Item::Event(event) => self.seal_event(event, &reports, buffer).map(|(envelope, has_files)| {
                withheld = if has_files { 0 } else { before.bytes };
                (envelope, 0)
            }),
            Item::Transaction(record) => self.seal_transaction(record, &reports, buffer).map(|sealed| {
                lost_profile = sealed.lost_profile;
                (sealed.envelope, sealed.spans)
            }),
            // They may need several envelopes: see `seal_spans`.
            Item::Spans(_) => Err(DiscardReason::InternalSdkError),
            Item::CheckIn(check_in) => self.seal_check_in(check_in, &reports, buffer).map(|envelope| (envelope, 0)),
            Item::Feedback(feedback) => self.seal_feedback(feedback, &reports, buffer).map(|envelope| (envelope, 0)),
            Item::Log(line) => self.write_entries::<LogLine, _>(&[line.payload(&self.facts)], buffer).map(|envelope| (envelope, 0)),
            #[cfg(profiles)]
            Item::ProfileChunk(chunk) => self.seal_chunk(chunk, buffer).map(|envelope| (envelope, 0)),
            Item::Metric(metric) => {
                self.write_entries::<MetricRecord, _>(&[metric.payload(&self.facts)], buffer).map(|envelope| (envelope, 0))
            }
        };
        match sealed {
            Ok((envelope, spans)) => Ok(Outbound {
                load: Load {
                    spans: spans.saturating_sub(envelope.reduction().spans),
                    #[cfg(profiles)]
                    has_profile: before.has_profile && lost_profile.is_none(),
                    bytes: before.bytes - withheld,
                    ..before
                },
                cut_spans: envelope.reduction().spans,
                envelope,
                withheld_bytes: withheld,
                reports,
                sessions: Vec::new(),
                attempts: Attempts::default(),
                place: None,
                numbers: Vec::new(),
                lost_profile,
                added_spans: spans.saturating_sub(before.spans),
                removed_spans: before.spans.saturating_sub(spans),
            }),
            Err(reason) => Err((reason, reports)),
        }
    }

    /// Seals an envelope of logs or metrics; `entries` holds at most a hundred.
    pub(super) fn seal_batch<T: Entry>(&self, entries: &[Box<T>], buffer: Vec<u8>) -> Result<SealedBatch, DiscardReason> {
        let mut dropped = BTreeMap::new();
        let (envelope, quantity) = if let Some(hook) = T::hook(&self.hooks) {
            let mut kept = Vec::new();
            for (place, entry) in entries.iter().enumerate() {
                let payload = entry.payload(&self.facts);
                let passed = match through(&payload, |_: &mut T::Shown| {}, |shown| pass_entry::<T>(hook, shown)) {
                    Ok(Hooked::Kept(changed)) if T::is_valid(&changed) => Ok(changed),
                    Ok(Hooked::Kept(_)) => Err(DiscardReason::Invalid),
                    Ok(Hooked::Panicked(mut original)) => {
                        if entry.strip(&mut original) {
                            Ok(original)
                        } else {
                            Err(DiscardReason::BeforeSend)
                        }
                    }
                    Ok(Hooked::Dropped(reason)) | Err(reason) => Err(reason),
                };
                match passed {
                    Ok(shown) => kept.push(shown),
                    Err(reason) => drop(dropped.insert(place, reason)),
                }
            }
            if kept.is_empty() {
                return Ok(SealedBatch { outbound: None, dropped });
            }
            let quantity = kept.len();
            (self.write_entries::<T, _>(&kept, buffer)?, quantity)
        } else {
            let payloads: Vec<_> = entries.iter().map(|entry| entry.payload(&self.facts)).collect();
            (self.write_entries::<T, _>(&payloads, buffer)?, entries.len())
        };
        let sent = entries.iter().enumerate().filter(|(place, _)| !dropped.contains_key(place));
        let bytes = sent.map(|(_, entry)| entry.bytes() as u64).sum();
        let load = Load { quantity: quantity as u64, bytes, ..Load::one(T::CATEGORY) };
        Ok(SealedBatch { outbound: Some(Outbound::new(envelope, load, Vec::new())), dropped })
    }

    /// Seals an envelope that holds only a client report.
    pub(super) fn seal_report(&self, reports: Vec<DiscardedEvent>) -> Option<Outbound> {
        let report = ClientReport::new(reports.clone());
        self.seal_alone(ItemType::ClientReport, &report, Category::Internal, reports)
    }

    /// Seals an envelope of sessions. Returns `None` without a release.
    pub(super) fn seal_sessions(&self, minutes: Vec<Minute>) -> Option<Outbound> {
        let release = self.facts.release.as_ref()?;
        let rows: Vec<_> = minutes.iter().copied().map(Minute::row).collect();
        let sessions = SessionAggregates::new(rows, release, &self.facts.environment);
        let outbound = self.seal_alone(ItemType::Sessions, &sessions, Category::Session, Vec::new())?;
        Some(Outbound { sessions: minutes, ..outbound })
    }

    fn seal_alone(&self, kind: ItemType, payload: &impl Serialize, category: Category, reports: Vec<DiscardedEvent>) -> Option<Outbound> {
        let mut open = self.redactor.envelope(&Self::plain_header(None), Vec::new()).ok()?;
        open.item(kind, None, payload).ok()?;
        Some(Outbound::new(open.seal(), Load::one(category), reports))
    }

    /// A header without the context of a trace.
    pub(super) fn plain_header(event_id: Option<EventId>) -> EnvelopeHeader {
        EnvelopeHeader { event_id, sdk: Some(SdkInfo::current()), ..EnvelopeHeader::default() }
    }

    fn seal_check_in(
        &self,
        check_in: &mut CheckIn,
        reports: &[DiscardedEvent],
        buffer: Vec<u8>,
    ) -> Result<Redacted<SealedEnvelope>, DiscardReason> {
        check_in.release.clone_from(&self.facts.release);
        check_in.environment = Some(self.facts.environment.clone());
        self.write(&Self::plain_header(None), reports, buffer, |open| open.item(ItemType::CheckIn, None, &*check_in))
    }

    fn seal_feedback(
        &self,
        feedback: &mut FeedbackEvent,
        reports: &[DiscardedEvent],
        buffer: Vec<u8>,
    ) -> Result<Redacted<SealedEnvelope>, DiscardReason> {
        feedback.release.clone_from(&self.facts.release);
        feedback.environment = Some(self.facts.environment.clone());
        feedback.sdk = Some(SdkInfo::current());
        let header = Self::plain_header(Some(feedback.event_id));
        self.write(&header, reports, buffer, |open| {
            open.item(ItemType::Feedback, None, &*feedback)?;
            feedback.contexts.feedback.attachments.iter().try_for_each(|file| open.attachment(file))
        })
    }

    fn write_entries<T: Entry, P: Serialize>(&self, items: &[P], buffer: Vec<u8>) -> Result<Redacted<SealedEnvelope>, DiscardReason> {
        let payload = ContainerPayload { items };
        // Without the context of a trace: the protocol forbids it here.
        self.write(&Self::plain_header(None), &[], buffer, |open| open.container(T::ITEM, items.len(), T::MEDIA_TYPE, &payload))
    }

    fn seal_event(
        &self,
        event: &mut EventRecord,
        reports: &[DiscardedEvent],
        buffer: Vec<u8>,
    ) -> Result<(Redacted<SealedEnvelope>, bool), DiscardReason> {
        if self.hooks.ignored.contains(event) {
            return Err(DiscardReason::EventProcessor);
        }
        let is_sensitive = event.scope.request.is_sensitive;
        // Where only the types of errors leave, those of a given event do not: they are texts of the application.
        let is_given = event.captured.given.is_some();
        let given = event.captured.given.take().filter(|_| !is_sensitive);
        let name = payload::name(&event.scope);
        let Resolved { exceptions, images, fingerprint } = resolve(event, &self.facts);
        let payload =
            EventPayload { event, name: &name, exceptions: &exceptions, images: &images, fingerprint: &fingerprint, facts: &self.facts };
        let header = HeaderPayload {
            event_id: Some(event.captured.event_id),
            record: &event.scope,
            name: &name,
            facts: &self.facts,
            is_bare: false,
        };
        let files = event.scope.set.rare().map(|rare| rare.attachments.as_slice()).unwrap_or_default();
        let attach = |open: &mut OpenEnvelope<'_>| files.iter().try_for_each(|file| open.attachment(file));
        let processors = event.scope.set.rare().map(|rare| rare.processors.as_slice()).unwrap_or_default();
        let has_hook = self.hooks.before_send.is_some() || !(processors.is_empty() && self.hooks.event_processors.is_empty());
        if !has_hook && !is_sensitive && given.is_none() {
            let written = self.write(&header, reports, buffer, |open| {
                open.item(ItemType::Event, None, &payload)?;
                attach(open)
            });
            return written.map(|envelope| (envelope, true));
        }
        let prepare = |shown: &mut Event| {
            if let Some((given, _)) = given {
                given::put_over(shown, *given);
            }
            if is_sensitive {
                // The text of a failed response is part of its fingerprint.
                let has_text = event.captured.follows_name || is_given;
                sensitive_event(shown, &event.scope, if has_text { &[] } else { &fingerprint });
                withhold_types(shown, is_given);
            } else {
                self.hide_cookies(&mut shown.request);
            }
        };
        let (mut changed, is_bare) = match through(&payload, prepare, |shown| self.hooks.pass_event(shown, processors))? {
            Hooked::Kept(changed) => (*changed, is_sensitive),
            Hooked::Dropped(reason) => return Err(reason),
            Hooked::Panicked(mut original) => {
                bare_event(&mut original);
                withhold_types(&mut original, is_given);
                (*original, true)
            }
        };
        changed.modules.clone_from(&self.facts.modules);
        // The name that a hook has put in place of the recorded one.
        let name = changed.transaction.as_deref().unwrap_or_default();
        let header = HeaderPayload { event_id: Some(changed.event_id), name, is_bare, ..header };
        let written = self.write(&header, reports, buffer, |open| {
            open.item(ItemType::Event, None, &changed)?;
            if is_bare { Ok(()) } else { attach(open) }
        });
        written.map(|envelope| (envelope, !is_bare))
    }

    /// Hides secret cookies, which the record has, before a hook sees them.
    pub(super) fn hide_cookies(&self, request: &mut Option<Request>) {
        if let Some(cookies) = request.as_mut().and_then(|request| request.headers.get_mut("cookie")) {
            self.redactor.hide_cookies(cookies);
        }
    }

    pub(super) fn write(
        &self,
        header: &impl Serialize,
        reports: &[DiscardedEvent],
        buffer: Vec<u8>,
        items: impl FnOnce(&mut OpenEnvelope<'_>) -> serde_json::Result<()>,
    ) -> Result<Redacted<SealedEnvelope>, DiscardReason> {
        let written = self.redactor.envelope(header, buffer).and_then(|mut open: OpenEnvelope<'_>| {
            items(&mut open)?;
            // After the event: a receiver may stop reading at an item type it does not know.
            if !reports.is_empty() {
                open.item(ItemType::ClientReport, None, &ClientReport::new(reports.to_vec()))?;
            }
            Ok(open.seal())
        });
        written.map_err(|error| {
            diagnostics::warn(&format!("a payload could not be serialised and is dropped: {error}"));
            DiscardReason::InternalSdkError
        })
    }
}
