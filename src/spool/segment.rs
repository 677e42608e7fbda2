//! A segment: one file with up to 64 records.
//!
//! A record is with the system as soon as the call that appends it returns, so it survives the death
//! of the process. It survives a loss of power only if the segment waits for the disk.
//!
//! | bytes | what |
//! |---|---|
//! | 0 to 8 | `TSS1`, the version 1, and two zeros |
//! | then for each record: 4 | [`RECORD`] |
//! | 4 | CRC-32 of the rest of the record, without its state |
//! | 1 | the state: 1 once its outcome is known, 0 before |
//! | 1 | 1 if the body is compressed with gzip |
//! | 2 | zero |
//! | 4 | the length of the body |
//! | 20 | the label |
//! | … | the body: an envelope |
//!
//! All numbers are little-endian. The file has no index.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use flate2::Crc;

/// What a record counts for. Only the caller knows what it means.
pub(crate) type Label = [u8; 20];

const FILE_HEADER: [u8; 8] = *b"TSS1\x01\0\0\0";
/// Not UTF-8, so that no envelope that is not compressed contains it.
const RECORD: [u8; 4] = [0xf5, b'T', b'S', b'R'];
const RECORD_HEADER: usize = 36;
const CRC_AT: usize = 4;
const STATE_AT: usize = 8;
const CHECKED_FROM: usize = 9;
const LENGTH_AT: usize = 12;
const LABEL_AT: usize = 16;
/// The largest body of a record.
pub(super) const BODY_LIMIT: usize = 16 * 1024 * 1024;
/// A segment with this many records or bytes takes no more.
const RECORDS_LIMIT: usize = 64;
const BYTES_LIMIT: u64 = 64 * 1024;

/// A file of records, the oldest first.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// When its first record was written, in milliseconds since the epoch.
    pub(super) born: u64,
    pub(super) path: PathBuf,
    pub(super) records: Vec<Record>,
    /// The length of the file.
    pub(super) bytes: u64,
    /// Open from its creation until it takes no more records.
    file: Option<File>,
    /// Whether each record waits for the disk itself.
    syncs: bool,
}

/// A record of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) label: Label,
    pub(super) state: State,
    /// The failures of this envelope while others were answered.
    pub(super) strikes: u32,
    offset: u64,
    length: usize,
    is_compressed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    /// Waiting, but not to be sent before this time.
    Resting(Instant),
    /// Its envelope is in memory.
    Taken,
    /// Its outcome is known.
    Done,
}

/// The body of a record.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) is_compressed: bool,
}

impl Segment {
    /// Creates the file, for its owner only.
    pub(super) fn create(path: PathBuf, number: u64, born: u64, syncs: bool) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path)?;
        file.write_all(&FILE_HEADER)?;
        if syncs {
            sync_folder(&path)?;
        }
        Ok(Self { number, born, path, records: Vec::new(), bytes: FILE_HEADER.len() as u64, file: Some(file), syncs })
    }

    /// Reads a segment that another process left. Returns the number of broken records too.
    ///
    /// Returns `None` if the file is not a segment of this version.
    pub(super) fn read_from(path: &Path, number: u64, born: u64) -> io::Result<Option<(Self, u64)>> {
        let mut bytes = Vec::new();
        let most = (BODY_LIMIT + RECORD_HEADER) as u64 + 2 * BYTES_LIMIT;
        File::open(path)?.take(most).read_to_end(&mut bytes)?;
        if !bytes.starts_with(&FILE_HEADER) {
            // A process that dies between the two steps of `create` leaves an empty file.
            return Ok(bytes.is_empty().then(|| (Self::found(path, number, born, 0), 0)));
        }
        let mut segment = Self::found(path, number, born, bytes.len() as u64);
        let (mut at, mut broken) = (FILE_HEADER.len(), 0);
        let mut is_whole = true;
        while at < bytes.len() {
            if let Some(record) = Record::parse(&bytes, at) {
                at += RECORD_HEADER + record.length;
                segment.records.push(record);
                is_whole = true;
                continue;
            }
            // The rest of the segment may be well. The start of a record shows where it goes on.
            broken += u64::from(std::mem::take(&mut is_whole));
            at = next_record(&bytes, at + 1);
        }
        Ok(Some((segment, broken)))
    }

    fn found(path: &Path, number: u64, born: u64, bytes: u64) -> Self {
        Self { number, born, path: path.to_owned(), records: Vec::new(), bytes, file: None, syncs: false }
    }

    /// Whether it takes another record.
    pub(super) fn has_room(&self) -> bool {
        self.file.is_some() && self.records.len() < RECORDS_LIMIT && self.bytes < BYTES_LIMIT
    }

    /// Takes no more records.
    pub(super) fn seal(&mut self) {
        self.file = None;
    }

    /// Adds a record, whose envelope is in memory, and returns its place.
    ///
    /// After an error the segment is as before, and sealed.
    pub(super) fn append(&mut self, label: Label, body: &[u8], is_compressed: bool) -> io::Result<usize> {
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::Unsupported.into()) };
        let mut written = Vec::with_capacity(RECORD_HEADER + body.len());
        written.extend_from_slice(&RECORD);
        written.extend_from_slice(&[0; CHECKED_FROM - CRC_AT]);
        written.extend_from_slice(&[u8::from(is_compressed), 0, 0]);
        written.extend_from_slice(&u32::try_from(body.len()).map_err(io::Error::other)?.to_le_bytes());
        written.extend_from_slice(&label);
        written.extend_from_slice(body);
        let sum = checksum(written.get(CHECKED_FROM..).unwrap_or_default()).to_le_bytes();
        if let Some(room) = written.get_mut(CRC_AT..STATE_AT) {
            room.copy_from_slice(&sum);
        }
        let appended = file.seek(SeekFrom::Start(self.bytes)).and_then(|_| file.write_all(&written));
        // A sync that failed is not tried again: the system may have dropped what it could not write.
        let appended = if self.syncs { appended.and_then(|()| file.sync_data()) } else { appended };
        if let Err(error) = appended {
            // What was written in part must not look like a record to the next reader.
            let _ = file.set_len(self.bytes);
            self.seal();
            return Err(error);
        }
        self.records.push(Record { label, state: State::Taken, strikes: 0, offset: self.bytes, length: body.len(), is_compressed });
        self.bytes += written.len() as u64;
        Ok(self.records.len() - 1)
    }

    /// Reads the body of a record.
    pub(super) fn body(&mut self, place: usize) -> io::Result<Body> {
        let record = *self.records.get(place).ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = vec![0; RECORD_HEADER + record.length];
        let mut file = self.open()?;
        file.seek(SeekFrom::Start(record.offset))?;
        file.read_exact(&mut bytes)?;
        if Record::parse(&bytes, 0).is_none() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        bytes.drain(..RECORD_HEADER);
        Ok(Body { bytes, is_compressed: record.is_compressed })
    }

    /// Notes that the outcome of a record is known, so that no process sends it again.
    pub(super) fn finish(&mut self, place: usize) -> io::Result<()> {
        let Some(record) = self.records.get_mut(place) else { return Ok(()) };
        record.state = State::Done;
        let at = record.offset + STATE_AT as u64;
        if self.is_done() {
            return Ok(());
        }
        let mut file = self.open()?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&[1])
    }

    /// Whether the outcome of each record is known.
    pub(super) fn is_done(&self) -> bool {
        self.records.iter().all(|record| record.state == State::Done)
    }

    /// Removes all records from a file that may take more.
    pub(super) fn empty(&mut self, born: u64) -> io::Result<()> {
        self.records.clear();
        self.born = born;
        if let Some(file) = &mut self.file {
            file.set_len(FILE_HEADER.len() as u64)?;
        }
        self.bytes = FILE_HEADER.len() as u64;
        Ok(())
    }

    /// The file that is open, or one that is opened for this step only.
    fn open(&self) -> io::Result<File> {
        match &self.file {
            Some(file) => file.try_clone(),
            None => OpenOptions::new().read(true).write(true).open(&self.path),
        }
    }
}

impl Record {
    /// The record that begins here, if it is whole.
    fn parse(bytes: &[u8], at: usize) -> Option<Self> {
        let rest = bytes.get(at..)?;
        let header = rest.get(..RECORD_HEADER)?;
        let number = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
        let length = usize::try_from(number(LENGTH_AT)?).ok().filter(|length| *length <= BODY_LIMIT)?;
        let checked = rest.get(CHECKED_FROM..RECORD_HEADER + length)?;
        if !header.starts_with(&RECORD) || number(CRC_AT)? != checksum(checked) {
            return None;
        }
        let label = header.get(LABEL_AT..)?.try_into().ok()?;
        let state = if header.get(STATE_AT) == Some(&1) { State::Done } else { State::Waiting };
        let is_compressed = header.get(CHECKED_FROM) == Some(&1);
        Some(Self { label, state, strikes: 0, offset: at as u64, length, is_compressed })
    }

    /// Whether it may be sent now.
    pub(super) fn is_free(&self, now: Instant) -> bool {
        match self.state {
            State::Waiting => true,
            State::Resting(until) => until <= now,
            State::Taken | State::Done => false,
        }
    }

    /// When it may be sent, if it has to wait.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        if let State::Resting(until) = self.state { Some(until) } else { None }
    }

    /// Whether it is on disk only.
    pub(super) fn waits(&self) -> bool {
        matches!(self.state, State::Waiting | State::Resting(_))
    }
}

/// Waits until the disk has the names of the folder that a file is in.
pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = file.parent() {
        File::open(folder)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// Where the next record may begin; the end if there is none.
fn next_record(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(RECORD.len()).position(|window| window == RECORD).map_or(bytes.len(), |place| from + place)
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(fuzzing)]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    fn label(number: u8) -> Label {
        [number; 20]
    }

    /// A sealed segment of twenty records, and its bytes.
    fn segment(folder: &Path) -> Vec<u8> {
        let path = folder.join("1.seg");
        let mut segment = Segment::create(path.clone(), 1, 7, true).unwrap();
        for number in 0..20 {
            segment.append(label(number), format!("envelope {number}").as_bytes(), false).unwrap();
        }
        std::fs::read(path).unwrap()
    }

    /// The bodies of the records that can still be read from these bytes, and how many are broken.
    fn read(folder: &Path, bytes: &[u8]) -> (Vec<String>, u64) {
        let path = folder.join("changed.seg");
        std::fs::write(&path, bytes).unwrap();
        let Some((mut segment, broken)) = Segment::read_from(&path, 2, 7).unwrap() else { return (Vec::new(), 0) };
        let bodies = (0..segment.records.len()).map(|place| String::from_utf8(segment.body(place).unwrap().bytes).unwrap());
        (bodies.collect(), broken)
    }

    fn expected(numbers: impl Iterator<Item = usize>) -> Vec<String> {
        numbers.map(|number| format!("envelope {number}")).collect()
    }

    #[test]
    fn a_segment_that_ends_anywhere_gives_all_whole_records() {
        let folder = tempfile::tempdir().unwrap();
        let whole = segment(folder.path());
        let ends: Vec<_> = (0..20).map(|number| RECORD_HEADER + format!("envelope {number}").len()).collect();

        for length in 0..=whole.len() {
            let mut left = length.saturating_sub(FILE_HEADER.len());
            let intact = ends.iter().take_while(|size| left.checked_sub(**size).inspect(|rest| left = *rest).is_some()).count();

            let (bodies, broken) = read(folder.path(), &whole[..length]);

            assert_eq!(bodies, expected(0..intact), "{length} bytes");
            assert_eq!(broken, u64::from(left > 0 && length > FILE_HEADER.len()), "{length} bytes");
        }
    }

    #[test]
    fn a_flipped_bit_breaks_one_record_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let whole = segment(folder.path());
        let mut at = FILE_HEADER.len();
        for number in 0..20 {
            let size = RECORD_HEADER + format!("envelope {number}").len();
            for place in (at..at + size).filter(|place| *place != at + STATE_AT) {
                let mut changed = whole.clone();
                changed[place] ^= 1 << (place % 8);

                assert_eq!(read(folder.path(), &changed), (expected((0..20).filter(|other| *other != number)), 1), "byte {place}");
            }
            at += size;
        }
    }

    #[test]
    fn what_is_done_is_not_read_again_by_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let mut segment = Segment::create(folder.path().join("1.seg"), 1, 7, false).unwrap();
        for number in 0..3 {
            segment.append(label(number), b"{}", number == 1).unwrap();
        }

        segment.finish(1).unwrap();

        let (read, _) = Segment::read_from(&segment.path, 2, 7).unwrap().unwrap();
        let states: Vec<_> = read.records.iter().map(|record| (record.label, record.state)).collect();
        assert_eq!(states, [(label(0), State::Waiting), (label(1), State::Done), (label(2), State::Waiting)]);
        assert!(read.records[1].is_compressed && !read.records[2].is_compressed);
    }

    #[test]
    fn a_file_of_another_version_is_no_segment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.seg");
        for other in [&b"TSS1\x02\0\0\0"[..], b"TS", b"a file of another program"] {
            std::fs::write(&path, other).unwrap();

            assert!(Segment::read_from(&path, 1, 7).unwrap().is_none(), "{other:?}");
        }
    }
}
