//! Disks that hang: nothing but what is on them waits.
#![expect(clippy::float_cmp, reason = "what is given comes back")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tower_sentry::protocol::DiscardReason;
use tower_sentry::sampling::Budget;
use tower_sentry::{Client, ConfigBuilder, Level};

use crate::support::{self, Answer, Hang, Relay, patience};

fn dsn_of(port: &tokio::net::TcpSocket) -> String {
    format!("http://0123456789abcdef0123456789abcdef@{}/1", port.local_addr().unwrap())
}

fn client(config: ConfigBuilder, spool_dir: &Path) -> Client {
    Client::from(config.spool_dir(spool_dir).build().unwrap())
}

async fn fail(client: &Client, text: String) {
    let work = async {
        tower_sentry::capture_message(Level::Error, text);
    };
    client.transaction("work").sample_rate(0.0).run(work).await;
}

async fn fail_many(client: &Client, name: &str, count: u64) {
    for number in 0..count {
        fail(client, format!("{name} {number}")).await;
    }
}

/// The messages that arrived.
fn messages(relay: &Relay) -> Vec<String> {
    relay.events().iter().map(|event| event["logentry"]["message"].as_str().unwrap().to_owned()).collect()
}

fn arrived(relay: &Relay, name: &str) -> usize {
    messages(relay).iter().filter(|message| message.starts_with(name)).count()
}

/// The segments of errors, the oldest first.
fn segments(dir: &Path) -> Vec<PathBuf> {
    fn files(dir: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.flat_map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path()] }).collect()
    }
    let mut found = files(dir);
    found.retain(|path| path.extension().is_some_and(|extension| extension == "seg") && path.parent().unwrap().ends_with("e"));
    found.sort();
    found
}

/// A spool with the errors of a process that could not send them.
async fn left_by_another(dir: &Path, dsn: &str, count: u64) {
    let earlier = client(support::to(dsn), dir);
    fail_many(&earlier, "earlier", count).await;
    earlier.shutdown(patience()).await.unwrap();
    assert_eq!(earlier.stats().errors.spooled, count);
}

#[tokio::test]
async fn a_spool_whose_disk_hangs_stops_nothing_and_is_used_again_when_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    let port = support::closed_port();
    let dsn = dsn_of(&port);
    left_by_another(dir.path(), &dsn, 70).await;
    let hang = Hang::of(segments(dir.path()));

    let relay = Relay::start_at(port);
    let later = client(support::to(&dsn), dir.path());
    fail_many(&later, "live", 20).await;
    support::until("what is in memory is sent", || arrived(&relay, "live") == 20).await;
    later.flush(patience()).await.unwrap();
    let (while_it_hangs, is_felt) = (later.stats().errors, hang.is_felt());
    drop(hang);
    support::until("what is on disk is sent", || later.stats().errors.sent == 90).await;

    assert!(is_felt);
    assert_eq!((while_it_hangs.sent, while_it_hangs.captured, while_it_hangs.spooled), (20, 20, 0));
    let all: BTreeSet<_> = messages(&relay).into_iter().collect();
    assert_eq!((all.len(), relay.events().len()), (90, 90), "each arrives once");
    later.shutdown(patience()).await.unwrap();
    assert_eq!(later.stats().errors.dropped_total(), 0);
}

#[tokio::test]
async fn a_disk_that_begins_to_hang_after_an_outage_holds_up_only_what_is_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let port = support::closed_port();
    let client = client(support::to(dsn_of(&port)), dir.path());
    for part in 0..13 {
        fail_many(&client, &format!("earlier {part}"), 10).await;
        client.flush(patience()).await.unwrap();
    }
    assert_eq!(client.stats().errors.spooled, 130);
    let sealed = segments(dir.path());
    let hang = Hang::of(&sealed[..1]);

    let relay = Relay::start_at(port);
    // Until then, what comes is written to other files.
    support::until("the disk hangs", || hang.is_felt()).await;
    fail_many(&client, "live", 20).await;
    support::until("what is in memory is sent", || arrived(&relay, "live") == 20).await;
    let while_it_hangs = client.stats().errors;
    drop(hang);
    support::until("what is on disk is sent", || client.stats().errors.sent == 150).await;

    assert!(while_it_hangs.spooled > 0 && while_it_hangs.dropped_total() == 0, "{while_it_hangs:?}");
    let all: BTreeSet<_> = messages(&relay).into_iter().collect();
    assert_eq!((all.len(), relay.events().len()), (150, 150), "each arrives once");
}

#[tokio::test]
async fn a_shutdown_does_not_wait_longer_for_a_spool_whose_disk_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start();
    let dsn = relay.dsn();
    relay.answer_all(Answer::Held);
    let earlier = client(support::config(&relay).request_timeout(Duration::from_secs(3600)), dir.path());
    fail_many(&earlier, "earlier", 70).await;
    let _ = earlier.shutdown(Duration::from_secs(2)).await;
    assert_eq!(earlier.stats().errors.spooled, 70);
    drop(earlier);
    let hang = Hang::of(segments(dir.path()));
    let later = client(support::to(&dsn).request_timeout(Duration::from_secs(3600)), dir.path());
    fail_many(&later, "live", 5).await;

    let left = later.shutdown(Duration::from_millis(50)).await.unwrap_err().left();

    let errors = later.stats().errors;
    assert_eq!((left, errors.captured), (5, 5), "it hangs still: nothing was found on disk");
    assert_eq!(errors.dropped, [(DiscardReason::NetworkError, 5)]);
    drop(hang);
}

#[tokio::test]
async fn a_budget_file_whose_disk_hangs_stops_nothing_and_counts_when_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("budgets.json");
    let relay = Relay::start();
    let start = || Client::from(support::config(&relay).budget(Budget::errors().per_month(10)).budget_file(&path).build().unwrap());
    let used = || {
        let text = std::fs::read_to_string(&path).ok()?;
        text.split("\"used\":").nth(1)?.split('}').next()?.parse::<u64>().ok()
    };
    let earlier = start();
    fail_many(&earlier, "earlier", 4).await;
    earlier.shutdown(patience()).await.unwrap();
    assert_eq!(used(), Some(4));
    let hang = Hang::of([&path]);

    let later = start();
    fail_many(&later, "live", 3).await;
    support::until("what is allowed is sent", || arrived(&relay, "live") == 3).await;
    later.flush(patience()).await.unwrap();
    drop(hang);
    support::until("both are counted", || used() == Some(7)).await;
    fail_many(&later, "at last", 10).await;
    later.shutdown(patience()).await.unwrap();

    assert_eq!((later.stats().errors.sent, later.stats().errors.over_budget), (6, 7));
}

#[tokio::test]
async fn a_settings_file_whose_disk_hangs_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("settings.json");
    let relay = Relay::start();
    let write = |text: &str| {
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        new
    };
    std::fs::rename(write(r#"{"error_sample_rate": 1.0}"#), &path).unwrap();
    let client = Client::from(support::config(&relay).settings_file(&path).build().unwrap());
    let new = write(r#"{"error_sample_rate": 0.0}"#);
    let hang = Hang::of([&new]);
    std::fs::rename(new, &path).unwrap();

    support::until("the file is opened", || hang.is_felt()).await;
    fail_many(&client, "live", 20).await;
    support::until("what is in memory is sent", || arrived(&relay, "live") == 20).await;
    client.update(|settings| settings.traces_sample_rate = 0.5).unwrap();
    let rates = |client: &Client| [client.live_settings().error_sample_rate, client.live_settings().traces_sample_rate];
    let while_it_hangs = rates(&client);
    drop(hang);
    support::until("the new settings are in force", || rates(&client)[0] == 0.0).await;

    assert_eq!(while_it_hangs, [1.0, 0.5], "nothing waits for the file");
}
