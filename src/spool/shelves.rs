//! The segments of all lanes, and which of them are dropped if there is no room.

use std::collections::VecDeque;
use std::time::Instant;

use super::lane::{LANES, Lane};
use super::segment::{Label, Record, Segment};

/// Segments of all lanes. A segment has at most 64 records, or 64 KiB and one record.
const SEGMENTS_LIMIT: usize = 1000;

/// The place of an envelope in the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) lane: Lane,
    /// The number of its segment.
    pub(super) segment: u64,
    /// Its place in the segment.
    pub(super) record: usize,
}

/// The segments of each lane, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Shelves {
    pub(super) lanes: [VecDeque<Segment>; LANES.len()],
    /// Of all files.
    pub(super) bytes: u64,
}

impl Shelves {
    /// The first record that may be sent.
    pub(super) fn next(&self, now: Instant, is_closed: impl Fn(Lane) -> bool) -> Option<Place> {
        LANES.into_iter().zip(&self.lanes).filter(|(lane, _)| !is_closed(*lane)).find_map(|(lane, segments)| {
            segments.iter().find_map(|segment| {
                let record = segment.records.iter().position(|record| record.is_free(now))?;
                Some(Place { lane, segment: segment.number, record })
            })
        })
    }

    /// The segment of a record, if it is still there.
    pub(super) fn segment(&mut self, place: Place) -> Option<&mut Segment> {
        self.lane(place.lane).iter_mut().find(|segment| segment.number == place.segment)
    }

    pub(super) fn lane(&mut self, lane: Lane) -> &mut VecDeque<Segment> {
        let [errors, transactions, rest] = &mut self.lanes;
        match lane {
            Lane::Errors => errors,
            Lane::Transactions => transactions,
            Lane::Rest => rest,
        }
    }

    /// Whether a record is on disk only.
    pub(super) fn has_any(&self) -> bool {
        self.records().any(Record::waits)
    }

    /// All records.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.lanes.iter().flatten().flat_map(|segment| &segment.records)
    }

    /// Adds a segment of a dead process at its place by age.
    pub(super) fn insert(&mut self, lane: Lane, segment: Segment) {
        self.bytes += segment.bytes;
        let segments = self.lane(lane);
        let place = segments.partition_point(|other| other.born <= segment.born);
        segments.insert(place, segment);
    }

    /// Takes no more records into the segments that are there.
    pub(super) fn seal(&mut self) {
        self.lanes.iter_mut().filter_map(VecDeque::back_mut).for_each(Segment::seal);
    }

    /// Drops the oldest segments until there is room for a record, the lowest lane first. Returns
    /// `false` if only higher lanes are left.
    pub(super) fn make_room(&mut self, lane: Lane, bytes: u64, bytes_limit: u64, evicted: &mut Vec<Label>) -> bool {
        while self.bytes + bytes > bytes_limit || self.lanes.iter().map(VecDeque::len).sum::<usize>() >= SEGMENTS_LIMIT {
            let lowest = LANES.into_iter().rev().filter(|lower| *lower >= lane).find(|lower| !self.lane(*lower).is_empty());
            let Some(lowest) = lowest else { return false };
            self.evict_oldest(lowest, evicted);
        }
        true
    }

    /// Drops the segments that were begun before this time, in milliseconds since the epoch.
    pub(super) fn drop_before(&mut self, time: u64, evicted: &mut Vec<Label>) {
        for lane in LANES {
            while self.lane(lane).front().is_some_and(|segment| segment.born < time) {
                self.evict_oldest(lane, evicted);
            }
        }
    }

    fn evict_oldest(&mut self, lane: Lane, evicted: &mut Vec<Label>) {
        let Some(oldest) = self.lane(lane).front() else { return };
        let (number, labels) = (oldest.number, labels(oldest));
        evicted.extend(labels);
        self.remove(lane, number);
    }

    /// Removes a segment and its file.
    pub(super) fn remove(&mut self, lane: Lane, number: u64) {
        let segments = self.lane(lane);
        let place = segments.iter().position(|segment| segment.number == number);
        if let Some(segment) = place.and_then(|place| segments.remove(place)) {
            self.bytes -= segment.bytes;
            // If this fails, the next process finds the records done, or sends them again.
            let _ = std::fs::remove_file(&segment.path);
        }
    }

    /// Removes the segments whose records all have an outcome.
    pub(super) fn remove_done(&mut self, lane: Lane) {
        let done: Vec<_> = self.lane(lane).iter().filter(|segment| segment.is_done()).map(|segment| segment.number).collect();
        for number in done {
            self.remove(lane, number);
        }
    }
}

/// The labels of the records that are on disk only.
pub(super) fn labels(segment: &Segment) -> Vec<Label> {
    segment.records.iter().filter(|record| record.waits()).map(|record| record.label).collect()
}
