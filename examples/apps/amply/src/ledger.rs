//! The ledger of donations, in SQLite. Each query is a span.

use sqlx::sqlite::{SqlitePoolOptions, SqliteRow};
use sqlx::{Row as _, SqlitePool};
use tracing::instrument;

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: i64,
    /// A decimal number as text: a float would round it.
    pub amount: String,
    pub currency: String,
    pub charge: String,
}

#[derive(Clone)]
pub struct Ledger {
    pool: SqlitePool,
}

// sqlx reports each query to `tracing`, on its own thread. `#[instrument]` is what ties it to the request.
impl Ledger {
    pub async fn open() -> Result<Self, sqlx::Error> {
        // The database is in memory, and ends with its only connection.
        let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None).connect("sqlite::memory:").await?;
        sqlx::query(
            "CREATE TABLE entries (id INTEGER PRIMARY KEY, organisation_id INTEGER NOT NULL, amount TEXT NOT NULL, currency TEXT NOT NULL, \
             charge TEXT NOT NULL, is_settled INTEGER NOT NULL DEFAULT 0, is_in_checkpoint INTEGER NOT NULL DEFAULT 0)",
        )
        .execute(&pool)
        .await?;
        Ok(Self { pool })
    }

    #[instrument(skip_all)]
    pub async fn add(&self, organisation_id: u32, amount: &str, currency: &str, charge: &str) -> Result<i64, sqlx::Error> {
        let added = sqlx::query("INSERT INTO entries (organisation_id, amount, currency, charge) VALUES (?, ?, ?, ?)")
            .bind(organisation_id)
            .bind(amount)
            .bind(currency)
            .bind(charge)
            .execute(&self.pool)
            .await?;
        Ok(added.last_insert_rowid())
    }

    #[instrument(skip_all)]
    pub async fn settle(&self, charge: &str) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE entries SET is_settled = 1 WHERE charge = ?").bind(charge).execute(&self.pool).await?;
        Ok(())
    }

    #[instrument(skip_all)]
    pub async fn since_last_checkpoint(&self) -> Result<Vec<Entry>, sqlx::Error> {
        let query = sqlx::query("SELECT id, amount, currency, charge FROM entries WHERE is_in_checkpoint = 0 ORDER BY id");
        let rows = query.fetch_all(&self.pool).await?;
        let read = |row: &SqliteRow| {
            Ok(Entry { id: row.try_get(0)?, amount: row.try_get(1)?, currency: row.try_get(2)?, charge: row.try_get(3)? })
        };
        rows.iter().map(read).collect()
    }

    /// Notes that a checkpoint holds the entries up to this one.
    #[instrument(skip_all)]
    pub async fn close(&self, last: i64) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE entries SET is_in_checkpoint = 1 WHERE id <= ?").bind(last).execute(&self.pool).await?;
        Ok(())
    }
}
