//! The types of the protocol: what is set on them is what a server reads, also behind a hook.

use serde_json::json;
use tower_sentry::protocol::{
    DebugImage, EventId, Feedback, IntervalUnit, Measurement, Monitor, Span, SpanId, SpanStatus, Timestamp, TraceId,
};
use tower_sentry::{Breadcrumb, Client, Level, User};

use crate::support::{self, Relay};

#[test]
fn what_is_set_on_a_payload_is_on_the_wire() {
    let nightly = Monitor::crontab("5 2 * * *").timezone("Europe/Berlin").checkin_margin(5).max_runtime(30);
    let mut crumb = Breadcrumb::new("charge started").category("payment").level(Level::Fatal).field("attempt", 2);
    crumb.timestamp = Timestamp::from_nanos(1_795_168_800_412_345_000);
    let event_id: EventId = "4c79f60c11214eb38604f4ae0781bfb2".parse().unwrap();
    let said = Feedback::new("too slow").name("Jane").email("jane@example.com").url("https://shop.example/cart");
    let rows = [
        (
            serde_json::to_value(nightly.failure_issue_threshold(3).recovery_threshold(2)),
            json!({
                "schedule": {"type": "crontab", "value": "5 2 * * *"}, "timezone": "Europe/Berlin", "checkin_margin": 5, "max_runtime": 30,
                "failure_issue_threshold": 3, "recovery_threshold": 2
            }),
        ),
        (
            serde_json::to_value(Monitor::every(2, IntervalUnit::Hour)),
            json!({"schedule": {"type": "interval", "value": 2, "unit": "hour"}}),
        ),
        (
            serde_json::to_value(crumb),
            json!({
                "timestamp": 1_795_168_800.412_345, "category": "payment", "message": "charge started", "level": "fatal", "data": {"attempt": 2}
            }),
        ),
        (
            serde_json::to_value(User::id(42).email("jane@example.com").username("jane").ip_address("203.0.113.7").field("plan", "gold")),
            json!({"id": "42", "email": "jane@example.com", "username": "jane", "ip_address": "203.0.113.7", "plan": "gold"}),
        ),
        (serde_json::to_value(Measurement::new(1.5, "millisecond")), json!({"value": 1.5, "unit": "millisecond"})),
        (
            serde_json::to_value(said.event_id(event_id)),
            json!({
                "message": "too slow", "name": "Jane", "contact_email": "jane@example.com", "url": "https://shop.example/cart",
                "associated_event_id": "4c79f60c11214eb38604f4ae0781bfb2"
            }),
        ),
        (
            serde_json::to_value(Feedback::new("of nothing that was sent").event_id(EventId::nil())),
            json!({"message": "of nothing that was sent"}),
        ),
    ];

    for (written, expected) in rows {
        assert_eq!(written.unwrap(), expected);
    }
}

#[test]
fn a_feedback_has_as_many_characters_as_a_server_takes() {
    for (given, kept) in [(4095, 4095), (4096, 4096), (4097, 4096), (10_000, 4096)] {
        assert_eq!(Feedback::new("ä".repeat(given)).message.chars().count(), kept, "of {given}");
    }
}

#[test]
fn levels_read_back_as_written() {
    for level in [Level::Debug, Level::Info, Level::Warning, Level::Error, Level::Fatal] {
        assert_eq!(level.to_string().parse(), Ok(level));
        assert_eq!(serde_json::to_value(level).unwrap(), level.as_str());
    }
    assert!("warn".parse::<Level>().is_err(), "Sentry turns it into `error`");
}

#[tokio::test]
async fn what_has_no_time_of_its_own_has_that_of_its_making() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).traces_sample_rate(0.0).build().unwrap());
    let seconds = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let begun = seconds();

    let work = async {
        tower_sentry::Scope::current().add_breadcrumb(Breadcrumb::new("charge started"));
        tower_sentry::capture_message(Level::Warning, "charged twice");
    };
    client.transaction("charge").run(work).await;
    support::settle(&client).await;

    let (event, report) = (&relay.events()[0], &relay.payloads("client_report")[0]);
    for (what, time) in [("breadcrumb", &event["breadcrumbs"]["values"][0]["timestamp"]), ("report", &report["timestamp"])] {
        let time = time.as_f64().unwrap();
        // Times have microseconds on the wire.
        assert!(begun - 1e-6 <= time && time <= seconds(), "{what}: {time}, begun at {begun}");
    }
    assert_eq!(report["discarded_events"][0], json!({"reason": "sample_rate", "category": "transaction", "quantity": 1}));
}

#[tokio::test]
async fn what_a_hook_adds_arrives_and_what_it_leaves_alone_stays_as_it_was() {
    let relay = Relay::start();
    let with_hooks = support::config(&relay)
        .before_send(|mut event| {
            let mut image = DebugImage::default();
            (image.kind, image.debug_id) = ("elf".to_owned(), "4c79f60c-1121-4eb3-8604-f4ae0781bfb2".to_owned());
            (image.code_file, image.image_addr, image.image_size) = ("/srv/shop".to_owned(), "0x1000".to_owned(), 4096);
            event.debug_meta.images = vec![image];
            Some(event)
        })
        .before_send_transaction(|mut transaction| {
            let trace = transaction.contexts.trace.as_ref()?;
            let begin = transaction.start_timestamp;
            // A mistake of the hook's: an end before the begin.
            let end = Timestamp::from_nanos(begin.as_nanos() - 1_000_000);
            transaction.spans.push(Span::new(trace.trace_id, trace.span_id, "added", begin, end));
            transaction.measurements.insert("charged".to_owned(), Measurement::new(12.5, "euro"));
            Some(transaction)
        });
    let client = Client::from(with_hooks.build().unwrap());

    let work = async {
        tower_sentry::capture_message(Level::Error, "charged twice");
    };
    client.transaction("charge").run(work).await;
    support::settle(&client).await;

    let (event, transaction) = (&relay.events()[0], &relay.transactions()[0]);
    let image = &event["debug_meta"]["images"][0];
    assert_eq!((&image["debug_id"], &image["image_size"]), (&"4c79f60c-1121-4eb3-8604-f4ae0781bfb2".into(), &4096.into()));
    let added = &transaction["spans"][0];
    assert_eq!(added["op"], "added");
    assert_eq!(added["start_timestamp"], added["timestamp"], "an end before the begin makes a server drop the whole transaction");
    assert_eq!(transaction["measurements"]["charged"], json!({"value": 12.5, "unit": "euro"}));
}

#[test]
fn a_span_never_ends_before_it_began() {
    let (early, late) = (Timestamp::from_nanos(1_000), Timestamp::from_nanos(2_000));

    for (start, end, expected) in [(early, late, (early, late)), (late, early, (late, late)), (early, early, (early, early))] {
        let span = Span::new(TraceId::new(), SpanId::new(), "added", start, end);
        assert_eq!((span.start_timestamp, span.timestamp), expected);
        assert_eq!(span.status, Some(SpanStatus::Ok));
    }
}
