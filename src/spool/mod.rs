//! Keeps envelopes in files until their outcome is known.
//!
//! With a spool, an envelope is on disk before it is sent. What the server did not take is sent
//! later: by this process after an outage, or by a later one if this one is killed. An envelope may
//! arrive twice, with the same id, if a process dies between its arrival and the answer.
//!
//! The spool is bounded by bytes, files and age. If it is full, the oldest segment goes: first of
//! logs and sessions, then of transactions, last of errors. All of this is counted.
//!
//! If the disk fails or is nearly full, the spool is off for half a minute at a time, and events wait
//! in memory. It never ends the process. Only redacted envelopes get here.
//!
//! Calls may take as long as the disk does. The exporter makes them on a thread of their own.

mod lane;
mod outlook;
mod run;
mod segment;
mod shelves;
mod space;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use self::lane::LANES;
pub(crate) use self::lane::Lane;
pub(crate) use self::outlook::Outlook;
use self::run::Run;
pub(crate) use self::segment::Label;
#[cfg(fuzzing)]
pub(crate) use self::segment::fuzz;
use self::segment::{BODY_LIMIT, Record, Segment, State};
pub(crate) use self::shelves::Place;
use self::shelves::{Shelves, labels};
use self::space::Space;
use crate::diagnostics;
use crate::fnv;
use crate::redaction::{Redacted, SealedEnvelope};

/// What is older is dropped: the server would refuse it.
const AGE_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);
/// A segment takes records for this long.
const OPEN_FOR: Duration = Duration::from_secs(60);
/// After a fault of the disk, it is left alone for this long.
const REST: Duration = Duration::from_secs(30);
/// How often to look whether the file system has room.
const LOOK_FOR_ROOM_EVERY: Duration = Duration::from_secs(1);
/// How often dead runs are looked for. The first looks are closer together, because the process that
/// this one replaces may end now.
const UPKEEP_EVERY: Duration = Duration::from_secs(60);
const FIRST_UPKEEP: Duration = Duration::from_secs(1);

/// Where the spool is, and how large.
#[derive(Clone, Debug)]
pub(crate) struct SpoolSettings {
    pub(crate) dir: PathBuf,
    pub(crate) max_bytes: u64,
    /// Whether each write waits for the disk itself, so that it survives a loss of power.
    pub(crate) syncs: bool,
}

/// An envelope that is in memory again.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) place: Place,
    pub(crate) label: Label,
    pub(crate) envelope: Redacted<SealedEnvelope>,
    pub(crate) strikes: u32,
}

/// What happened to records that were on disk only. The caller counts them.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// They are from a process that has died, and wait here now.
    pub(crate) adopted: Vec<Label>,
    /// They were dropped, because they are too old or the spool is full.
    pub(crate) evicted: Vec<Label>,
    /// They could not be read any more.
    pub(crate) unreadable: Vec<Label>,
    /// Records of dead processes that are broken, so that not even their label is known.
    pub(crate) broken: u64,
}

impl Changes {
    /// Adds what happened later.
    pub(crate) fn add(&mut self, later: Self) {
        self.adopted.extend(later.adopted);
        self.evicted.extend(later.evicted);
        self.unreadable.extend(later.unreadable);
        self.broken += later.broken;
    }
}

/// The envelopes on disk.
#[derive(Debug)]
pub(crate) struct Spool {
    settings: SpoolSettings,
    dsn: u64,
    run: Option<Run>,
    shelves: Shelves,
    next_number: u64,
    changes: Changes,
    /// The disk failed, and is left alone until the next upkeep.
    rests: bool,
    next_upkeep: Option<Instant>,
    /// The time between this upkeep and the next one.
    pause: Duration,
    /// When the first of the records that rest may be sent, or earlier.
    next_due: Option<Instant>,
    /// How to find the room of a file system.
    space: fn(&Path) -> io::Result<Option<Space>>,
    next_look_for_room: Option<Instant>,
    trouble: diagnostics::Quiet,
}

impl Spool {
    /// A spool for the envelopes to `dsn`. No file is touched before [`look_after`](Self::look_after).
    pub(crate) fn new(settings: SpoolSettings, dsn: &str) -> Self {
        Self {
            settings,
            // The folder's name must be the same in each build, and must not show the DSN.
            dsn: fnv::add(fnv::START, dsn),
            run: None,
            shelves: Shelves::default(),
            next_number: 0,
            changes: Changes::default(),
            rests: false,
            next_upkeep: None,
            pause: FIRST_UPKEEP,
            next_due: None,
            space: Space::of,
            next_look_for_room: None,
            trouble: diagnostics::Quiet::new(),
        }
    }

    /// Takes over the segments of dead processes and drops old envelopes, if it is time.
    pub(crate) fn look_after(&mut self, now: Instant) {
        if self.next_upkeep.is_some_and(|next| now < next) {
            return;
        }
        self.next_upkeep = Some(now + self.pause);
        self.pause = (2 * self.pause).min(UPKEEP_EVERY);
        self.rests = false;
        if let Err(error) = self.adopt() {
            self.rest(&error, now);
        }
        let oldest = born().saturating_sub(u64::try_from(AGE_LIMIT.as_millis()).unwrap_or(u64::MAX));
        self.shelves.drop_before(oldest, &mut self.changes.evicted);
    }

    /// What it has now, and when it needs a look.
    pub(crate) fn outlook(&self, now: Instant) -> Outlook {
        let free =
            self.shelves.lanes.each_ref().map(|lane| lane.iter().flat_map(|segment| &segment.records).any(|record| record.is_free(now)));
        Outlook { is_well: self.is_well(), has_any: self.shelves.has_any(), free, next_due: self.next_due, next_upkeep: self.next_upkeep }
    }

    /// Whether envelopes can be written now.
    fn is_well(&self) -> bool {
        self.run.is_some() && !self.rests
    }

    /// Takes what happened since the last call.
    pub(crate) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Writes an envelope that is in memory too. Returns `None` if it is too large, if the spool is
    /// full of more important ones, or if the disk fails.
    pub(crate) fn write(
        &mut self,
        lane: Lane,
        label: Label,
        envelope: &Redacted<SealedEnvelope>,
        compress: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
        now: Instant,
    ) -> Option<Place> {
        if !self.is_well() {
            return None;
        }
        let compressed = compress(envelope.stored());
        let body = compressed.as_deref().unwrap_or_else(|| envelope.stored());
        if body.len() > BODY_LIMIT {
            return None;
        }
        let evicted = &mut self.changes.evicted;
        if !self.shelves.make_room(lane, body.len() as u64, self.settings.max_bytes, evicted) {
            return None;
        }
        let written = self.look_for_room(now).and_then(|()| self.append(lane, label, body, compressed.is_some()));
        written.inspect_err(|error| self.rest(error, now)).ok()
    }

    /// Returns an error if the file system is nearly full. Looks at most once a second.
    fn look_for_room(&mut self, now: Instant) -> io::Result<()> {
        if self.next_look_for_room.is_some_and(|next| now < next) {
            return Ok(());
        }
        if (self.space)(&self.settings.dir)?.is_some_and(Space::is_low) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "its file system has less than 100 MiB or 5 % free"));
        }
        self.next_look_for_room = Some(now + LOOK_FOR_ROOM_EVERY);
        Ok(())
    }

    /// Leaves an envelope on disk only, until it is [taken](Self::take) again.
    ///
    /// Returns `false` if it is not there any more.
    pub(crate) fn put_down(&mut self, place: Place, strikes: u32, not_before: Option<Instant>) -> bool {
        let Some(record) = self.shelves.segment(place).and_then(|segment| segment.records.get_mut(place.record)) else { return false };
        record.state = not_before.map_or(State::Waiting, State::Resting);
        record.strikes = strikes;
        self.next_due = self.next_due.into_iter().chain(not_before).min();
        true
    }

    /// The same for an envelope that is not in memory any more. If it is not there, it is lost.
    pub(crate) fn leave(&mut self, place: Place, label: Label) {
        if !self.put_down(place, 0, None) {
            self.lose(label);
        }
    }

    /// Notes that an envelope of which there was no copy in memory is not there any more.
    pub(crate) fn lose(&mut self, label: Label) {
        self.changes.unreadable.push(label);
    }

    /// Notes that an envelope that was left on disk is in memory.
    pub(crate) fn take_back(&mut self, place: Place) {
        if let Some(record) = self.shelves.segment(place).and_then(|segment| segment.records.get_mut(place.record)) {
            record.state = State::Taken;
        }
    }

    /// Notes that the outcome of an envelope is known.
    pub(crate) fn finish(&mut self, place: Place, now: Instant) {
        let Some(segment) = self.shelves.segment(place) else { return };
        let mut finished = segment.finish(place.record);
        if segment.is_done() {
            if segment.has_room() {
                let before = segment.bytes;
                finished = segment.empty(born());
                let freed = before - segment.bytes;
                self.shelves.bytes -= freed;
            } else {
                self.shelves.remove(place.lane, place.segment);
            }
        }
        if let Err(error) = finished {
            self.rest(&error, now);
        }
    }

    /// Takes the oldest envelope that may be sent: an error, then a transaction, then others.
    pub(crate) fn take(&mut self, now: Instant, is_closed: impl Fn(Lane) -> bool) -> Option<Restored> {
        if self.next_due.is_some_and(|due| due <= now) {
            let later = |until: &Instant| *until > now;
            self.next_due = self.shelves.records().filter_map(Record::rests_until).filter(later).min();
        }
        while let Some(place) = self.shelves.next(now, &is_closed) {
            match self.read(place) {
                Ok(restored) => return Some(restored),
                Err(error) => {
                    let dir = self.settings.dir.display();
                    self.trouble.warn(&format!("an envelope in the spool {dir} cannot be read ({error}); it is dropped and counted"));
                    self.give_up(place, now);
                }
            }
        }
        None
    }

    fn read(&mut self, place: Place) -> io::Result<Restored> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let segment = self.shelves.segment(place).ok_or_else(missing)?;
        let body = segment.body(place.record)?;
        let record = segment.records.get_mut(place.record).ok_or_else(missing)?;
        let envelope = if body.is_compressed { gunzip(&body.bytes)? } else { body.bytes };
        let envelope = SealedEnvelope::restored(envelope).ok_or(io::ErrorKind::InvalidData)?;
        record.state = State::Taken;
        Ok(Restored { place, label: record.label, envelope, strikes: record.strikes })
    }

    /// Drops a record that cannot be read.
    fn give_up(&mut self, place: Place, now: Instant) {
        let record = self.shelves.segment(place).and_then(|segment| segment.records.get(place.record));
        if let Some(label) = record.map(|record| record.label) {
            self.changes.unreadable.push(label);
        }
        self.finish(place, now);
    }

    fn append(&mut self, lane: Lane, label: Label, body: &[u8], is_compressed: bool) -> io::Result<Place> {
        if !self.shelves.lane(lane).back().is_some_and(takes_more) {
            self.begin_segment(lane)?;
        }
        let Some(segment) = self.shelves.lane(lane).back_mut() else { return Err(io::ErrorKind::NotFound.into()) };
        let before = segment.bytes;
        let record = segment.append(label, body, is_compressed)?;
        let (number, written) = (segment.number, segment.bytes - before);
        self.shelves.bytes += written;
        Ok(Place { lane, segment: number, record })
    }

    fn begin_segment(&mut self, lane: Lane) -> io::Result<()> {
        if let Some(last) = self.shelves.lane(lane).back_mut() {
            last.seal();
        }
        self.shelves.remove_done(lane);
        let (number, born) = (self.take_number(), born());
        let run = self.run.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let segment = Segment::create(run.path(lane, born, number), number, born, self.settings.syncs)?;
        self.shelves.bytes += segment.bytes;
        self.shelves.lane(lane).push_back(segment);
        Ok(())
    }

    fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Moves the segments of dead processes into this one's folder.
    fn adopt(&mut self) -> io::Result<()> {
        match &self.run {
            Some(run) => run.repair()?,
            None => self.run = Some(Run::begin(&self.settings.dir, self.dsn, self.settings.syncs)?),
        }
        let dead = self.run.as_ref().map(Run::dead).unwrap_or_default();
        for run in dead {
            for found in run.segments() {
                let number = self.take_number();
                // A file of another version stays where it is.
                let Ok(Some((mut segment, broken))) = Segment::read_from(&found.path, number, found.born) else { continue };
                let Some(path) = self.run.as_ref().map(|own| own.path(found.lane, found.born, number)) else { continue };
                std::fs::rename(&found.path, &path)?;
                if self.settings.syncs {
                    segment::sync_folder(&path)?;
                }
                segment.path = path;
                self.changes.broken += broken;
                self.changes.adopted.extend(labels(&segment));
                self.shelves.insert(found.lane, segment);
                self.shelves.remove_done(found.lane);
            }
            run.end();
        }
        // What was adopted counts as the oldest, even if it goes at once.
        self.shelves.make_room(Lane::Errors, 0, self.settings.max_bytes, &mut self.changes.evicted);
        Ok(())
    }

    /// Leaves the disk alone for a while.
    fn rest(&mut self, error: &io::Error, now: Instant) {
        self.rests = true;
        self.next_upkeep = Some(now + REST);
        let dir = self.settings.dir.display();
        self.trouble.warn(&format!("the spool {dir} cannot be used for now ({error}); events wait in memory"));
        self.shelves.seal();
        if self.run.as_ref().is_some_and(Run::is_deleted) {
            self.run = None;
            let shelves = std::mem::take(&mut self.shelves);
            self.changes.unreadable.extend(shelves.lanes.iter().flatten().flat_map(labels));
        }
    }
}

impl Drop for Spool {
    /// Leaves only what waits for the next process.
    fn drop(&mut self) {
        for lane in LANES {
            self.shelves.remove_done(lane);
        }
        if let Some(run) = self.run.take() {
            run.end();
        }
    }
}

/// Whether a segment takes another record.
fn takes_more(segment: &Segment) -> bool {
    let open_for = u64::try_from(OPEN_FOR.as_millis()).unwrap_or(u64::MAX);
    segment.has_room() && born().saturating_sub(segment.born) < open_for
}

/// The current time in milliseconds since the epoch.
fn born() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn gunzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    use std::io::Read as _;

    /// No envelope of ours is larger; a broken file must not fill the memory.
    const LIMIT: u64 = 16 * BODY_LIMIT as u64;
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(bytes).take(LIMIT).read_to_end(&mut body)?;
    Ok(body)
}

#[cfg(test)]
mod tests;
