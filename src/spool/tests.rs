use super::*;
use crate::protocol::{EnvelopeHeader, ItemType};
use crate::redaction::{Redaction, Redactor};

/// An envelope whose only item says `text`.
fn envelope(text: &str) -> Redacted<SealedEnvelope> {
    let redactor = Redactor::new(Redaction::default().into(), true);
    let mut open = redactor.envelope(&EnvelopeHeader::default(), Vec::new()).unwrap();
    open.item(ItemType::Event, None, &text).unwrap();
    open.seal()
}

fn label(number: u8) -> Label {
    [number; 20]
}

fn settings(dir: &Path) -> SpoolSettings {
    SpoolSettings { dir: dir.to_owned(), max_bytes: 50 * 1024 * 1024, syncs: false }
}

/// A spool that has taken over the segments that were there.
fn begin(settings: SpoolSettings) -> Spool {
    let mut spool = Spool::new(settings, "https://key@sentry.example/1");
    spool.look_after(Instant::now());
    spool
}

/// Writes an envelope, and leaves it on disk only.
fn put(spool: &mut Spool, lane: Lane, number: u8, text: &str) -> bool {
    let place = spool.write(lane, label(number), &envelope(text), |_| None, Instant::now());
    place.is_some_and(|place| spool.put_down(place, 0, None))
}

/// The numbers of the envelopes in the order in which they are sent.
fn take_all(spool: &mut Spool) -> Vec<u8> {
    let taken = std::iter::from_fn(|| spool.take(Instant::now(), |_| false));
    taken.map(|restored| restored.label[0]).collect()
}

/// Ends a process without its clean-up, as `kill -9` does: the system releases its lock.
fn kill(mut spool: Spool) {
    spool.run = None;
    spool.shelves = Shelves::default();
}

/// All files below a folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.flat_map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path()] }).collect()
}

#[test]
fn an_envelope_comes_back_as_it_was_errors_first() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = begin(settings(dir.path()));
    for (lane, number) in [(Lane::Rest, 1), (Lane::Transactions, 2), (Lane::Errors, 3), (Lane::Transactions, 4), (Lane::Errors, 5)] {
        assert!(put(&mut spool, lane, number, "a text"));
    }

    let first = spool.take(Instant::now(), |_| false).unwrap();

    assert_eq!((first.label, first.envelope.stored()), (label(3), envelope("a text").stored()));
    assert_eq!(take_all(&mut spool), [5, 2, 4, 1]);
}

#[test]
fn a_compressed_envelope_comes_back_as_it_was() {
    use std::io::Write as _;

    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).ok()?;
        encoder.finish().ok()
    };
    let dir = tempfile::tempdir().unwrap();
    let mut spool = begin(settings(dir.path()));
    let long = "a text ".repeat(1000);
    let place = spool.write(Lane::Errors, label(1), &envelope(&long), gzip, Instant::now()).unwrap();
    spool.put_down(place, 2, None);

    let restored = spool.take(Instant::now(), |_| false).unwrap();

    assert_eq!((restored.envelope.stored(), restored.strikes), (envelope(&long).stored(), 2));
    assert!(spool.shelves.bytes < 1000, "{}", spool.shelves.bytes);
}

#[test]
fn what_a_killed_process_left_is_taken_over_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut killed = begin(settings(dir.path()));
    for number in 1..=3 {
        put(&mut killed, Lane::Errors, number, "a text");
    }
    let sent = killed.take(Instant::now(), |_| false).unwrap();
    killed.finish(sent.place, Instant::now());
    // In flight, without an outcome.
    killed.take(Instant::now(), |_| false).unwrap();
    let mut beside = begin(settings(dir.path()));
    assert_eq!(beside.take_changes().adopted.len(), 0, "its owner lives");

    kill(killed);
    beside.next_upkeep = None;
    beside.look_after(Instant::now());
    let mut later = begin(settings(dir.path()));

    assert_eq!(beside.take_changes().adopted, [label(2), label(3)]);
    assert_eq!((take_all(&mut beside), take_all(&mut later)), (vec![2, 3], vec![]));
}

#[test]
fn another_projects_envelopes_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut killed = begin(settings(dir.path()));
    put(&mut killed, Lane::Errors, 1, "a text");
    kill(killed);

    let mut other = Spool::new(settings(dir.path()), "https://key@sentry.example/2");
    other.look_after(Instant::now());

    assert!(take_all(&mut other).is_empty());
    assert_eq!(take_all(&mut begin(settings(dir.path()))), [1]);
}

#[test]
fn nothing_is_left_of_what_was_sent() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = begin(settings(dir.path()));
    for round in 0..3 {
        let places: Vec<_> =
            (0..100).map(|_| spool.write(Lane::Errors, label(1), &envelope("a text"), |_| None, Instant::now()).unwrap()).collect();
        for place in places {
            spool.finish(place, Instant::now());
        }

        assert!(spool.shelves.bytes < 100, "{} bytes in round {round}", spool.shelves.bytes);
    }
    assert_eq!(files(dir.path()).len(), 2, "the lock, and one segment without records");

    drop(spool);

    assert_eq!(files(dir.path()), [] as [PathBuf; 0]);
}

#[test]
fn a_full_spool_drops_the_oldest_of_the_lowest_lane_and_counts_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = begin(SpoolSettings { max_bytes: 600 * 1024, ..settings(dir.path()) });
    let large = "x".repeat(70 * 1024);
    for (number, lane) in [Lane::Errors, Lane::Transactions, Lane::Rest, Lane::Rest, Lane::Transactions].into_iter().enumerate() {
        put(&mut spool, lane, u8::try_from(number).unwrap(), &large);
    }
    let kept = (10..15).filter(|number| put(&mut spool, Lane::Transactions, *number, &large)).count();
    assert_eq!((kept, spool.take_changes().evicted), (5, vec![label(2), label(3)]));

    // An error displaces transactions. A transaction displaces no error.
    let errors = (20..30).filter(|number| put(&mut spool, Lane::Errors, *number, &large)).count();
    let evicted = spool.take_changes().evicted;
    assert_eq!((errors, evicted.len(), evicted.last()), (10, 10, Some(&label(21))));
    assert!(!put(&mut spool, Lane::Transactions, 40, &large));

    assert!(spool.shelves.bytes <= 600 * 1024);
    assert_eq!(take_all(&mut spool), (22..30).collect::<Vec<_>>());
}

#[test]
fn what_is_too_old_is_dropped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut killed = begin(settings(dir.path()));
    put(&mut killed, Lane::Errors, 1, "a text");
    let path = killed.shelves.lanes[0][0].path.clone();
    kill(killed);
    let name = path.file_name().unwrap().to_str().unwrap();
    let day_and_an_hour = 25 * 60 * 60 * 1000;
    let old = format!("{:013}-{}", born() - day_and_an_hour, name.split_once('-').unwrap().1);
    std::fs::rename(&path, path.with_file_name(old)).unwrap();

    let mut spool = begin(settings(dir.path()));

    let changes = spool.take_changes();
    assert_eq!((changes.adopted, changes.evicted), (vec![label(1)], vec![label(1)]));
    assert_eq!((take_all(&mut spool), spool.shelves.bytes), (vec![], 0));
}

#[test]
fn a_disk_that_fails_is_left_alone_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let spool_dir = dir.path().join("spool");
    let mut spool = begin(settings(&spool_dir));
    put(&mut spool, Lane::Errors, 1, "a text");
    std::fs::remove_dir_all(&spool_dir).unwrap();
    std::fs::write(&spool_dir, "not a folder").unwrap();
    // The open file still works, but a new one does not.
    let large = "x".repeat(70 * 1024);
    put(&mut spool, Lane::Errors, 2, &large);

    assert!(!put(&mut spool, Lane::Errors, 3, &large));

    assert!(!spool.is_well() && spool.next_upkeep.is_some());
    assert_eq!(spool.take_changes().unreadable, [label(1), label(2)]);
    std::fs::remove_file(&spool_dir).unwrap();
    spool.look_after(Instant::now() + REST);
    assert!(spool.is_well() && put(&mut spool, Lane::Errors, 4, "a text"));
    assert_eq!(take_all(&mut spool), [4]);
}

#[test]
fn a_file_system_that_is_nearly_full_is_left_alone_until_it_has_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = begin(settings(dir.path()));
    let now = Instant::now();
    let put_at = |spool: &mut Spool, after| spool.write(Lane::Errors, label(1), &envelope("a text"), |_| None, now + after).is_some();
    spool.space = |_| Ok(Some(Space { free: 10_000_000, total: 10_000_000_000 }));

    let when_low = put_at(&mut spool, Duration::ZERO);
    let is_well = spool.is_well();
    spool.look_after(now + REST);
    let still_low = put_at(&mut spool, REST);
    spool.space = |_| Ok(Some(Space { free: 200_000_000, total: 10_000_000_000 }));
    spool.look_after(now + 2 * REST);
    let repaired = put_at(&mut spool, 2 * REST);
    spool.space = |_| Ok(Some(Space { free: 0, total: 10_000_000_000 }));
    let within_a_second = put_at(&mut spool, 2 * REST + LOOK_FOR_ROOM_EVERY / 2);
    let after_a_second = put_at(&mut spool, 2 * REST + LOOK_FOR_ROOM_EVERY);

    assert_eq!((when_low, is_well, still_low), (false, false, false));
    assert_eq!((repaired, within_a_second, after_a_second), (true, true, false));
}

#[test]
fn a_spool_that_waits_for_the_disk_works_as_any() {
    let dir = tempfile::tempdir().unwrap();
    let syncs = || SpoolSettings { syncs: true, ..settings(dir.path()) };
    let mut killed = begin(syncs());
    (1..=3).for_each(|number| assert!(put(&mut killed, Lane::Errors, number, "a text")));
    kill(killed);

    let mut spool = begin(syncs());

    assert!(put(&mut spool, Lane::Transactions, 4, "a text"));
    assert_eq!(take_all(&mut spool), [1, 2, 3, 4]);
}

#[test]
fn a_lane_that_was_removed_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = begin(settings(dir.path()));
    let lane = files(dir.path())[0].parent().unwrap().join("e");
    std::fs::remove_dir_all(lane).unwrap();

    assert!(!put(&mut spool, Lane::Errors, 1, "a text"));
    spool.look_after(Instant::now() + REST);

    assert!(put(&mut spool, Lane::Errors, 2, "a text"));
}

#[test]
fn an_envelope_that_rests_is_sent_after_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = begin(settings(dir.path()));
    let now = Instant::now();
    let later = now + Duration::from_secs(5);
    let place = spool.write(Lane::Errors, label(1), &envelope("a text"), |_| None, now).unwrap();

    spool.put_down(place, 1, Some(later));

    assert!(spool.take(now, |_| false).is_none());
    assert_eq!(spool.next_due, Some(later));
    assert!(spool.take(later, |_| false).is_some());
    assert_eq!(spool.next_due, None);
}

#[test]
fn a_closed_lane_waits() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = begin(settings(dir.path()));
    put(&mut spool, Lane::Errors, 1, "a text");
    put(&mut spool, Lane::Transactions, 2, "a text");

    let taken = spool.take(Instant::now(), |lane| lane == Lane::Errors);

    assert_eq!(taken.map(|restored| restored.label), Some(label(2)));
    assert!(spool.take(Instant::now(), |lane| lane == Lane::Errors).is_none());
}

#[test]
fn files_of_others_are_neither_read_nor_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut killed = begin(settings(dir.path()));
    put(&mut killed, Lane::Errors, 1, "a text");
    let lane = killed.shelves.lanes[0][0].path.parent().unwrap().to_owned();
    kill(killed);
    std::fs::write(lane.join("0000000000001-1-other.seg"), "TSS9, of a later version").unwrap();
    std::fs::write(lane.join("notes.txt"), "of an operator").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/dev/zero", lane.join("0000000000002-2-link.seg")).unwrap();

    let mut spool = begin(settings(dir.path()));

    assert_eq!(take_all(&mut spool), [1]);
    assert!(lane.join("notes.txt").exists() && lane.join("0000000000001-1-other.seg").exists());
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_and_write_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = tempfile::tempdir().unwrap();
    let spool_dir = dir.path().join("spool");
    let mut spool = begin(settings(&spool_dir));
    put(&mut spool, Lane::Errors, 1, "a text");

    let written = files(&spool_dir);
    assert_eq!(written.len(), 2);
    for file in written {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        assert!(file.ancestors().skip(1).take_while(|folder| *folder != dir.path()).all(|folder| mode(folder) == 0o700));
    }
    let open = dir.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o770)).unwrap();
    assert!(!begin(settings(&open)).is_well(), "another user could replace the events");
}

#[test]
fn what_can_be_sent_is_known_without_asking_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = begin(settings(dir.path()));
    let now = Instant::now();
    let later = now + Duration::from_secs(5);
    let may_have = |spool: &Spool, at, closed| spool.outlook(now).may_have(at, |lane| Some(lane) == closed);
    assert!(!may_have(&spool, later, None) && !spool.outlook(now).has_any);
    let place = spool.write(Lane::Errors, label(1), &envelope("a text"), |_| None, now).unwrap();

    let while_taken = may_have(&spool, now, None);
    spool.put_down(place, 1, Some(later));
    let while_resting = (may_have(&spool, now, None), may_have(&spool, later, None));
    spool.put_down(place, 1, None);
    let while_waiting = (may_have(&spool, now, None), may_have(&spool, now, Some(Lane::Errors)), may_have(&spool, now, Some(Lane::Rest)));
    spool.take_back(place);

    assert!(!while_taken && !may_have(&spool, now, None));
    assert_eq!((while_resting, while_waiting), ((false, true), (true, false, true)));
}

#[test]
fn what_is_left_on_a_disk_that_has_lost_it_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = begin(SpoolSettings { max_bytes: 100 * 1024, ..settings(dir.path()) });
    let write = |spool: &mut Spool, lane, number| {
        spool.write(lane, label(number), &envelope(&"x".repeat(70 * 1024)), |_| None, Instant::now()).unwrap()
    };
    let (gone, there) = (write(&mut spool, Lane::Transactions, 1), write(&mut spool, Lane::Errors, 2));

    spool.leave(gone, label(1));
    spool.leave(there, label(2));

    assert_eq!((spool.take_changes().unreadable, take_all(&mut spool)), (vec![label(1)], vec![2]));
}
