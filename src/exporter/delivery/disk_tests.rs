//! Envelopes while the disk of the spool hangs.

use super::super::tests::{settings, shared};
use super::tests::{flight, hung_up, outbound, settle};
use super::*;

/// A delivery with a spool in a folder, and a transport that accepts everything.
fn with_spool(dir: &std::path::Path) -> Delivery {
    let settings = settings(None, Some(Arc::new(|_: &[u8]| {}))).delivery;
    Delivery::new(&DeliverySettings { spool_dir: Some(dir.to_owned()), ..settings }, shared())
}

/// Waits until a disk answers that has hung.
fn until_it_answers(delivery: &mut Delivery) {
    while !delivery.backlog.is_well() {
        std::thread::yield_now();
        delivery.settle_finished();
    }
}

#[test]
fn a_disk_that_hangs_holds_up_nothing_and_what_it_writes_too_late_is_not_sent_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut delivery = with_spool(dir.path());
    let hang = delivery.backlog.hang();

    (0..50).for_each(|_| delivery.dispatch(outbound(10)));
    let (sent, is_well) = (delivery.shared.ledger.stats().errors.sent, delivery.backlog.is_well());
    drop(hang);
    until_it_answers(&mut delivery);

    assert_eq!((sent, is_well), (50, false));
    assert!(!delivery.backlog.has_any() && delivery.next_spooled(Instant::now()).is_none());
    drop(delivery);
    let later = with_spool(dir.path());
    assert_eq!(later.shared.ledger.stats().errors.captured, 0, "nor by the next process");
}

#[test]
fn what_is_on_a_disk_that_hangs_counts_as_being_there_when_it_is_given_up() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut delivery = with_spool(dir.path());
    let [mut written, mut in_flight] = [outbound(10), outbound(10)];
    for outbound in [&mut written, &mut in_flight] {
        delivery.backlog.write(outbound, None, Instant::now());
    }
    let hang = delivery.backlog.hang();

    // Without an answer it stays in memory, where it can be sent from.
    settle(&mut delivery, written, hung_up());
    let in_memory = delivery.retry.len();
    delivery.retry.push(outbound(10), BYTES);
    let of_flight = Flight { place: in_flight.place, ..flight(&delivery) };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async { delivery.flights.start(of_flight, std::future::pending()) });
    delivery.give_up(DiscardReason::NetworkError);
    let errors = delivery.shared.ledger.stats().errors;
    drop(hang);
    until_it_answers(&mut delivery);
    drop(delivery);

    assert_eq!(in_memory, 1);
    assert_eq!((errors.spooled, errors.dropped), (2, vec![(DiscardReason::NetworkError, 1)]), "what was never written is lost");
    let shared = shared();
    let settings = DeliverySettings { spool_dir: Some(dir.path().to_owned()), ..settings(None, Some(Arc::new(|_: &[u8]| {}))).delivery };
    let mut later = Delivery::new(&settings, Arc::clone(&shared));
    while shared.ledger.stats().errors.captured < 2 {
        std::thread::yield_now();
        later = Delivery::new(&settings, Arc::clone(&shared));
    }
    assert!(later.next_spooled(Instant::now()).is_some());
}

#[test]
fn while_the_disk_hangs_what_has_no_room_in_memory_is_left_on_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut delivery = with_spool(dir.path());
    let mut written: Vec<_> = (0..20).map(|_| outbound(200_000)).collect();
    for outbound in &mut written {
        delivery.backlog.write(outbound, None, Instant::now());
    }
    let hang = delivery.backlog.hang();

    for outbound in written {
        settle(&mut delivery, outbound, hung_up());
    }
    let (errors, in_memory) = (delivery.shared.ledger.stats().errors, delivery.retry.len() as u64);
    drop(hang);
    until_it_answers(&mut delivery);
    let taken = std::iter::from_fn(|| delivery.next_spooled(Instant::now())).count() as u64;

    assert!(in_memory < 20);
    assert_eq!((errors.spooled, errors.dropped_total(), taken), (20 - in_memory, 0, 20 - in_memory));
}
