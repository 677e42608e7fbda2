//! Seals the spans of a request or job, or those of a part of it.

use super::bare::{bare_segment, bare_span, sensitive_transaction};
use super::hooked::{Hooked, Passed, pass_span, through};
use super::load::Load;
use super::outbound::Outbound;
use super::pipeline::Pipeline;
use super::streamed::{self, Shared};
use crate::payload::{self, ContainerPayload, HeaderPayload, TransactionPayload};
use crate::protocol::{Category, DiscardReason, EventId, ItemType, Span, StreamedSpan, Transaction};
use crate::record::Record;

/// The envelopes of a record with streamed spans.
pub(super) struct SealedSpans {
    pub(super) outbound: Vec<Outbound>,
    /// Spans that were too short, or that a hook has dropped.
    pub(super) removed: u64,
    /// Spans whose container could not be written.
    pub(super) failed: u64,
}

impl Pipeline {
    /// Seals the spans that have ended, and the request or job itself if it has.
    ///
    /// The transaction's document is built first and then converted, so that both lifecycles send the same data.
    pub(super) fn seal_spans(&self, record: &mut Record, mut buffer: impl FnMut() -> Vec<u8>) -> Result<SealedSpans, DiscardReason> {
        let shortest = self.limits.min_span_duration;
        if !shortest.is_zero() {
            record.leave_out_short_spans(shortest);
        }
        let record = &*record;
        let count = record.spans.len() as u64 + u64::from(record.has_ended());
        let name = payload::name(record);
        let payload = TransactionPayload { event_id: EventId::new(), record, name: &name, profile: None, facts: &self.facts };
        let is_sensitive = record.request.is_sensitive;
        let prepare = |shown: &mut Transaction| {
            if is_sensitive {
                sensitive_transaction(shown, record);
            } else {
                self.hide_cookies(&mut shown.request);
            }
        };
        let (Hooked::Kept(mut document) | Hooked::Panicked(mut document)) = through(&payload, prepare, Passed::Kept)? else {
            return Err(DiscardReason::InternalSdkError);
        };
        let mut shared = Shared::of(&document).ok_or(DiscardReason::InternalSdkError)?;
        let mut children = std::mem::take(&mut document.spans);
        streamed::add_user(document.user.as_ref(), &mut children);
        let segment = record.has_ended().then(|| streamed::segment(&mut document, &self.redactor)).flatten();
        let measurements = std::mem::take(&mut document.measurements);
        let hook = self.hooks.before_send_span.as_ref();
        if let Some(hook) = hook {
            children = streamed::pass(children, |span| pass_span(hook, span, |span| bare_span(span, record)));
        }
        // Hooks may add objects, which become texts.
        let streamed = |shared: &Shared, mut span: Span| {
            self.redactor.hide_in_nested(&mut span.data);
            span.links.iter_mut().for_each(|link| self.redactor.hide_in_nested(&mut link.attributes));
            shared.streamed(span)
        };
        let mut is_bare = is_sensitive;
        let mut spans: Vec<StreamedSpan> = Vec::with_capacity(children.len() + 1);
        if let Some(mut segment) = segment {
            let is_whole = hook.is_none_or(|hook| {
                let mut has_panicked = false;
                pass_span(hook, &mut segment, |_| has_panicked = true) && !has_panicked
            });
            if !is_whole {
                // It cannot be dropped: the other spans name it as their segment.
                bare_segment(&mut segment, document.transaction_info.source, record);
                is_bare = true;
            }
            if let Some(name) = &segment.description {
                shared.rename(name);
                document.name.clone_from(name);
            }
            let mut segment = streamed(&shared, segment);
            if is_whole {
                streamed::measured(measurements, &mut segment);
            }
            spans.push(segment);
        }
        spans.extend(children.into_iter().map(|span| streamed(&shared, span)));
        let mut sealed = SealedSpans { outbound: Vec::new(), removed: count.saturating_sub(spans.len() as u64), failed: 0 };
        let header = HeaderPayload { event_id: None, record, name: &document.name, facts: &self.facts, is_bare };
        for items in streamed::containers(spans) {
            let container = ContainerPayload { items: &items };
            let quantity = items.len() as u64;
            let written = self
                .write(&header, &[], buffer(), |open| open.container(ItemType::Span, items.len(), StreamedSpan::MEDIA_TYPE, &container));
            match written {
                Ok(envelope) => sealed.outbound.push(Outbound::new(envelope, Load { quantity, ..Load::one(Category::Span) }, Vec::new())),
                Err(_) => sealed.failed += quantity,
            }
        }
        Ok(sealed)
    }
}
