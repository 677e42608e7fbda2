//! The spool: what was not sent before a process ended or an outage began arrives later, once.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tower_sentry::protocol::{DiscardReason, Monitor, TraceLifecycle};
use tower_sentry::{Client, ConfigBuilder, Level, Stats};

use crate::support::{self, Answer, Relay, again, is_child, patience};

fn dsn_of(port: &tokio::net::TcpSocket) -> String {
    format!("http://0123456789abcdef0123456789abcdef@{}/1", port.local_addr().unwrap())
}

fn client(config: ConfigBuilder, spool_dir: &Path) -> Client {
    Client::from(config.spool_dir(spool_dir).build().unwrap())
}

/// Captures a message and a transaction.
async fn work(client: &Client, text: String) {
    let work = async {
        tower_sentry::capture_message(Level::Error, text);
    };
    client.transaction("work").sample_rate(1.0).run(work).await;
}

/// The messages that arrived.
fn messages(relay: &Relay) -> Vec<String> {
    relay.events().iter().map(|event| event["logentry"]["message"].as_str().unwrap().to_owned()).collect()
}

/// Waits until nothing is left in memory or on disk.
async fn drain(client: &Client) {
    let is_empty = |stats: Stats| stats.spooled() + stats.waiting() == 0;
    support::until("the spool is empty", || is_empty(client.stats())).await;
}

/// Waits until a client has found the errors of an earlier one, whose thread may still end.
async fn adopt(client: &Client, errors: u64) {
    support::until("the dead run is found", || client.stats().errors.captured == errors).await;
}

/// Waits until all runs have removed their folders.
async fn nothing_is_left(dir: &Path) {
    let folders = || std::fs::read_dir(dir.join("v1")).unwrap().flatten().flat_map(|dsn| std::fs::read_dir(dsn.path())).flatten().count();
    support::until("nothing is left", || folders() == 0).await;
}

/// Everything that was captured has an outcome, or is on disk.
fn assert_accounted(client: &Client) {
    for (category, counts) in support::categories(&client.stats()) {
        assert_eq!(counts.captured, counts.sent + counts.spooled + counts.dropped_total(), "{category}: {counts:?}");
    }
}

#[tokio::test]
async fn an_outage_loses_nothing_however_small_the_queue_is() {
    let dir = tempfile::tempdir().unwrap();
    let port = support::closed_port();
    let client = client(support::to(dsn_of(&port)).queue_items(20), dir.path());
    for number in 0..300 {
        work(&client, number.to_string()).await;
        if number % 10 == 9 {
            // Ok, because all of it is on disk.
            client.flush(patience()).await.unwrap();
        }
    }
    client.check_in("nightly", Monitor::crontab("@daily")).run(async {}).await;
    client.flush(patience()).await.unwrap();
    let stats = client.stats();
    assert_eq!((stats.errors.spooled, stats.transactions.spooled, stats.waiting()), (300, 300, 0));

    let relay = Relay::start_at(port);
    drain(&client).await;

    let arrived: BTreeSet<String> = messages(&relay).into_iter().collect();
    assert_eq!((arrived.len(), relay.events().len(), relay.transactions().len()), (300, 300, 300));
    assert_eq!(client.stats().errors.sent, 300);
    assert_accounted(&client);
}

#[tokio::test]
async fn what_a_process_could_not_send_is_sent_by_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let port = support::closed_port();
    let dsn = dsn_of(&port);
    let earlier = client(support::to(&dsn), dir.path());
    for number in 0..100 {
        work(&earlier, number.to_string()).await;
    }
    earlier.shutdown(patience()).await.unwrap();
    assert_eq!((earlier.stats().errors.spooled, earlier.stats().errors.dropped_total()), (100, 0));
    drop(earlier);

    let relay = Relay::start_at(port);
    let later = client(support::to(&dsn), dir.path());
    adopt(&later, 100).await;
    drain(&later).await;

    let (stats, arrived) = (later.stats(), messages(&relay).into_iter().collect::<BTreeSet<_>>());
    assert_eq!((arrived.len(), relay.transactions().len()), (100, 100));
    assert_eq!((stats.errors.captured, stats.errors.sent), (100, 100), "they count here too");
    later.shutdown(patience()).await.unwrap();
    let folders =
        || std::fs::read_dir(dir.path().join("v1")).unwrap().flatten().flat_map(|dsn| std::fs::read_dir(dsn.path())).flatten().count();
    support::until("nothing is left", || folders() == 0).await;
}

#[tokio::test]
async fn streamed_spans_wait_on_disk_like_transactions() {
    let dir = tempfile::tempdir().unwrap();
    let port = support::closed_port();
    let dsn = dsn_of(&port);
    let config = || support::to(&dsn).trace_lifecycle(TraceLifecycle::Stream);
    let earlier = client(config(), dir.path());
    for number in 0..30 {
        let work = tower_sentry::span("task", number.to_string(), async {});
        earlier.transaction("work").sample_rate(1.0).run_infallible(work).await;
    }
    earlier.shutdown(patience()).await.unwrap();
    let stats = earlier.stats();
    assert_eq!((stats.spans.captured, stats.spans.spooled, stats.spans.dropped_total()), (60, 60, 0));
    drop(earlier);

    let relay = Relay::start_at(port);
    let later = client(config(), dir.path());
    support::until("the dead run is found", || later.stats().spans.captured == 60).await;
    drain(&later).await;

    let items: Vec<_> =
        relay.received().iter().flat_map(|received| received.items().1).filter(|(item, _)| item["type"] == "span").collect();
    let names: Vec<_> = items.iter().flat_map(|(_, container)| container["items"].as_array().unwrap()).map(|span| &span["name"]).collect();
    let numbers: BTreeSet<_> = names.iter().filter_map(|name| name.as_str().unwrap().parse::<u32>().ok()).collect();
    assert_eq!((names.len(), numbers.len(), names.iter().filter(|name| **name == "work").count()), (60, 30, 30));
    assert_eq!((later.stats().spans.sent, later.stats().transactions.captured), (60, 0));
    assert_accounted(&later);
}

#[tokio::test]
async fn a_shutdown_puts_on_disk_what_a_server_that_hangs_does_not_take() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start();
    relay.answer_all(Answer::Held);
    let earlier = client(support::config(&relay).request_timeout(Duration::from_secs(3600)), dir.path());
    for number in 0..200 {
        work(&earlier, number.to_string()).await;
    }

    let shutdown = earlier.shutdown(Duration::from_secs(2)).await;

    assert!(shutdown.is_ok(), "nothing is lost: {shutdown:?}");
    assert_eq!((earlier.stats().errors.spooled, earlier.stats().transactions.spooled), (200, 200));
    relay.release();
    relay.answer_all(Answer::status(200));
    drop(earlier);
    let later = client(support::config(&relay), dir.path());
    adopt(&later, 200).await;
    drain(&later).await;
    let arrived: BTreeSet<String> = messages(&relay).into_iter().collect();
    assert_eq!((arrived.len(), later.stats().errors.sent, later.stats().transactions.sent), (200, 200, 200));
}

#[tokio::test]
async fn a_full_spool_drops_transactions_before_errors_and_counts_them() {
    let dir = tempfile::tempdir().unwrap();
    let port = support::closed_port();
    let client = client(support::to(dsn_of(&port)).spool_max_bytes(128 * 1024), dir.path());
    for number in 1..=250 {
        work(&client, number.to_string()).await;
        // A transaction without a place waits in memory, but an error always has one.
        support::until("the error is on disk", || client.stats().errors.spooled + client.stats().errors.dropped_total() == number).await;
    }

    // The last transaction waits in memory, because only errors are left on disk.
    let _ = client.shutdown(Duration::from_millis(200)).await;
    let stats = client.stats();
    assert_eq!(stats.errors.spooled + stats.errors.dropped_total(), 250);
    assert!(stats.transactions.dropped_total() > stats.errors.dropped_total() && stats.errors.spooled > 0, "{stats:?}");
    let dropped = stats.transactions.dropped.iter().filter(|(reason, _)| *reason != DiscardReason::NetworkError);
    assert!(dropped.clone().all(|(reason, _)| *reason == DiscardReason::CacheOverflow) && dropped.count() == 1, "{stats:?}");
    assert_accounted(&client);
}

#[tokio::test]
async fn without_a_disk_events_are_sent_as_without_a_spool() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let relay = Relay::start();
    let client = client(support::config(&relay), &file.join("below"));

    work(&client, "0".to_owned()).await;
    support::settle(&client).await;

    assert_eq!((messages(&relay), client.stats().spooled()), (vec!["0".to_owned()], 0));
}

#[tokio::test]
async fn an_envelope_that_the_server_refuses_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start();
    relay.answer_all(Answer::status(400));
    let earlier = client(support::config(&relay), dir.path());
    work(&earlier, "0".to_owned()).await;
    support::settle(&earlier).await;
    assert_eq!((earlier.stats().errors.dropped_total(), earlier.stats().spooled()), (1, 0));
    earlier.shutdown(patience()).await.unwrap();
    drop(earlier);

    relay.answer_all(Answer::status(200));
    let before = relay.received().len();
    let later = client(support::config(&relay), dir.path());
    later.flush(patience()).await.unwrap();

    assert_eq!((later.stats().errors.captured, relay.received().len()), (0, before));
}

#[tokio::test]
async fn an_envelope_that_is_dropped_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let panics = |_: &[u8]| panic!("the transport of the user");
    let client = client(tower_sentry::Config::builder().transport(panics).panic_hook(false), dir.path());

    work(&client, "0".to_owned()).await;
    client.shutdown(patience()).await.unwrap();

    assert_eq!((client.stats().errors.dropped_total(), client.stats().spooled()), (1, 0));
    nothing_is_left(dir.path()).await;
}

#[tokio::test]
async fn the_spool_holds_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let port = support::closed_port();
    let client = client(support::to(dsn_of(&port)), dir.path());
    work(&client, "password=hunter2-and-more, plain-words".to_owned()).await;
    client.shutdown(patience()).await.unwrap();

    let mut written = String::new();
    let mut folders = vec![dir.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            written += &path.display().to_string();
            if path.is_dir() { folders.push(path) } else { written += &String::from_utf8_lossy(&std::fs::read(path).unwrap()) }
        }
    }
    assert!(written.contains("plain-words") && written.contains("[Filtered]"));
    assert!(!written.contains("hunter2"), "{written}");
}

/// Captures errors, and prints the number of each that is sent or on disk, until it is killed.
async fn be_killed() {
    let client = Client::from(support::to(std::env::var("TARGET").unwrap()).spool_dir(std::env::var("DIR").unwrap()).build().unwrap());
    let first: u64 = std::env::var("FIRST").unwrap().parse().unwrap();
    for number in first.. {
        work(&client, number.to_string()).await;
        client.flush(patience()).await.unwrap();
        #[expect(clippy::print_stdout, reason = "the parent reads it")]
        {
            println!("acknowledged {number}");
        }
    }
}

/// `TOWER_SENTRY_KILLS` sets how many processes are killed.
#[tokio::test]
async fn kill_9_loses_nothing_that_a_flush_acknowledged() {
    const NAME: &str = "spool::kill_9_loses_nothing_that_a_flush_acknowledged";
    if is_child() {
        return be_killed().await;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = support::closed_port();
    let dsn = dsn_of(&port);
    let kills: u64 = std::env::var("TOWER_SENTRY_KILLS").map_or(4, |kills| kills.parse().unwrap());
    let mut acknowledged = BTreeSet::new();
    for kill in 0..kills {
        let first = (kill * 1_000_000).to_string();
        let variables = [("TARGET", dsn.clone()), ("DIR", dir.path().display().to_string()), ("FIRST", first)];
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut child = again(NAME, &variables).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let lines = lines.filter_map(|line| line.strip_prefix("acknowledged ").map(str::to_owned));
        acknowledged.extend(lines.take(usize::try_from(kill % 7 * 5 + 1).unwrap()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    let relay = Relay::start_at(port);
    let later = client(support::to(dsn), dir.path());
    // The first flush comes after the look for dead processes.
    later.flush(patience()).await.unwrap();
    drain(&later).await;

    let arrived: BTreeSet<String> = messages(&relay).into_iter().collect();
    let lost: Vec<_> = acknowledged.difference(&arrived).collect();
    assert!(lost.is_empty() && acknowledged.len() as u64 >= kills, "lost {lost:?} of {}", acknowledged.len());
    let twice = messages(&relay).len() - arrived.len();
    writeln!(std::io::stderr(), "{} acknowledged, {} arrived, {twice} twice", acknowledged.len(), arrived.len()).unwrap();
}
