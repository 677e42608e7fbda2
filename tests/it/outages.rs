//! Outages: what a broken connection, a backend that hangs, a server that is away and a full queue leave behind.

use std::collections::BTreeSet;
use std::time::Duration;

use tower_sentry::protocol::{DiscardReason, Monitor};
use tower_sentry::{Client, Level};

use crate::support::{self, Answer, Relay, in_child, patience};

/// Captures a message, and no transaction.
async fn report(client: &Client, text: String) {
    let work = async {
        tower_sentry::capture_message(Level::Error, text);
    };
    client.transaction("work").sample_rate(0.0).run(work).await;
}

/// The numbers of the messages that arrived.
fn numbers(relay: &Relay) -> BTreeSet<usize> {
    relay.events().iter().map(|event| event["logentry"]["message"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn a_request_without_an_answer_is_sent_again_over_a_new_connection() {
    // What is captured outside of work goes to this client, and leaves no transaction to report as dropped.
    if in_child("outages::a_request_without_an_answer_is_sent_again_over_a_new_connection", &[]) {
        return;
    }
    let relay = Relay::start();
    relay.answer_next(Answer::status(200));
    relay.answer_next(Answer::Never);
    // Only the time to the first byte ends the attempt.
    let config = support::config(&relay).request_timeout(Duration::from_secs(3600)).first_byte_timeout(Duration::from_secs(2));
    let client = Client::from(config.build().unwrap());

    for number in 0..2 {
        tower_sentry::capture_message(Level::Error, number.to_string());
        client.flush(patience()).await.unwrap();
    }
    support::settle(&client).await;

    assert_eq!((client.stats().errors.sent, client.stats().errors.dropped_total()), (2, 0));
    let ids: Vec<_> = relay.received().iter().map(|received| received.items().0["event_id"].clone()).collect();
    assert!(ids.len() == 3 && ids[1] == ids[2], "once more, as the same event: {ids:?}");
    assert!(relay.connections() >= 2);
}

#[tokio::test]
async fn one_backend_of_five_that_hangs_holds_up_nothing() {
    let relay = Relay::start();
    for number in 0..1000 {
        relay.answer_next(if number % 5 == 4 { Answer::Never } else { Answer::status(200) });
    }
    // What hangs does so to the end of the test.
    let config = support::config(&relay).request_timeout(Duration::from_secs(3600));
    let client = Client::from(config.build().unwrap());

    for number in 0..100 {
        report(&client, number.to_string()).await;
    }
    support::until("all others are sent", || client.stats().errors.sent == 80).await;
    relay.wait_for(100);

    assert_eq!(numbers(&relay).len(), 100, "each was tried");
    assert_eq!(client.stats().errors.waiting(), 20);
    let _ = client.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn a_shutdown_sends_what_was_never_tried_past_requests_that_hang() {
    let relay = Relay::start();
    relay.answer_all(Answer::Held);
    let client = Client::from(support::config(&relay).request_timeout(Duration::from_secs(3600)).build().unwrap());
    for number in 0..100 {
        report(&client, number.to_string()).await;
    }
    relay.wait_for(4);

    // Well from now on, but for the four.
    relay.answer_all(Answer::status(200));
    let of_task = client.clone();
    let shutdown = tokio::spawn(async move { of_task.shutdown(Duration::from_secs(3600)).await });
    support::until("the others are sent", || client.stats().errors.sent == 96).await;
    relay.release();

    shutdown.await.unwrap().unwrap();
    assert_eq!(client.stats().errors.sent, 100);
}

#[tokio::test]
async fn after_an_outage_the_newest_errors_arrive_and_the_rest_is_counted() {
    let port = support::closed_port();
    let dsn = format!("http://0123456789abcdef0123456789abcdef@{}/1", port.local_addr().unwrap());
    let client = Client::from(support::to(dsn).queue_items(20).panic_hook(false).build().unwrap());
    for number in 0..50 {
        report(&client, number.to_string()).await;
    }

    let relay = Relay::start_at(port);
    support::settle(&client).await;

    let arrived = numbers(&relay);
    assert!((30..50).all(|number| arrived.contains(&number)), "{arrived:?}");
    let errors = client.stats().errors;
    // Those that the exporter tried meanwhile wait beside the queue.
    assert_eq!(errors.sent, arrived.len() as u64);
    assert_eq!(errors.dropped, [(DiscardReason::QueueOverflow, 50 - errors.sent)]);
}

#[tokio::test]
async fn a_storm_of_errors_while_the_server_is_away_drops_no_check_in() {
    let port = support::closed_port();
    let dsn = format!("http://0123456789abcdef0123456789abcdef@{}/1", port.local_addr().unwrap());
    let client = Client::from(support::to(dsn).queue_items(5).panic_hook(false).traces_sample_rate(0.0).build().unwrap());
    for number in 0..50 {
        report(&client, number.to_string()).await;
        if number % 10 == 0 {
            client.check_in("nightly", Monitor::crontab("@daily")).run(async {}).await;
        }
    }

    let relay = Relay::start_at(port);
    support::settle(&client).await;

    assert_eq!((client.stats().check_ins.sent, client.stats().check_ins.dropped_total()), (10, 0), "two of each run");
    assert_eq!(relay.payloads("check_in").len(), 10);
}

#[test]
fn a_refusal_is_logged_with_the_reason_of_the_server() {
    if let Some(said) = support::said_in_child("outages::a_refusal_is_logged_with_the_reason_of_the_server", &[]) {
        assert!(said.contains("the server answered 403 Forbidden (x-sentry-error: project was deleted); what"), "{said}");
        assert!(said.contains("the server answered 308 Permanent Redirect (location: https://sentry.test/new); what"), "{said}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (code, header) in [(403, ("x-sentry-error", "project was deleted")), (308, ("location", "https://sentry.test/new"))] {
        let relay = Relay::start();
        relay.answer_all(Answer::Status(code, vec![(header.0, header.1.to_owned())]));
        let client = Client::from(support::config(&relay).build().unwrap());
        runtime.block_on(async {
            report(&client, "refused".to_owned()).await;
            support::settle(&client).await;
        });
    }
}

#[tokio::test]
async fn health_says_whether_and_why_nothing_is_delivered() {
    let port = support::closed_port();
    let dsn = format!("http://0123456789abcdef0123456789abcdef@{}/1", port.local_addr().unwrap());
    let client = Client::from(support::to(dsn).panic_hook(false).build().unwrap());
    report(&client, "0".to_owned()).await;
    support::until("the first attempt has failed", || client.health().last_failure.is_some()).await;

    let away = client.health();
    assert!(!away.is_delivering() && away.last_success.is_none() && away.waiting == 1, "{away:?}");
    assert!(away.to_string().contains("the server cannot be reached (Connection refused"), "{away}");

    let relay = Relay::start_at(port);
    client.flush(patience()).await.unwrap();
    assert!(client.health().is_delivering(), "{}", client.health());

    let limits = vec![("x-sentry-rate-limits", "60:transaction:organization".to_owned())];
    relay.answer_next(Answer::Status(200, limits));
    report(&client, "1".to_owned()).await;
    client.flush(patience()).await.unwrap();
    let limited = client.health();
    assert!(limited.is_delivering());
    assert_eq!(limited.rate_limits.iter().map(|(category, _)| *category).collect::<Vec<_>>(), ["transaction"]);

    relay.answer_all(Answer::status(503));
    report(&client, "2".to_owned()).await;
    client.flush(patience()).await.unwrap();
    assert!(client.health().to_string().starts_with("not delivering; last sent at "), "{}", client.health());
    assert!(client.health().to_string().contains("the server answered 503 Service Unavailable"), "{}", client.health());
}

#[tokio::test]
async fn a_name_that_cannot_be_looked_up_is_tried_again() {
    // No name has a label of 64 letters, so no name server is asked.
    let dsn = format!("http://0123456789abcdef0123456789abcdef@{}.test/1", "a".repeat(64));
    let client = Client::from(support::to(dsn).panic_hook(false).build().unwrap());

    report(&client, "0".to_owned()).await;
    support::until("the first attempt has failed", || client.health().last_failure.is_some()).await;

    assert!(!client.health().is_delivering(), "{}", client.health());
    assert_eq!((client.stats().errors.waiting(), client.stats().errors.dropped_total()), (1, 0));
    assert!(client.shutdown(Duration::ZERO).await.is_err());
}

#[tokio::test]
async fn a_server_that_reads_nothing_of_an_upload_is_given_up() {
    use tower_sentry::protocol::Attachment;

    // It accepts connections by its backlog alone.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dsn = format!("http://0123456789abcdef0123456789abcdef@{}/1", listener.local_addr().unwrap());
    let config = support::to(dsn).panic_hook(false).request_timeout(Duration::from_millis(300)).max_attachment_size(20 * 1024 * 1024);
    let config = config.queue_bytes(64 * 1024 * 1024);
    let client = Client::from(config.build().unwrap());
    let work = async {
        // More than the buffers of both sides take, and nothing that gzip makes smaller.
        let bytes: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(16 * 1024 * 1024).collect();
        tower_sentry::Scope::current().add_attachment(Attachment::new("core", bytes));
        tower_sentry::capture_message(Level::Error, "0");
    };

    client.transaction("work").sample_rate(0.0).run(work).await;
    support::until("the attempt has failed", || client.health().last_failure.is_some()).await;

    assert!(!client.health().is_delivering(), "{}", client.health());
    assert!(client.shutdown(Duration::ZERO).await.is_err());
    assert_eq!(client.stats().errors.dropped, [(DiscardReason::NetworkError, 1)]);
}

#[cfg(unix)]
#[test]
fn a_start_without_file_descriptors_recovers() {
    const NAME: &str = "outages::a_start_without_file_descriptors_recovers";
    if !support::is_child() {
        let test = support::again(NAME, &[]);
        let mut limited = std::process::Command::new("sh");
        limited.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""]).arg(test.get_program()).args(test.get_args());
        for (name, value) in test.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        let output = limited.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("the exporter's runtime could not be built"), "{said}");
        return;
    }
    let relay = Relay::start();
    let config = support::config(&relay);
    let files: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
    let sentry = config.init().unwrap();
    tower_sentry::capture_message(Level::Error, "0");
    // Long enough for the first attempt to start; the test holds whatever happens meanwhile.
    std::thread::sleep(Duration::from_millis(150));
    drop(files);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(support::settle(&sentry));

    assert_eq!((sentry.stats().errors.sent, relay.events().len()), (1, 1));
}
