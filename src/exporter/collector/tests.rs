//! Tests of the copies for a collector.

use serde_json::{Value, json};

use super::super::tests::settings;
use super::*;
use crate::otlp::Otlp;
use crate::protocol::{EnvelopeHeader, ItemType};

/// A collector that is not asked for anything.
fn collector() -> Collector {
    let mut settings = settings(None, None);
    settings.delivery.otlp = Some(Otlp::new("http://127.0.0.1:1"));
    let shared = Arc::new(Shared::of(&settings));
    Collector::of(&settings, &shared).expect("the address is one")
}

fn outbound(number: u64, payload: &Value) -> Outbound {
    let redactor = Redactor::new(Arc::default(), false);
    let open = redactor.envelope(&EnvelopeHeader::default(), Vec::new());
    let sealed = open.and_then(|mut open| open.item(ItemType::Transaction, Some(0), payload).map(|()| open.seal()));
    let load = Load { spans: 1, ..Load::one(Category::Transaction) };
    Outbound { numbers: vec![number], ..Outbound::new(sealed.expect("plain JSON"), load, Vec::new()) }
}

fn transaction(number: u64, text: &str) -> Outbound {
    let trace = json!({
        "trace_id": "771a43a4192642f0b136d5159a501700", "span_id": "b0e6f15b45c36b12", "op": "task", "data": {"text": text}
    });
    let payload = json!({
        "transaction": "work", "transaction_info": {"source": "task"}, "start_timestamp": 1.5, "timestamp": 2.5,
        "contexts": {"trace": trace}, "spans": []
    });
    outbound(number, &payload)
}

#[test]
fn an_idle_collector_needs_no_look_and_the_first_copy_waits_five_seconds() {
    let now = Instant::now();
    let mut collector = collector();
    let idle = collector.next_look(now);

    collector.add(&transaction(7, ""), now);
    collector.add(&transaction(8, ""), now + Duration::from_secs(4));

    assert_eq!((idle, collector.next_look(now)), (None, Some(now + WAIT)));
    assert_eq!((collector.oldest(), collector.spans(), collector.is_idle()), (Some(7), 2, false));
    let request = collector.next_request().expect("two wait");
    assert_eq!((request.weight.spans, request.weight.oldest, collector.waiting.len()), (2, 7, 0));
}

#[test]
fn enough_copies_for_a_request_do_not_wait() {
    let now = Instant::now();
    let mut collector = collector();
    let text = "long ".repeat(BATCH_BYTES / 12);

    collector.add(&transaction(7, &text), now);
    let first = collector.next_look(now);
    for number in 8..12 {
        collector.add(&transaction(number, &text), now);
    }

    assert_eq!((first, collector.next_look(now)), (Some(now + WAIT), Some(now)));
    let weight = collector.next_request().expect("five wait").weight;
    assert!(weight.bytes >= BATCH_BYTES && weight.spans < 5, "{weight:?}");
}

#[test]
fn what_a_request_has_no_room_for_does_not_wait_anew() {
    let now = Instant::now();
    let mut collector = collector();
    let text = "long ".repeat(BATCH_BYTES / 12);

    for number in 7..10 {
        collector.add(&transaction(number, &text), now);
    }
    collector.add(&transaction(10, ""), now + Duration::from_secs(1));
    let weight = collector.next_request().expect("four wait").weight;
    collector.total = collector.total.minus(weight);

    assert_eq!((weight.spans, collector.next_look(now)), (3, Some(now + Duration::from_secs(1) + WAIT)));
}

#[test]
fn a_collector_that_asks_for_no_pause_or_for_a_year_gets_one_of_ours() {
    let answer = |retry_after: &str| {
        let headers = [(::http::header::RETRY_AFTER, retry_after.parse().expect("a header"))].into_iter().collect();
        Some(Ok(TransportResponse::new(::http::StatusCode::SERVICE_UNAVAILABLE, headers, "")))
    };
    for (said, at_most) in [("0", Duration::from_secs(60)), ("Fri, 31 Dec 2100 23:59:59 GMT", LONGEST_SILENCE)] {
        let mut collector = collector();
        let now = Instant::now();
        collector.add(&transaction(7, ""), now);
        let request = collector.next_request().expect("one waits");

        collector.settle_request(request, answer(said), now);

        let look = collector.next_look(now).expect("it is sent again");
        assert!(look > now && look <= now + at_most, "{said}: {:?}", look - now);
    }
}

#[test]
fn what_cannot_be_converted_is_counted_and_holds_up_nothing() {
    let mut collector = collector();

    collector.add(&outbound(7, &json!({"transaction": 7})), Instant::now());

    let counts = collector.shared.copies.stats().spans;
    assert_eq!((counts.captured, counts.dropped), (1, vec![(DiscardReason::InternalSdkError, 1)]));
    assert!(collector.is_idle());
}

#[tokio::test]
async fn what_is_given_up_is_counted_before_the_answer_to_the_shutdown() {
    let mut collector = collector();
    collector.add(&transaction(7, ""), Instant::now());

    let lost = collector.give_up(DiscardReason::NetworkError);

    let counts = collector.shared.copies.stats().spans;
    assert_eq!((lost, counts.waiting(), counts.dropped), (1, 0, vec![(DiscardReason::NetworkError, 1)]));
    assert!(collector.is_idle());
}
