//! Queries that the drivers of databases report to `tracing` when they are over.

use std::time::Duration;

use tower_sentry::test::{Captured, HandClock};
use tower_sentry::{Level, TracingLayer};
use tracing::{debug, error, info, info_span, trace, warn};
use tracing_subscriber::prelude::*;

/// What a transaction records of `work`, which begins two seconds after it.
async fn recorded(work: impl Future<Output = ()>) -> Captured {
    let (client, captured) = tower_sentry::test::client();
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(TracingLayer::new(&client)));
    let clock = HandClock::start();
    let later = async {
        clock.advance(Duration::from_secs(2));
        work.await;
        tower_sentry::capture_message(Level::Info, "done");
    };
    client.transaction("work").run(later).await;
    captured
}

#[tokio::test]
async fn queries_of_drivers_are_spans_at_every_level() {
    let captured = recorded(async {
        debug!(target: "sqlx::query", summary = "SELECT id FROM a", db.statement = "", elapsed_secs = 0.001_f64);
        trace!(target: "sqlx::query", elapsed_secs = 0.002_f64, db.statement = "SELECT id FROM b WHERE c = 7");
        warn!(target: "sqlx::query", elapsed_secs = 1.003_f64, db.statement = "SELECT id FROM d", "slow statement");
        debug!(target: "diesel::query", elapsed_secs = 1.5_f64, db.query.text = %"DELETE FROM e WHERE f = 'canary'", db.system.name = "postgresql");
        info!(target: "diesel::query", elapsed_secs = 0.004_f64, db.query.text = %"SELECT id FROM g");
        debug!(target: "diesel::query::cache", elapsed_secs = 1.0_f64, db.query.text = "SELECT of another module");
        debug!(target: "shop::database", elapsed_secs = 1.0_f64, db.query.text = "SELECT of somebody else, below the level");
        info!(target: "shop::database", elapsed_secs = 0.005_f64, db.query.text = "SELECT id FROM h");
    })
    .await;

    assert_eq!(
        captured.timed_tree(),
        "work [task] ok 2000 ms\n  SELECT id FROM a [db.query] ok 1 ms\n  SELECT id FROM b WHERE c = ? [db.query] ok 2 ms\n  \
         SELECT id FROM d [db.query] ok 1003 ms\n  DELETE FROM e WHERE f = ? [db.query] ok 1500 ms\n  \
         SELECT id FROM g [db.query] ok 4 ms\n  SELECT id FROM h [db.query] ok 5 ms\n"
    );
    let event = &captured.events()[0];
    let crumbs: Vec<_> = event.breadcrumbs.values.iter().map(|crumb| crumb.category.as_deref().unwrap()).collect();
    assert_eq!(crumbs, ["sqlx::query", "diesel::query", "shop::database"], "a breadcrumb from the layer's level on");
    assert!(!captured.envelopes().iter().any(|envelope| String::from_utf8_lossy(envelope).contains("canary")));
}

#[tokio::test]
async fn a_query_without_a_usable_duration_is_not_a_span() {
    let captured = recorded(async {
        debug!(target: "sqlx::query", elapsed_secs = f64::NAN, db.statement = "SELECT 1");
        debug!(target: "sqlx::query", elapsed_secs = f64::INFINITY, db.statement = "SELECT 2");
        debug!(target: "sqlx::query", elapsed_secs = -1.0_f64, db.statement = "SELECT 3");
        debug!(target: "sqlx::query", elapsed_secs = "a while", db.statement = "SELECT 4");
        debug!(target: "sqlx::query", took = 1.0_f64, db.statement = "SELECT 5");
        debug!(target: "sqlx::query", summary = "SELECT 6", elapsed_secs = 1.0_f64);
        debug!(target: "sqlx::query", elapsed_secs = 0.0_f64, db.statement = "SELECT name FROM shelves");
    })
    .await;

    assert_eq!(captured.timed_tree(), "work [task] ok 2000 ms\n  SELECT name FROM shelves [db.query] ok 0 ms\n");
}

#[tokio::test]
async fn a_query_does_not_begin_before_its_transaction() {
    let captured = recorded(async { debug!(target: "sqlx::query", elapsed_secs = 3600.0_f64, db.statement = "SELECT 1") }).await;

    assert_eq!(captured.timed_tree(), "work [task] ok 2000 ms\n  SELECT ? [db.query] ok 2000 ms\n");
}

#[tokio::test]
async fn a_query_is_one_span_below_what_asked_for_it() {
    let captured = recorded(async {
        let query = || debug!(target: "sqlx::query", elapsed_secs = 0.5_f64, db.statement = "SELECT id FROM users");
        info_span!("load").in_scope(query);
        tower_sentry::span("task", "own", async { query() }).await;
        // sea-orm has a span of its own around the query of sqlx.
        info_span!("find", db.statement = "SELECT id FROM users").in_scope(query);
        info_span!("begun", db.statement = tracing::field::Empty).in_scope(query);
    })
    .await;

    assert_eq!(
        captured.tree(),
        "work [task] ok\n  load [function] ok\n    SELECT id FROM users [db.query] ok\n  own [task] ok\n    \
         SELECT id FROM users [db.query] ok\n  SELECT id FROM users [db.query] ok\n  begun [function] ok\n    \
         SELECT id FROM users [db.query] ok\n"
    );
}

#[tokio::test]
async fn a_query_that_fails_is_a_span_and_an_event() {
    let captured = recorded(async {
        let query = || error!(target: "sqlx::query", elapsed_secs = 0.5_f64, db.statement = "SELECT id FROM lost", "no such table");
        info_span!("load").in_scope(query);
    })
    .await;

    assert_eq!(captured.tree(), "work [task] ok\n  load [function] internal_error\n    SELECT id FROM lost [db.query] ok\n");
    let event = &captured.events()[0];
    let message = event.logentry.as_ref().and_then(|entry| entry.message.as_deref());
    assert_eq!((event.logger.as_deref(), message), (Some("sqlx::query"), Some("no such table")));
}
