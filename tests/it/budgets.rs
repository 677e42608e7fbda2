//! What uses up a budget, what does not, and where its counts are kept.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tower_sentry::protocol::{Attachment, DiscardReason};
use tower_sentry::sampling::{Budget, BudgetKind, BudgetLevel};
use tower_sentry::test::{HandClock, client_with};
use tower_sentry::{Client, Config, ConfigBuilder, Level, Scope};

use crate::support::{self, patience, said_in_child};

/// Fails in one place, with another text each time.
fn fail(number: u32) {
    tower_sentry::capture_message(Level::Error, format!("order {number} failed"));
}

/// Work of which no transaction is sent.
async fn run(client: &Client, work: impl Future<Output = ()>) {
    client.transaction("import").sample_rate(0.0).run_infallible(work).await;
}

/// How many of 100 errors are sent, and how many are over the budget. The process ends.
async fn sent(config: ConfigBuilder) -> (u64, u64) {
    let (client, _) = client_with(config);
    run(&client, async { (0..100).for_each(fail) }).await;
    support::settle(&client).await;
    let errors = client.stats().errors;
    (errors.sent, errors.over_budget)
}

fn kept(path: &Path) -> ConfigBuilder {
    Config::builder().budget(Budget::errors().per_day(60)).budget_file(path)
}

#[tokio::test]
async fn each_kind_has_its_own_budget_and_the_rest_has_none() {
    let (client, captured) = client_with(
        Config::builder()
            .traces_sample_rate(1.0)
            .budget(Budget::errors().per_day(1))
            .budget(Budget::transactions().per_day(7))
            .budget(Budget::transactions().per_day(2)),
    );
    let _clock = HandClock::start();

    for number in 0..5 {
        let work = async {
            Scope::current().add_attachment(Attachment::new("note.txt", "four".to_owned()));
            fail(number);
            tower_sentry::span("task", "step", async {}).await;
        };
        client.transaction("work").run_infallible(work).await;
    }
    support::settle(&client).await;

    let stats = client.stats();
    assert_eq!((captured.events().len(), captured.transactions().len()), (1, 2));
    assert_eq!((stats.errors.sent, stats.errors.over_budget, stats.transactions.sent, stats.transactions.over_budget), (1, 4, 2, 3));
    assert_eq!(stats.spans.dropped, [(DiscardReason::Backpressure, 6)]);
    assert_eq!((stats.attachment_bytes.sent, stats.attachment_bytes.dropped), (4, vec![(DiscardReason::Backpressure, 16)]));
    assert_eq!((stats.spans.over_budget, stats.attachment_bytes.over_budget), (0, 0));
}

#[tokio::test]
async fn what_the_flood_guard_leaves_out_uses_up_nothing_and_its_summary_uses_up_one() {
    let (client, captured) = client_with(Config::builder().max_events_per_issue(2).budget(Budget::errors().per_day(5)));
    let _clock = HandClock::start();

    run(&client, async { (0..100).for_each(fail) }).await;
    client.flush(patience()).await.unwrap();
    for text in ["first", "second", "third"] {
        run(&client, async { _ = tower_sentry::capture_message(Level::Error, text) }).await;
    }
    support::settle(&client).await;

    assert_eq!((captured.events().len(), client.stats().errors.over_budget), (5, 1));
}

#[derive(Debug)]
struct OrderError;

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the order could not be placed")
    }
}

impl std::error::Error for OrderError {}

#[tokio::test]
async fn what_is_merged_or_not_sampled_or_dropped_by_a_hook_uses_up_nothing() {
    let hook = |event: tower_sentry::protocol::Event| {
        let text = event.logentry.as_ref().and_then(|entry| entry.message.clone()).unwrap_or_default();
        (!text.starts_with("order")).then_some(event)
    };
    let (client, captured) = client_with(Config::builder().before_send(hook).budget(Budget::errors().per_day(5)));
    let _clock = HandClock::start();

    for number in 0..20 {
        run(&client, async { fail(number) }).await;
        client.flush(patience()).await.unwrap();
    }
    for _ in 0..3 {
        let work = async {
            tracing::error!(error = &OrderError as &dyn std::error::Error, "refused");
            tower_sentry::capture_error(&OrderError);
        };
        support::subscribe();
        run(&client, work).await;
    }
    for text in ["first", "second", "third"] {
        run(&client, async { _ = tower_sentry::capture_message(Level::Error, text) }).await;
    }
    support::settle(&client).await;

    let stats = client.stats();
    assert_eq!((stats.merged_reports, captured.events().len(), stats.errors.over_budget), (3, 5, 1));
    assert_eq!(stats.errors.dropped, [(DiscardReason::Backpressure, 1), (DiscardReason::BeforeSend, 20)]);

    let config = Config::builder().error_sample_rate(0.0).budget(Budget::errors().per_day(1));
    assert_eq!(sent(config).await, (0, 0));
}

#[tokio::test]
async fn what_a_full_queue_drops_is_given_back() {
    let (client, _) = client_with(Config::builder().queue_items(0).budget(Budget::errors().per_day(5)));
    let _clock = HandClock::start();

    run(&client, async { (0..100).for_each(fail) }).await;
    support::settle(&client).await;

    assert_eq!(client.stats().errors.dropped, [(DiscardReason::QueueOverflow, 100)]);
}

#[tokio::test]
async fn a_file_keeps_the_count_and_without_it_the_count_begins_at_zero() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("budgets.json");
    let _clock = HandClock::start();

    assert_eq!(sent(kept(&path)).await, (60, 40));
    assert_eq!(sent(kept(&path)).await, (0, 100));
    assert_eq!(sent(kept(&path).budget(Budget::errors().per_day(75))).await, (15, 85), "a larger plan goes on");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(sent(kept(&path)).await, (60, 40));
}

#[tokio::test]
async fn a_torn_file_stops_nothing_and_is_whole_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("budgets.json");
    let _clock = HandClock::start();
    sent(kept(&path)).await;
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();

    assert_eq!(sent(kept(&path)).await, (60, 40));
    assert_eq!(sent(kept(&path)).await, (0, 100));
}

#[tokio::test]
async fn the_file_is_written_before_ten_seconds_are_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("budgets.json");
    let (client, _) = client_with(kept(&path));

    run(&client, async { fail(0) }).await;

    // The first count at once: a process that crashes at each start must not begin at zero each time.
    support::until("the file is there", || std::fs::read_to_string(&path).is_ok_and(|text| text.contains("\"used\":1"))).await;
    support::settle(&client).await;
}

#[tokio::test]
async fn a_hook_may_panic_and_what_it_captures_is_dropped() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    let (client, captured) = client_with(Config::builder().budget(Budget::errors().per_day(2).soft_mark(0.5)).on_budget(move |mark| {
        seen.fetch_add(1, Ordering::Relaxed);
        assert!(mark.level != BudgetLevel::Hard, "it is used up");
    }));
    let _clock = HandClock::start();

    run(&client, async { (0..10).for_each(fail) }).await;
    client.flush(patience()).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2, "before a flush returns");
    client.transaction("later").sample_rate(1.0).run_infallible(async {}).await;
    support::settle(&client).await;

    assert_eq!((captured.events().len(), captured.transactions().len(), calls.load(Ordering::Relaxed)), (2, 1, 2));
}

#[test]
fn each_mark_is_one_warning_and_the_limit_per_second_one_a_minute() {
    let Some(said) = said_in_child("budgets::each_mark_is_one_warning_and_the_limit_per_second_one_a_minute", &[]) else {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let marks = Arc::clone(&seen);
        let (client, _) = client_with(
            Config::builder()
                .traces_sample_rate(1.0)
                .budget(Budget::errors().per_day(100))
                .budget(Budget::transactions().per_second(3))
                .on_budget(move |mark| marks.lock().unwrap().push(mark.kind)),
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let clock = HandClock::start();
        for number in 0..200 {
            runtime.block_on(client.transaction("work").run_infallible(async { fail(number) }));
            clock.advance(Duration::from_millis(100));
        }
        runtime.block_on(support::settle(&client));
        assert_eq!(*seen.lock().unwrap(), [BudgetKind::Errors; 2]);
        return;
    };
    for (line, times) in [("80 % of the budget of 100 errors a day", 1), ("is used up", 1), ("more than 3 transactions a second", 1)] {
        assert_eq!(said.matches(line).count(), times, "{line}: {said}");
    }
}

#[test]
fn settings_that_cannot_be_meant_are_errors() {
    for share in [0.0, -0.1, 1.1, f64::NAN] {
        let error = Config::builder().budget(Budget::errors().per_day(1).soft_mark(share)).build().unwrap_err();
        assert!(error.to_string().starts_with("budget: expected a soft mark above 0.0 and at most 1.0, found"), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let error = Config::builder().budget_file(folder.path()).build().unwrap_err();
    assert!(error.to_string().starts_with("budget_file: expected a file, found something else at"), "{error}");
    assert!(Config::builder().budget(Budget::errors().soft_mark(1.0)).build().is_ok());
}
