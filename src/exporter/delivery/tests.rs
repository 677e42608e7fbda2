//! Retries, limits and accounts of envelopes, step by step and without a network.

use ::http::{HeaderMap, StatusCode};

use super::super::pipeline::Strikes;
use super::super::tests::{settings, shared};
use super::*;
use crate::protocol::{DiscardedEvent, EnvelopeHeader, ItemType};
use crate::redaction::Redactor;

fn delivery() -> Delivery {
    let dsn = "http://key@127.0.0.1:1/1".parse().expect("a DSN");
    Delivery::new(&settings(Some(dsn), None).delivery, shared())
}

/// An envelope with an error of about this many bytes.
fn outbound(bytes: usize) -> Outbound {
    let redactor = Redactor::new(Arc::default(), false);
    let mut open = redactor.envelope(&EnvelopeHeader::default(), Vec::new()).expect("a header");
    open.item(ItemType::Event, None, &"x ".repeat(bytes / 2)).expect("a payload");
    Outbound {
        envelope: open.seal(),
        load: Load::one(Category::Error),
        reports: Vec::new(),
        strikes: Strikes::default(),
        withheld_bytes: 0,
        added_spans: 0,
        removed_spans: 0,
        numbers: vec![0],
    }
}

fn hung_up() -> Result<TransportResponse, TransportError> {
    Err(TransportError::interrupted("hung up"))
}

fn dropped(delivery: &Delivery) -> Vec<(DiscardReason, u64)> {
    delivery.shared.ledger.stats().errors.dropped
}

#[test]
fn an_envelope_gets_three_more_attempts_while_others_find_an_answer() {
    let mut delivery = delivery();
    let try_again = |delivery: &mut Delivery| {
        let again = delivery.retry.pop_front().expect("it waits for another attempt");
        delivery.settle(again, Some(hung_up()));
    };
    delivery.settle(outbound(10), Some(hung_up()));
    // Without answers to other envelopes the server may be down, so these failures do not
    // count.
    (0..10).for_each(|_| try_again(&mut delivery));

    for _ in 0..3 {
        delivery.settle(outbound(10), Some(Ok(TransportResponse::new(StatusCode::OK, HeaderMap::new(), ""))));
        try_again(&mut delivery);
    }

    assert!(delivery.has_no_backlog());
    assert_eq!(dropped(&delivery), [(DiscardReason::NetworkError, 1)]);
}

#[test]
fn envelopes_that_failed_wait_up_to_a_limit_of_memory() {
    let mut delivery = delivery();

    (0..20).for_each(|_| delivery.settle(outbound(10), Some(hung_up())));
    let small = delivery.retry.len();
    (0..40).for_each(|_| delivery.settle(outbound(200_000), Some(hung_up())));

    assert_eq!((small, delivery.retry.len()), (20, RETRIES));
    assert_eq!(dropped(&delivery), [(DiscardReason::NetworkError, 52)]);
}

#[tokio::test]
async fn a_server_that_is_down_gets_one_attempt_at_a_time() {
    let mut delivery = delivery();
    let now = Instant::now();
    let attempt = || async { std::future::pending().await };

    delivery.backoff.failed(now);
    let after_the_pause = delivery.pause(now).expect("a pause after a failure");
    let has_room = [delivery.has_room(now), delivery.has_room(after_the_pause)];
    delivery.in_flight.spawn(attempt());

    assert_eq!(has_room, [false, true]);
    assert!(!delivery.has_room(after_the_pause), "one is on its way");
    delivery.backoff.succeeded();
    assert!(delivery.has_room(after_the_pause));
}

#[test]
fn a_client_report_that_was_given_up_is_sent_with_the_next() {
    let mut delivery = delivery();
    let row = DiscardedEvent::new(DiscardReason::SampleRate, Category::Transaction, 7);

    delivery.lose(Outbound { reports: vec![row], ..outbound(10) }, DiscardReason::NetworkError);

    let lost = DiscardedEvent::new(DiscardReason::NetworkError, Category::Error, 1);
    assert_eq!(delivery.shared.ledger.take_unreported(), [lost, row]);
}
