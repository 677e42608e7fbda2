//! Retries, limits and accounts of envelopes, step by step and without a network.

use ::http::{HeaderMap, StatusCode};

use super::super::SessionEnd;
use super::super::flow::HANGS;
use super::super::load::Load;
use super::super::outbound::Attempts;
use super::super::tests::{settings, shared};
use super::*;
use crate::event::{CapturedEvent, EventRecord};
use crate::exporter::Item;
use crate::protocol::{Category, DiscardedEvent, EnvelopeHeader, ItemType, Level};
use crate::redaction::Redactor;

fn delivery() -> Delivery {
    let dsn = "http://key@127.0.0.1:1/1".parse().expect("a DSN");
    Delivery::new(&settings(Some(dsn), None).delivery, shared())
}

/// An envelope with an error of about this many bytes.
pub(super) fn outbound(bytes: usize) -> Outbound {
    let redactor = Redactor::new(Arc::default(), false);
    let mut open = redactor.envelope(&EnvelopeHeader::default(), Vec::new()).expect("a header");
    open.item(ItemType::Event, None, &"x ".repeat(bytes / 2)).expect("a payload");
    Outbound {
        envelope: open.seal(),
        load: Load::one(Category::Error),
        place: None,
        reports: Vec::new(),
        sessions: Vec::new(),
        attempts: Attempts::default(),
        withheld_bytes: 0,
        lost_profile: None,
        added_spans: 0,
        removed_spans: 0,
        cut_spans: 0,
        numbers: vec![0],
    }
}

pub(super) fn hung_up() -> Result<TransportResponse, TransportError> {
    Err(TransportError::interrupted("hung up"))
}

/// An attempt over a new connection that begins now.
pub(super) fn flight(delivery: &Delivery) -> Flight {
    Flight {
        load: Load::one(Category::Error),
        place: None,
        oldest: 0,
        bytes: 0,
        since: Instant::now(),
        answers: delivery.answers,
        is_on_new_connection: true,
        is_left_behind: false,
    }
}

fn ok() -> TransportResponse {
    TransportResponse::new(StatusCode::OK, HeaderMap::new(), "")
}

/// Settles an attempt that begins and ends now.
pub(super) fn settle(delivery: &mut Delivery, outbound: Outbound, answer: Result<TransportResponse, TransportError>) {
    let flight = flight(delivery);
    delivery.settle(outbound, Some(answer), flight);
}

/// Puts `count` attempts in flight that never end.
fn fly(delivery: &mut Delivery, count: usize) {
    for _ in 0..count {
        let flight = flight(delivery);
        delivery.flights.start(flight, std::future::pending());
    }
}

fn dropped(delivery: &Delivery) -> Vec<(DiscardReason, u64)> {
    delivery.shared.ledger.stats().errors.dropped
}

#[test]
fn an_envelope_gets_three_more_attempts_while_others_find_an_answer() {
    let mut delivery = delivery();
    let later = Instant::now() + Duration::from_secs(3600);
    let try_again = |delivery: &mut Delivery| {
        let again = delivery.retry.pop(later).expect("it waits for another attempt");
        settle(delivery, again, hung_up());
    };
    settle(&mut delivery, outbound(10), hung_up());
    // Without answers to other envelopes the server may be down, so these failures do not
    // count.
    (0..10).for_each(|_| try_again(&mut delivery));

    for _ in 0..3 {
        settle(&mut delivery, outbound(10), Ok(ok()));
        try_again(&mut delivery);
    }

    assert!(delivery.has_no_backlog());
    assert_eq!(dropped(&delivery), [(DiscardReason::NetworkError, 1)]);
}

#[test]
fn an_envelope_whose_connection_is_refused_while_others_are_answered_waits_before_it_is_sent_again() {
    let mut delivery = delivery();
    let now = Instant::now();
    let began = flight(&delivery);
    // The server answers another envelope, so the others do not wait.
    settle(&mut delivery, outbound(10), Ok(ok()));

    delivery.settle(outbound(10), Some(Err(TransportError::unreachable("refused"))), began);

    assert!(delivery.backoff.until(now, || false).is_none(), "the others go on");
    let early = now + Duration::from_millis(100);
    assert!(delivery.retry.pop(early).is_none(), "it is not due");
    assert!(delivery.retry.pop(early + Duration::from_secs(60)).is_some());
}

#[test]
fn after_a_long_outage_what_has_waited_is_sent_at_a_pace() {
    let mut delivery = delivery();
    let now = Instant::now();
    delivery.pace.failed(0, now);
    // Each failure after the pause of the one before.
    (0..3).for_each(|hours| delivery.backoff.failed(Failure::Refused, now + Duration::from_secs(3600 * hours)));
    delivery.retry.push(outbound(10), BYTES);

    settle(&mut delivery, outbound(10), Ok(ok()));
    let later = Instant::now() + Duration::from_secs(10);
    let places = |delivery: &Delivery| (delivery.has_room(now), delivery.has_room(later));
    delivery.settle_finished();
    let at_a_pace = places(&delivery);
    delivery.retry.take_all();
    delivery.settle_finished();

    assert_eq!((at_a_pace, delivery.is_paced()), ((false, true), false), "until nothing waits");
    assert_eq!(places(&delivery), (true, true));
}

#[test]
fn retries_and_new_items_take_turns() {
    let mut delivery = delivery();
    (0..3).for_each(|_| drop(delivery.retry.push(outbound(10), BYTES)));
    let captured = CapturedEvent::message(Level::Error, "no stock".to_owned());
    delivery.shared.enqueue(Item::Event(Box::new(EventRecord { captured, scope: Box::default() })));

    let turns = [(); 4].map(|()| delivery.next_retry(Instant::now()).is_some());

    assert_eq!(turns, [true, false, true, false]);
}

#[test]
fn during_an_outage_what_comes_goes_to_the_spool_however_empty_the_queue_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let dsn = "http://key@127.0.0.1:1/1".parse().expect("a DSN");
    let settings = DeliverySettings { spool_dir: Some(dir.path().to_owned()), ..settings(Some(dsn), None).delivery };
    let mut delivery = Delivery::new(&settings, shared());
    let before = delivery.spools(Instant::now());

    settle(&mut delivery, outbound(10), hung_up());

    assert_eq!((before, delivery.spools(Instant::now())), (false, true));
}

#[test]
fn a_short_outage_needs_no_pace() {
    let mut delivery = delivery();
    settle(&mut delivery, outbound(10), hung_up());

    settle(&mut delivery, outbound(10), Ok(ok()));

    assert!(!delivery.is_paced() && delivery.has_room(Instant::now()));
}

#[test]
fn a_failed_connection_is_replaced_at_once_and_stops_nothing_else() {
    for error in [TransportError::interrupted("reset"), TransportError::timed_out()] {
        let mut delivery = delivery();
        let on_old_connection = Flight { is_on_new_connection: false, ..flight(&delivery) };

        delivery.settle(outbound(10), Some(Err(error)), on_old_connection);

        let now = Instant::now();
        assert!(delivery.has_room(now) && !delivery.backoff.is_failing(), "no pause");
        let again = delivery.next_retry(now).expect("at once, whatever else waits");
        assert!(again.attempts.goes_at_once);
        assert_eq!(again.attempts.strikes, 0, "the envelope is not to blame");
    }
}

#[test]
fn a_failure_while_others_are_answered_delays_only_its_envelope() {
    let mut delivery = delivery();
    let slow = flight(&delivery);

    settle(&mut delivery, outbound(10), Ok(ok()));
    delivery.settle(outbound(10), Some(hung_up()), slow);

    let now = Instant::now();
    assert!(delivery.has_room(now) && !delivery.backoff.is_failing());
    assert!(delivery.retry.pop(now).is_none(), "it has a pause of its own");
    assert!(delivery.retry.pop(now + Duration::from_millis(250)).is_some());
}

#[test]
fn an_envelope_is_dropped_for_what_it_does_and_not_for_a_server_that_comes_and_goes() {
    let lost_after = |error: fn() -> TransportError| {
        let mut delivery = delivery();
        let mut now = Instant::now();
        let mut sent = outbound(10);
        for failure in 1..=10 {
            let slow = flight(&delivery);
            settle(&mut delivery, outbound(10), Ok(ok()));
            delivery.settle(sent, Some(Err(error())), slow);
            now += Duration::from_secs(60);
            match delivery.retry.pop(now) {
                Some(again) => sent = again,
                None => return Some(failure),
            }
        }
        None
    };

    assert_eq!(lost_after(|| TransportError::interrupted("reset")), Some(4));
    assert_eq!(lost_after(|| TransportError::unreachable("refused")), None);
}

#[test]
fn a_failure_on_a_new_connection_without_any_answer_is_the_servers() {
    for error in [TransportError::interrupted("reset"), TransportError::timed_out(), TransportError::unreachable("refused")] {
        let mut delivery = delivery();

        settle(&mut delivery, outbound(10), Err(error));

        assert!(delivery.backoff.is_failing());
        assert!(!delivery.has_room(Instant::now()));
    }
}

#[test]
fn a_refused_connection_is_not_tried_twice_at_once() {
    let mut delivery = delivery();
    let on_pooled = Flight { is_on_new_connection: false, ..flight(&delivery) };

    delivery.settle(outbound(10), Some(Err(TransportError::unreachable("refused"))), on_pooled);

    assert!(delivery.backoff.is_failing());
    assert!(delivery.retry.pop_at_once().is_none());
}

#[test]
fn envelopes_that_failed_wait_up_to_a_limit_of_memory() {
    let mut delivery = delivery();

    (0..20).for_each(|_| settle(&mut delivery, outbound(10), hung_up()));
    let small = delivery.retry.len();
    (0..40).for_each(|_| settle(&mut delivery, outbound(200_000), hung_up()));

    assert_eq!((small, delivery.retry.len()), (20, FEW));
    assert_eq!(dropped(&delivery), [(DiscardReason::NetworkError, 52)]);
}

#[tokio::test]
async fn a_server_that_is_down_gets_one_attempt_at_a_time() {
    let mut delivery = delivery();
    let now = Instant::now();

    delivery.backoff.failed(Failure::Refused, now);
    let after_the_pause = delivery.pause(now).expect("a pause after a failure");
    let has_room = [delivery.has_room(now), delivery.has_room(after_the_pause)];
    fly(&mut delivery, 1);

    assert_eq!(has_room, [false, true]);
    assert!(!delivery.has_room(after_the_pause), "one is on its way");
    delivery.backoff.succeeded();
    assert!(delivery.has_room(after_the_pause));
}

#[tokio::test]
async fn an_attempt_that_many_others_overtake_holds_no_place() {
    let mut delivery = delivery();
    let now = Instant::now();
    fly(&mut delivery, FEWEST);
    let while_all_hang = delivery.has_room(now);

    // Others find an answer on places that were free before.
    (0..2 * FEWEST).for_each(|_| settle(&mut delivery, outbound(10), Ok(ok())));
    let after_others = delivery.has_room(now);
    fly(&mut delivery, MOST - FEWEST);

    assert_eq!((while_all_hang, after_others), (false, true));
    assert!(!delivery.has_room(now), "there is a limit for those that hang");
}

#[tokio::test]
async fn an_attempt_that_takes_much_longer_than_others_holds_no_place() {
    let mut delivery = delivery();
    fly(&mut delivery, FEWEST);
    let later = Instant::now() + HANGS;
    let without_any_answer = delivery.has_room(later);

    settle(&mut delivery, outbound(10), Ok(ok()));
    let at_once = delivery.has_room(Instant::now());

    assert_eq!((without_any_answer, at_once, delivery.has_room(later)), (false, false, true));
}

#[tokio::test]
async fn large_envelopes_in_flight_have_a_limit_of_memory() {
    let mut delivery = delivery();
    (0..100).for_each(|_| delivery.flow.accepted(Duration::from_millis(100), true));
    fly(&mut delivery, FEW);
    let before = delivery.has_room(Instant::now());

    let large = Flight { bytes: BYTES, ..flight(&delivery) };
    delivery.flights.start(large, std::future::pending());

    assert!(before && !delivery.has_room(Instant::now()));
}

#[tokio::test]
async fn a_shutdown_passes_by_what_hangs() {
    let mut delivery = delivery();
    let now = Instant::now();
    settle(&mut delivery, outbound(10), Err(TransportError::timed_out()));
    fly(&mut delivery, FEWEST);
    let before = delivery.has_room(now);

    delivery.hurry(Instant::now());
    let after = delivery.has_room(now);
    fly(&mut delivery, FEWEST);

    assert_eq!((before, after), (false, true));
    assert!(delivery.retry.pop(now).is_some(), "without the pause of its own");
    assert!(!delivery.has_room(now), "until one of them is answered");
}

#[test]
fn a_client_report_that_was_given_up_is_sent_with_the_next() {
    let mut delivery = delivery();
    let row = DiscardedEvent::new(DiscardReason::SampleRate, Category::Transaction, 7);

    delivery.lose(Outbound { reports: vec![row], ..outbound(10) }, DiscardReason::NetworkError);

    let lost = DiscardedEvent::new(DiscardReason::NetworkError, Category::Error, 1);
    assert_eq!(delivery.shared.ledger.take_unreported(), [lost, row]);
}

#[test]
fn sessions_that_a_server_error_refuses_are_sent_with_the_next() {
    for (code, is_kept) in [(503, true), (500, true), (200, false), (403, false), (429, false)] {
        let mut delivery = delivery();
        delivery.shared.sessions.add(0, SessionEnd::Exited);
        let sessions = delivery.shared.sessions.take();
        let status = StatusCode::from_u16(code).expect("a status");

        let outbound = Outbound { sessions, load: Load::one(Category::Session), ..outbound(10) };
        settle(&mut delivery, outbound, Ok(TransportResponse::new(status, HeaderMap::new(), "")));

        assert_eq!(!delivery.shared.sessions.is_empty(), is_kept, "{code}");
    }
}

#[test]
fn sessions_whose_envelope_is_given_up_are_sent_with_the_next() {
    let mut delivery = delivery();
    delivery.shared.sessions.add(0, SessionEnd::Exited);
    let sessions = delivery.shared.sessions.take();

    delivery.lose(Outbound { sessions, ..outbound(10) }, DiscardReason::NetworkError);

    assert!(!delivery.shared.sessions.is_empty());
}

#[tokio::test]
async fn what_is_given_up_is_counted_at_once() {
    let mut delivery = delivery();
    fly(&mut delivery, 2);
    settle(&mut delivery, outbound(10), hung_up());

    delivery.give_up(DiscardReason::InternalSdkError);

    assert_eq!(dropped(&delivery), [(DiscardReason::InternalSdkError, 3)]);
}
