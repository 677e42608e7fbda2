//! A flood of one class of items leaves the others their share of the queue and of what is sent.

use std::time::Duration;

use serde_json::Value;
use tower_sentry::protocol::{IntervalUnit, Monitor};
use tower_sentry::{Client, Level};

use crate::support::{self, Answer, Relay};

/// The kinds of the items that arrived, one for each envelope, in their order.
fn kinds(relay: &Relay) -> Vec<String> {
    let kind = |items: Vec<(Value, Value)>| items[0].0["type"].as_str().unwrap().to_owned();
    relay.received().iter().map(|received| kind(received.items().1)).collect()
}

async fn errors(client: &Client, count: u32) {
    let work = async {
        (0..count).for_each(|number| _ = tower_sentry::capture_message(Level::Error, format!("order {number} failed")));
    };
    client.transaction("flood").sample_rate(0.0).run_infallible(work).await;
}

async fn transactions(client: &Client, count: u32) {
    for _ in 0..count {
        client.transaction("order").run_infallible(async {}).await;
    }
}

async fn logs(client: &Client, count: u32) {
    let work = async { (0..count).for_each(|number| tracing::info!(number, "order")) };
    client.transaction("logs").sample_rate(0.0).run_infallible(work).await;
}

/// A server that takes nothing until it is released, and a client that sends to it whatever comes.
fn slow() -> (Relay, Client) {
    support::subscribe();
    let relay = Relay::start();
    relay.answer_all(Answer::Held);
    let config = support::config(&relay).enable_logs(true).request_timeout(Duration::from_secs(3600));
    let client = Client::from(config.build().unwrap());
    (relay, client)
}

#[tokio::test]
async fn a_flood_of_errors_silences_nothing_else() {
    let (relay, client) = slow();

    errors(&client, 3000).await;
    transactions(&client, 375).await;
    logs(&client, 500).await;
    for _ in 0..20 {
        client.check_in("hourly", Monitor::every(1, IntervalUnit::Hour)).run_infallible(async {}).await;
    }
    errors(&client, 3000).await;
    relay.release();
    support::settle(&client).await;

    let kinds = kinds(&relay);
    let of = |kind: &str| kinds.iter().filter(|other| *other == kind).count();
    let logs = relay.payloads("log").iter().map(|logs| logs["items"].as_array().unwrap().len()).sum::<usize>();
    assert_eq!((of("transaction"), of("check_in"), logs), (375, 40, 500));
    assert!(of("event") >= 625, "{} errors", of("event"));
    // Without turns, the first of them leave behind all errors. Several are on the way at once.
    let early = kinds.iter().take(200).filter(|kind| *kind == "transaction").count();
    assert!(early >= 30, "{early} of the first 200 envelopes");
    let first_log = kinds.iter().position(|kind| kind == "log").unwrap();
    assert!(first_log < 100, "{first_log}");
}

#[tokio::test]
async fn a_flood_of_transactions_or_logs_silences_no_errors() {
    let (relay, client) = slow();

    transactions(&client, 3000).await;
    errors(&client, 625).await;
    logs(&client, 3000).await;
    transactions(&client, 3000).await;
    relay.release();
    support::settle(&client).await;

    let kinds = kinds(&relay);
    let of = |kind: &str| kinds.iter().filter(|other| *other == kind).count();
    assert_eq!(of("event"), 625);
    assert!(of("transaction") >= 375 && of("log") >= 10, "{} transactions, {} logs", of("transaction"), of("log"));
    let early = kinds.iter().take(200).filter(|kind| *kind == "event").count();
    assert!(early >= 60, "{early} of the first 200 envelopes");
}
