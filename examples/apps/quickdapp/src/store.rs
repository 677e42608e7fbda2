//! The database: a SQLite file, which is also the queue between the server and the worker.
//!
//! Each function is a span, because sqlx runs the queries of SQLite on another thread and takes the
//! current span of `tracing` there.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use tracing::instrument;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS users (wallet TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS nonces (nonce TEXT PRIMARY KEY, made_at INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS sessions (
        token_hash TEXT PRIMARY KEY, wallet TEXT NOT NULL REFERENCES users, made_at INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS tokens (
        id INTEGER PRIMARY KEY, wallet TEXT NOT NULL REFERENCES users, symbol TEXT NOT NULL, contract TEXT, failure TEXT);
    CREATE TABLE IF NOT EXISTS jobs (
        id INTEGER PRIMARY KEY, state TEXT NOT NULL DEFAULT 'queued', attempt INTEGER NOT NULL DEFAULT 0,
        queued_at INTEGER NOT NULL, payload TEXT NOT NULL);";

/// A nonce that is older than this is refused.
const NONCE_LIFETIME: Duration = Duration::from_secs(300);

/// After this time, a user has to sign in again.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// The database. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
}

/// A token of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Token {
    /// What it is called on the chain.
    pub symbol: String,
    /// The address of its contract, once it is deployed.
    pub contract: Option<String>,
    /// Why it will not be deployed.
    pub failure: Option<String>,
}

/// What the server writes into the queue: which token to deploy for whom, and the trace that it is a part of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Payload {
    /// The row of the token.
    pub token: i64,
    /// Whose token it is.
    pub wallet: String,
    /// The trace of the request.
    pub headers: HashMap<String, String>,
}

/// A job that was taken from the queue.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its row.
    pub id: i64,
    /// The number of this attempt, counted from 1.
    pub attempt: u32,
    /// How long it was in the queue.
    pub waited: Duration,
    /// What the server wrote.
    pub payload: Payload,
}

/// A row that was taken from the queue.
#[derive(Debug)]
pub enum Taken {
    /// A job to do.
    Job(Job),
    /// The row cannot be read. It has to be marked as failed, so that it is not tried again.
    Unreadable {
        /// The row.
        id: i64,
        /// What is wrong with it.
        error: sqlx::Error,
    },
}

/// A job without an answer: the worker was killed during its last attempt.
#[derive(Clone, Debug)]
pub struct Abandoned {
    /// Its row.
    pub id: i64,
    /// What the server wrote. None if it cannot be read.
    pub payload: Option<Payload>,
}

/// What becomes of a job after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It was done.
    Done,
    /// It failed, and is not tried again.
    Failed,
    /// It is tried again.
    Queued,
}

impl Store {
    /// Opens a database, and creates it if it does not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or written.
    pub async fn open(path: &Path) -> sqlx::Result<Self> {
        // The server and the worker write to one file, so each waits for the other.
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true).busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        sqlx::raw_sql(SCHEMA).execute(&pool).await?;
        Ok(Self { pool })
    }

    /// Keeps a nonce until it is used or too old. Removes those that are too old.
    #[instrument(name = "db.addNonce", skip_all, fields(sentry.op = "db"))]
    pub async fn add_nonce(&self, nonce: &str) -> sqlx::Result<()> {
        sqlx::query("DELETE FROM nonces WHERE made_at <= ?").bind(before(NONCE_LIFETIME)).execute(&self.pool).await?;
        sqlx::query("INSERT INTO nonces (nonce, made_at) VALUES (?, ?)").bind(nonce).bind(now()).execute(&self.pool).await.map(drop)
    }

    /// Uses up a nonce. Returns whether it was there and young enough.
    #[instrument(name = "db.useNonce", skip_all, fields(sentry.op = "db"))]
    pub async fn use_nonce(&self, nonce: &str) -> sqlx::Result<bool> {
        let made_at: Option<i64> =
            sqlx::query_scalar("DELETE FROM nonces WHERE nonce = ? RETURNING made_at").bind(nonce).fetch_optional(&self.pool).await?;
        Ok(made_at.is_some_and(|made_at| since(made_at) < NONCE_LIFETIME))
    }

    /// Adds a session of a user, and the user if there is none of this wallet. Removes sessions that are too old.
    #[instrument(name = "db.addSession", skip_all, fields(sentry.op = "db"))]
    pub async fn add_session(&self, token_hash: &str, wallet: &str) -> sqlx::Result<()> {
        sqlx::query("DELETE FROM sessions WHERE made_at <= ?").bind(before(SESSION_LIFETIME)).execute(&self.pool).await?;
        sqlx::query("INSERT OR IGNORE INTO users (wallet) VALUES (?)").bind(wallet).execute(&self.pool).await?;
        let session = sqlx::query("INSERT INTO sessions (token_hash, wallet, made_at) VALUES (?, ?, ?)");
        session.bind(token_hash).bind(wallet).bind(now()).execute(&self.pool).await.map(drop)
    }

    /// Removes a session.
    #[instrument(name = "db.endSession", skip_all, fields(sentry.op = "db"))]
    pub async fn end_session(&self, token_hash: &str) -> sqlx::Result<()> {
        sqlx::query("DELETE FROM sessions WHERE token_hash = ?").bind(token_hash).execute(&self.pool).await.map(drop)
    }

    /// Returns the wallet of the user who is signed in.
    #[instrument(name = "db.getUser", skip_all, fields(sentry.op = "db"))]
    pub async fn user(&self, token_hash: &str) -> sqlx::Result<Option<String>> {
        let wallet = sqlx::query_scalar("SELECT wallet FROM sessions WHERE token_hash = ? AND made_at > ?");
        wallet.bind(token_hash).bind(before(SESSION_LIFETIME)).fetch_optional(&self.pool).await
    }

    /// Adds a token that is not deployed yet, and returns its id.
    #[instrument(name = "db.addToken", skip_all, fields(sentry.op = "db"))]
    pub async fn add_token(&self, wallet: &str, symbol: &str) -> sqlx::Result<i64> {
        let token = sqlx::query_scalar("INSERT INTO tokens (wallet, symbol) VALUES (?, ?) RETURNING id").bind(wallet).bind(symbol);
        token.fetch_one(&self.pool).await
    }

    /// Returns a token of a user.
    #[instrument(name = "db.getToken", skip_all, fields(sentry.op = "db"))]
    pub async fn token(&self, id: i64, wallet: &str) -> sqlx::Result<Option<Token>> {
        let token = sqlx::query_as("SELECT symbol, contract, failure FROM tokens WHERE id = ? AND wallet = ?").bind(id).bind(wallet);
        let row: Option<(String, Option<String>, Option<String>)> = token.fetch_optional(&self.pool).await?;
        Ok(row.map(|(symbol, contract, failure)| Token { symbol, contract, failure }))
    }

    /// Notes how the deployment of a token ended: with its contract, or with a failure.
    #[instrument(name = "db.endToken", skip_all, fields(sentry.op = "db"))]
    pub async fn end_token(&self, id: i64, end: Result<&str, &str>) -> sqlx::Result<()> {
        let token = sqlx::query("UPDATE tokens SET contract = ?, failure = ? WHERE id = ?").bind(end.ok()).bind(end.err()).bind(id);
        token.execute(&self.pool).await.map(drop)
    }

    /// Writes a job into the queue, and returns its id.
    #[instrument(name = "db.addJob", skip_all, fields(sentry.op = "db"))]
    pub async fn add_job(&self, payload: &Payload) -> sqlx::Result<i64> {
        let payload = serde_json::to_string(payload).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let job = sqlx::query_scalar("INSERT INTO jobs (queued_at, payload) VALUES (?, ?) RETURNING id").bind(now()).bind(payload);
        job.fetch_one(&self.pool).await
    }

    /// Takes the oldest job from the queue.
    ///
    /// This is no span: the worker asks all the time, outside any job.
    pub async fn take_job(&self) -> sqlx::Result<Option<Taken>> {
        let oldest = "UPDATE jobs SET state = 'running', attempt = attempt + 1
            WHERE id = (SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT 1) RETURNING id, attempt, queued_at, payload";
        let Some(row) = sqlx::query(oldest).fetch_optional(&self.pool).await? else { return Ok(None) };
        let id = row.try_get("id")?;
        Ok(Some(match read_job(id, &row) {
            Ok(job) => Taken::Job(job),
            Err(error) => Taken::Unreadable { id, error },
        }))
    }

    /// Notes what became of a job.
    pub async fn end_job(&self, id: i64, state: JobState) -> sqlx::Result<()> {
        let state = match state {
            JobState::Done => "done",
            JobState::Failed => "failed",
            JobState::Queued => "queued",
        };
        sqlx::query("UPDATE jobs SET state = ? WHERE id = ?").bind(state).bind(id).execute(&self.pool).await.map(drop)
    }

    /// Puts the jobs back that a worker had taken when it was killed. Only one worker may run.
    ///
    /// A job that has had this many attempts is returned instead: it may be what kills the worker. Mark it as failed once it is
    /// reported. Until then, each start returns it again.
    pub async fn requeue_jobs(&self, attempts: u32) -> sqlx::Result<Vec<Abandoned>> {
        let requeue = sqlx::query("UPDATE jobs SET state = 'queued' WHERE state = 'running' AND attempt < ?").bind(attempts);
        requeue.execute(&self.pool).await?;
        let rows = sqlx::query("SELECT id, payload FROM jobs WHERE state = 'running' ORDER BY id").fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok(Abandoned { id: row.try_get("id")?, payload: read_payload(row).ok() })).collect()
    }
}

fn read_job(id: i64, row: &SqliteRow) -> sqlx::Result<Job> {
    let (attempt, queued_at) = (row.try_get("attempt")?, row.try_get("queued_at")?);
    Ok(Job { id, attempt, waited: since(queued_at), payload: read_payload(row)? })
}

fn read_payload(row: &SqliteRow) -> sqlx::Result<Payload> {
    let payload: String = row.try_get("payload")?;
    serde_json::from_str(&payload).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn since(then: i64) -> Duration {
    Duration::from_millis(u64::try_from(now().saturating_sub(then)).unwrap_or_default())
}

/// The time this long ago.
fn before(lifetime: Duration) -> i64 {
    now().saturating_sub(i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX))
}
