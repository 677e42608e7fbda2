//! Databases tell of their queries themselves: no wrapper of ours is around a connection.
#![allow(clippy::unwrap_used, reason = "test code")]

use tower_sentry::test::Captured;
use tower_sentry::{Client, TracingLayer};
use tracing_subscriber::prelude::*;

fn kit() -> (Client, Captured) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let off = tower_sentry::Config::builder().build().unwrap();
        tracing_subscriber::registry().with(TracingLayer::new(off)).init();
    });
    tower_sentry::test::client()
}

/// Attributes of the query that begins so.
fn attribute(captured: &Captured, query: &str, name: &str) -> serde_json::Value {
    let transactions = captured.transactions();
    let span = transactions[0].spans.iter().find(|span| span.description.as_deref().is_some_and(|text| text.starts_with(query)));
    span.unwrap_or_else(|| panic!("no {query} in\n{}", captured.tree())).data.get(name).cloned().unwrap_or_default()
}

#[tokio::test]
async fn sqlx_reports_its_queries() {
    use sqlx::ConnectOptions as _;

    let (client, captured) = kit();
    #[tracing::instrument(skip_all)]
    async fn load(connection: &mut sqlx::SqliteConnection) -> Result<(), sqlx::Error> {
        let rows = sqlx::query("SELECT * FROM users WHERE name = 'canary' OR id = ?1").bind(42).fetch_all(connection).await?;
        assert_eq!(rows.len(), 1);
        Ok(())
    }
    // SQLite's queries run on a thread of their own, to which sqlx carries the current span.
    #[tracing::instrument(skip_all)]
    async fn fill(connection: &mut sqlx::SqliteConnection) -> Result<(), sqlx::Error> {
        sqlx::query("CREATE TABLE users (id INTEGER, name TEXT)").execute(&mut *connection).await?;
        sqlx::query("INSERT INTO users VALUES (42, 'canary')").execute(&mut *connection).await.map(drop)
    }
    let work = async {
        let mut connection = sqlx::sqlite::SqliteConnectOptions::new().in_memory(true).connect().await?;
        fill(&mut connection).await?;
        load(&mut connection).await
    };

    client.transaction("work").run(work).await.unwrap();

    let tree = captured.tree();
    assert!(tree.contains("  fill [function] ok\n    CREATE TABLE users (id INTEGER, name TEXT) [db.query] ok\n    INSERT INTO users VALUES (?) [db.query] ok\n"), "{tree}");
    assert!(tree.contains("  load [function] ok\n    SELECT * FROM users WHERE name = ? OR id = ?1 [db.query] ok\n"), "{tree}");
    assert_eq!(attribute(&captured, "SELECT", "rows_returned"), 1);
    assert_eq!(attribute(&captured, "INSERT", "db.query.text"), "INSERT INTO users VALUES (?)");
    assert!(!captured.envelopes().iter().any(|envelope| String::from_utf8_lossy(envelope).contains("canary")));
}

#[tokio::test]
async fn sea_orm_reports_each_query_once() {
    use sea_orm::{ConnectionTrait as _, Database, DbBackend, Statement};

    let (client, captured) = kit();
    let work = async {
        let database = Database::connect("sqlite::memory:").await?;
        database.execute_unprepared("CREATE TABLE cakes (id INTEGER, name TEXT)").await?;
        let query = Statement::from_sql_and_values(DbBackend::Sqlite, "SELECT * FROM cakes WHERE name = ? AND id = 7", ["canary".into()]);
        database.query_all_raw(query).await.map(drop)
    };

    client.transaction("work").run(work).await.unwrap();

    let tree = captured.tree();
    assert_eq!(tree.matches("SELECT * FROM cakes WHERE name = ? AND id = ? [db.query] ok").count(), 1, "{tree}");
    // It does not say what it was: it may hold values, and sea-orm tells of no text then.
    assert!(tree.contains("  sea_orm.execute_unprepared [db.query] ok\n"), "{tree}");
    assert!(!captured.envelopes().iter().any(|envelope| String::from_utf8_lossy(envelope).contains("canary")));
}

/// What a service with diesel writes once: diesel has a seam for this, and no crate of its own that tells `tracing`.
fn tell_tracing() -> Option<Box<dyn diesel::connection::Instrumentation>> {
    use diesel::connection::InstrumentationEvent;

    let mut begun = std::time::Instant::now();
    Some(Box::new(move |event: InstrumentationEvent<'_>| match event {
        InstrumentationEvent::StartQuery { .. } => begun = std::time::Instant::now(),
        InstrumentationEvent::FinishQuery { query, .. } => {
            let elapsed_secs = begun.elapsed().as_secs_f64();
            tracing::debug!(target: "diesel::query", elapsed_secs, db.query.text = %query, db.system.name = "sqlite");
        }
        _ => {}
    }))
}

#[tokio::test]
async fn diesel_reports_queries_through_its_own_instrumentation() {
    use diesel::{Connection as _, RunQueryDsl as _};

    let (client, captured) = kit();
    diesel::connection::set_default_instrumentation(tell_tracing).unwrap();
    let work = async {
        let mut connection = diesel::SqliteConnection::establish(":memory:").unwrap();
        diesel::sql_query("CREATE TABLE shelves (id INTEGER, name TEXT)").execute(&mut connection)?;
        let insert = diesel::sql_query("INSERT INTO shelves VALUES (?, ?)");
        let insert = insert.bind::<diesel::sql_types::Integer, _>(42).bind::<diesel::sql_types::Text, _>("canary");
        insert.execute(&mut connection).map(drop)
    };

    let done: Result<(), diesel::result::Error> = client.transaction("work").run(work).await;

    done.unwrap();
    let tree = captured.tree();
    assert!(tree.contains("  INSERT INTO shelves VALUES (?) [db.query] ok\n"), "{tree}");
    assert_eq!(attribute(&captured, "INSERT", "db.system.name"), "sqlite");
    assert!(!captured.envelopes().iter().any(|envelope| String::from_utf8_lossy(envelope).contains("canary")));
}
