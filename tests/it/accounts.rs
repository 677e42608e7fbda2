//! The accounts: what was lost is told, once, whatever becomes of the report.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use tower::ServiceExt as _;
use tower_sentry::protocol::DiscardReason;
use tower_sentry::test::HandClock;
use tower_sentry::{Client, Level, SentryLayer};

use crate::support::{self, Answer, Relay, patience};

/// Captures a message, and no transaction.
async fn say(client: &Client, text: &'static str) {
    let work = async move {
        tower_sentry::capture_message(Level::Error, text);
    };
    client.transaction("work").sample_rate(0.0).run(work).await;
}

/// How many of a kind the server was told of, without the requests it refused.
fn reported(relay: &Relay, refused: &[usize], reason: &str, category: &str) -> u64 {
    let accepted = relay.received().into_iter().enumerate().filter(|(number, _)| !refused.contains(number));
    let reports = accepted.flat_map(|(_, received)| received.items().1).filter(|(item, _)| item["type"] == "client_report");
    let rows = reports.flat_map(|(_, report)| report["discarded_events"].as_array().unwrap().clone());
    rows.filter(|row| row["reason"] == reason && row["category"] == category).map(|row| row["quantity"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn a_report_that_the_server_refused_is_sent_with_the_next() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).ignore_error_messages(["ignored"]).build().unwrap());
    relay.answer_next(Answer::status(413));

    say(&client, "ignored").await;
    support::until("it is dropped", || client.stats().errors.dropped_total() == 1).await;
    client.transaction("refused").run(async {}).await;
    relay.wait_for(1);
    support::until("it is refused", || client.stats().transactions.dropped.contains(&(DiscardReason::SendError, 1))).await;
    client.transaction("accepted").run(async {}).await;
    support::settle(&client).await;

    let first = relay.received()[0].items().1;
    assert!(first.iter().any(|(item, _)| item["type"] == "client_report"), "the report was refused together with what it rode on");
    assert_eq!(reported(&relay, &[0], "event_processor", "error"), 1);
    assert_eq!(reported(&relay, &[0], "send_error", "transaction"), 1);
}

#[tokio::test]
async fn losses_that_would_have_ridden_on_a_dropped_event_are_reported() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).before_send(|_| None).build().unwrap());

    for _ in 0..5 {
        say(&client, "dropped").await;
    }
    support::settle(&client).await;

    assert_eq!(client.stats().errors.dropped, [(DiscardReason::BeforeSend, 5)]);
    assert_eq!(reported(&relay, &[], "before_send", "error"), 5);
}

#[tokio::test]
async fn what_the_server_refused_with_429_is_not_reported() {
    let relay = Relay::start();
    let client = support::client(&relay);
    relay.answer_next(Answer::Status(429, vec![("retry-after", "0".to_owned())]));

    client.transaction("refused").run(async {}).await;
    client.flush(patience()).await.unwrap();
    client.transaction("accepted").run(async {}).await;
    support::settle(&client).await;

    assert_eq!(client.stats().transactions.dropped, [(DiscardReason::RatelimitBackoff, 1)]);
    assert!(relay.reported().is_empty(), "it has counted that itself: {:?}", relay.reported());
}

#[tokio::test]
async fn an_outage_keeps_a_hundred_traces_at_once_and_ten_a_second() {
    let relay = Relay::start();
    // Sampling takes none.
    let client = Client::from(support::config(&relay).traces_sample_rate(1e-9).build().unwrap());
    let app = Router::new().route("/", get(|| async { StatusCode::SERVICE_UNAVAILABLE })).layer(SentryLayer::new(&client));

    // The clock of this thread stands still until it is told to go on.
    let clock = HandClock::start();
    let fail = async |times| {
        for _ in 0..times {
            drop(app.clone().oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap());
        }
    };
    fail(300).await;
    clock.advance(std::time::Duration::from_secs(1));
    fail(200).await;
    support::settle(&client).await;

    let transactions = client.stats().transactions;
    assert_eq!((transactions.captured, transactions.sent), (500, 110), "the rest is counted: {transactions:?}");
}
