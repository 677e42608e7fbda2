//! The last steps of a request, in a ring that keeps its memory.

use std::collections::VecDeque;

use tracing::Metadata;

use super::Moment;
use super::shortened::shortened;
use crate::protocol::Breadcrumb;

/// The texts of one step are cut so that all its fields take at most this many bytes: a hundred steps
/// are copied with every event.
const BYTES_LIMIT: usize = 4 * 1024;

/// The source of a breadcrumb.
#[derive(Clone, Debug)]
pub(crate) enum BreadcrumbSource {
    /// What a hook made of a `tracing` event, and the bytes it takes of the scope's limit. The fields of the
    /// event are encoded, and not sent.
    Changed(&'static Metadata<'static>, Box<Breadcrumb>, usize),
    /// A `tracing` event; its fields are encoded.
    Event(&'static Metadata<'static>),
    /// A breadcrumb that the user added, and the bytes it takes of the scope's limit.
    Manual(Box<Breadcrumb>, usize),
}

/// One breadcrumb.
#[derive(Clone, Debug)]
pub(crate) struct BreadcrumbRecord {
    pub(crate) source: BreadcrumbSource,
    pub(crate) at: Moment,
    pub(crate) fields: Vec<u8>,
}

/// A ring of breadcrumbs: the newest replaces the oldest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Breadcrumbs {
    ring: VecDeque<BreadcrumbRecord>,
    /// Buffers of removed breadcrumbs, kept for the next ones.
    spare: Vec<Vec<u8>>,
    /// How many were removed for newer ones.
    pub(crate) dropped: u32,
}

impl Breadcrumbs {
    /// Adds a breadcrumb and returns how many bytes of the scope's limit were freed.
    ///
    /// The oldest ones are removed at the limit. If that is zero, the new one is not kept either.
    pub(crate) fn push(&mut self, source: BreadcrumbSource, at: Moment, fields: &[u8], limit: usize) -> usize {
        let mut freed = 0;
        if limit == 0 {
            return reserved_bytes(&source);
        }
        while self.ring.len() >= limit {
            let Some(BreadcrumbRecord { source, fields, .. }) = self.ring.pop_front() else { break };
            freed += reserved_bytes(&source);
            self.spare.push(fields);
            self.dropped = self.dropped.saturating_add(1);
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        if fields.len() <= BYTES_LIMIT {
            buffer.extend_from_slice(fields);
        } else {
            buffer.extend_from_slice(&shortened(fields, BYTES_LIMIT));
        }
        self.ring.push_back(BreadcrumbRecord { source, at, fields: buffer });
        freed
    }

    /// Copies the breadcrumbs into `target`, which has been cleared, and reuses its spare buffers.
    pub(crate) fn copy_to(&self, target: &mut Self) {
        target.dropped = self.dropped;
        for BreadcrumbRecord { source, at, fields } in &self.ring {
            let mut buffer = target.spare.pop().unwrap_or_default();
            buffer.clone_from(fields);
            target.ring.push_back(BreadcrumbRecord { source: source.clone(), at: *at, fields: buffer });
        }
    }

    /// Removes the breadcrumb of a `tracing` event with these fields: the last one, if there are more.
    pub(crate) fn remove_log(&mut self, metadata: &'static Metadata<'static>, fields: &[u8]) {
        let shortened = (fields.len() > BYTES_LIMIT).then(|| shortened(fields, BYTES_LIMIT));
        let is_log = |step: &BreadcrumbRecord| {
            let of = match step.source {
                BreadcrumbSource::Changed(of, ..) | BreadcrumbSource::Event(of) => of,
                BreadcrumbSource::Manual(..) => return false,
            };
            std::ptr::eq(of, metadata) && (fields.starts_with(&step.fields) || shortened.as_ref() == Some(&step.fields))
        };
        if let Some(place) = self.ring.iter().rposition(is_log) {
            self.spare.extend(self.ring.remove(place).map(|step| step.fields));
        }
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &BreadcrumbRecord> {
        self.ring.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    pub(crate) fn size(&self) -> usize {
        self.ring.iter().map(|step| step.fields.len() + size_of::<BreadcrumbRecord>()).sum()
    }

    pub(crate) fn clear(&mut self) {
        self.dropped = 0;
        // Buffers above 1 KiB are freed; smaller ones are reused.
        self.spare.extend(self.ring.drain(..).map(|step| step.fields).filter(|buffer| buffer.capacity() <= 1024));
        self.spare.truncate(100);
    }
}

fn reserved_bytes(source: &BreadcrumbSource) -> usize {
    match source {
        BreadcrumbSource::Event(_) => 0,
        BreadcrumbSource::Changed(_, _, size) | BreadcrumbSource::Manual(_, size) => *size,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FieldReader, FieldValue, FieldWriter, Key};
    use super::*;

    #[test]
    fn the_ring_keeps_the_newest_in_order() {
        let mut breadcrumbs = Breadcrumbs::default();

        for step in 0..150 {
            let freed = breadcrumbs.push(BreadcrumbSource::Manual(Box::default(), 1), Moment::default(), &[step], 100);
            assert_eq!(freed, usize::from(step >= 100));
        }

        assert_eq!(breadcrumbs.iter().map(|step| step.fields[0]).collect::<Vec<_>>(), (50..150).collect::<Vec<_>>());
    }

    #[test]
    fn a_limit_of_zero_keeps_none() {
        let mut breadcrumbs = Breadcrumbs::default();

        let freed = breadcrumbs.push(BreadcrumbSource::Manual(Box::default(), 7), Moment::default(), b"", 0);

        assert!(breadcrumbs.is_empty());
        assert_eq!(freed, 7, "what is not kept takes no room");
    }

    #[test]
    fn a_step_is_cut_at_four_kibibytes_and_keeps_its_fields() {
        let mut fields = Vec::new();
        let mut writer = FieldWriter::new(&mut fields);
        writer.text(Key::Index(0), &"x".repeat(5000));
        writer.u64(Key::Index(1), 7);
        let mut breadcrumbs = Breadcrumbs::default();

        for _ in 0..100 {
            breadcrumbs.push(BreadcrumbSource::Manual(Box::default(), 1), Moment::default(), &fields, 100);
        }

        for step in breadcrumbs.iter() {
            let read: Vec<_> = FieldReader::new(&step.fields).collect();
            assert!(step.fields.len() <= 4096 && read.last() == Some(&(Key::Index(1), FieldValue::U64(7))), "{read:?}");
            assert!(matches!(read[..], [(Key::Index(0), FieldValue::Text(text)), _, _] if text.len() == 2048 && text.ends_with("x…")));
        }
    }
}
