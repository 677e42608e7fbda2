//! What holds for any damage to a segment.

use std::fs;

use super::{CHECKED_FROM, FILE_HEADER, RECORD_HEADER, STATE_AT, Segment};

/// Up to four records, and bytes of the file that are overwritten: records that were not hit are found and can be read.
///
/// The first four bytes are the lengths of the records. Each further three are a place in the file and
/// the byte that is written there.
pub(crate) fn segment(data: &[u8]) {
    let Some((lengths, damage)) = data.split_at_checked(4) else { return };
    let path = std::env::temp_dir().join(format!("tower-sentry-fuzz-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    let mut written = Segment::create(path.clone(), 0, 0, false).expect("the folder for temporary files can be written");
    for (place, length) in lengths.iter().enumerate() {
        let body: Vec<u8> = damage.iter().copied().cycle().take(if damage.is_empty() { 0 } else { usize::from(*length) }).collect();
        assert_eq!(written.append([*length; 20], &body, false).expect("a record can be added"), place);
    }
    let mut bytes = fs::read(&path).expect("the file is there");
    let mut is_hit = [false; 4];
    for hit in damage.chunks_exact(3).take(8) {
        let at = FILE_HEADER.len() + (usize::from(hit[0]) << 8 | usize::from(hit[1])) % (bytes.len() - FILE_HEADER.len());
        let is_changed = std::mem::replace(&mut bytes[at], hit[2]) != hit[2];
        for (record, is_hit) in written.records.iter().zip(&mut is_hit) {
            let start = usize::try_from(record.offset).expect("a short file");
            // The state is not part of the checksum.
            let is_state = (STATE_AT..CHECKED_FROM).contains(&at.wrapping_sub(start));
            *is_hit |= is_changed && !is_state && (start..start + RECORD_HEADER + record.length).contains(&at);
        }
    }
    fs::write(&path, &bytes).expect("the file can be written");

    let (mut read, _) = Segment::read_from(&path, 0, 0).expect("the file is there").expect("it has the header of a segment");
    for (record, is_hit) in written.records.iter().zip(is_hit) {
        let found = read.records.iter().position(|found| found.offset == record.offset);
        assert!(is_hit || found.is_some(), "the record at {} is lost", record.offset);
        if let Some(place) = found.filter(|_| !is_hit) {
            let body = read.body(place).expect("a record that was found can be read").bytes;
            let start = usize::try_from(record.offset).expect("a short file") + RECORD_HEADER;
            assert_eq!(body, bytes[start..start + record.length]);
        }
    }
    for place in 0..read.records.len() {
        let _ = read.body(place);
        read.finish(place).expect("a record that was found can be finished");
    }
    assert!(read.is_done());
}
