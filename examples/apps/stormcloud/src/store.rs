//! The database and the folder of files.
//!
//! sqlx reports each query to `tracing`, and `TracingLayer` makes a span of it. Here the queries are spans of our
//! own instead, because the document names them and says how long they take.

use std::io;
use std::path::{Path, PathBuf};

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use tower_sentry::span;

use crate::pace::Pace;

// A service that lives longer than a demonstration keeps hashes of passwords.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, username TEXT NOT NULL, is_staff INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS storage_storedfile (
        id INTEGER PRIMARY KEY, owner_id INTEGER NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, UNIQUE (owner_id, path));
    CREATE TABLE IF NOT EXISTS share_link (
        token TEXT PRIMARY KEY, file_id INTEGER NOT NULL, password TEXT, expires_at INTEGER NOT NULL);";

#[derive(Clone)]
pub(crate) struct Store {
    pool: SqlitePool,
    folder: PathBuf,
    pace: Pace,
}

#[derive(Debug, serde::Serialize)]
pub(crate) struct StoredFile {
    #[serde(skip)]
    pub(crate) id: i64,
    pub(crate) path: String,
    pub(crate) size: i64,
}

type FileRow = (i64, String, i64);

impl From<FileRow> for StoredFile {
    fn from((id, path, size): FileRow) -> Self {
        Self { id, path, size }
    }
}

impl Store {
    pub(crate) async fn open(folder: &Path, pace: Pace) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        for name in ["files", "previews"] {
            tokio::fs::create_dir_all(folder.join(name)).await?;
        }
        let options =
            SqliteConnectOptions::new().filename(folder.join("stormcloud.db")).create_if_missing(true).disable_statement_logging();
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        sqlx::raw_sql(TABLES).execute(&pool).await?;
        Ok(Self { pool, folder: folder.to_owned(), pace })
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) async fn add_account(&self, id: i64, username: &str, is_staff: bool) -> sqlx::Result<()> {
        let insert = sqlx::query("INSERT OR REPLACE INTO account VALUES (?, ?, ?)").bind(id).bind(username).bind(is_staff);
        insert.execute(&self.pool).await.map(drop)
    }

    /// 64 random characters. SQLite's generator is seeded by the operating system.
    pub(crate) async fn random_key(&self) -> sqlx::Result<String> {
        sqlx::query_scalar("SELECT lower(hex(randomblob(32)))").fetch_one(&self.pool).await
    }

    pub(crate) async fn username(&self, id: i64) -> sqlx::Result<Option<String>> {
        const SQL: &str = "SELECT username FROM account WHERE id = ?";
        span("db.query", SQL, async {
            self.pace.takes(25).await;
            sqlx::query_scalar(SQL).bind(id).fetch_optional(&self.pool).await
        })
        .attribute("db.system.name", "sqlite")
        .await
    }

    pub(crate) async fn find(&self, owner: i64, path: &str) -> sqlx::Result<Option<StoredFile>> {
        const SQL: &str = "SELECT id, path, size FROM storage_storedfile WHERE owner_id = ? AND path = ?";
        let row: Option<FileRow> = span("db.query", "database.query", async {
            self.pace.takes(25).await;
            sqlx::query_as(SQL).bind(owner).bind(path).fetch_optional(&self.pool).await
        })
        .attribute("db.query.text", SQL)
        .attribute("db.system.name", "sqlite")
        .await?;
        Ok(row.map(StoredFile::from))
    }

    /// Files whose path contains this text. It has no index: this is the slow query of the document.
    pub(crate) async fn search(&self, owner: i64, text: &str) -> sqlx::Result<Vec<StoredFile>> {
        const SQL: &str = "SELECT * FROM storage_storedfile WHERE owner_id = ? AND path LIKE ?";
        let rows: Vec<(i64, i64, String, i64)> = span("db.query", SQL, async {
            self.pace.takes(450).await;
            sqlx::query_as(SQL).bind(owner).bind(format!("%{text}%")).fetch_all(&self.pool).await
        })
        .attribute("db.system.name", "sqlite")
        .await?;
        Ok(rows.into_iter().map(|(id, _, path, size)| StoredFile { id, path, size }).collect())
    }

    /// Adds a file, or changes the size of the one that is there.
    pub(crate) async fn put(&self, owner: i64, path: &str, size: i64) -> sqlx::Result<i64> {
        const SQL: &str = "INSERT INTO storage_storedfile (owner_id, path, size) VALUES (?, ?, ?) \
            ON CONFLICT (owner_id, path) DO UPDATE SET size = excluded.size RETURNING id";
        span("db.query", "database.query", async {
            self.pace.takes(45).await;
            sqlx::query_scalar(SQL).bind(owner).bind(path).bind(size).fetch_one(&self.pool).await
        })
        .attribute("db.query.text", SQL)
        .attribute("db.system.name", "sqlite")
        .await
    }

    /// Adds a share link for some days, and removes those that have expired.
    pub(crate) async fn add_share(&self, token: &str, file: i64, password: Option<&str>, days: u8) -> sqlx::Result<()> {
        const EXPIRED: &str = "DELETE FROM share_link WHERE expires_at <= unixepoch()";
        const SQL: &str = "INSERT INTO share_link VALUES (?, ?, ?, unixepoch() + ? * 86400)";
        span("db.query", EXPIRED, async { sqlx::query(EXPIRED).execute(&self.pool).await }).attribute("db.system.name", "sqlite").await?;
        let insert = sqlx::query(SQL).bind(token).bind(file).bind(password).bind(days);
        span("db.query", SQL, async { insert.execute(&self.pool).await }).attribute("db.system.name", "sqlite").await.map(drop)
    }

    /// The file of a share link that has not expired, and the password that it needs.
    pub(crate) async fn of_share(&self, token: &str) -> sqlx::Result<Option<(StoredFile, Option<String>)>> {
        const SQL: &str = "SELECT f.id, f.path, f.size, s.password FROM share_link s JOIN storage_storedfile f ON f.id = s.file_id \
            WHERE s.token = ? AND s.expires_at > unixepoch()";
        let row: Option<(i64, String, i64, Option<String>)> =
            span("db.query", SQL, async { sqlx::query_as(SQL).bind(token).fetch_optional(&self.pool).await })
                .attribute("db.system.name", "sqlite")
                .await?;
        Ok(row.map(|(id, path, size, password)| (StoredFile { id, path, size }, password)))
    }

    pub(crate) async fn read(&self, file: i64) -> io::Result<Vec<u8>> {
        span("file.read", "filesystem.read", async {
            self.pace.takes(450).await;
            tokio::fs::read(self.place(file)).await
        })
        .await
    }

    pub(crate) async fn write(&self, file: i64, bytes: &[u8]) -> io::Result<()> {
        span("file.write", "filesystem.write", async {
            self.pace.takes(230).await;
            tokio::fs::write(self.place(file), bytes).await
        })
        .await
    }

    /// Stands for the encoding of a video.
    pub(crate) async fn encode_preview(&self, file: i64) -> io::Result<()> {
        span("file.write", "preview.write", async {
            self.pace.takes(900).await;
            tokio::fs::copy(self.place(file), self.preview(file)).await.map(drop)
        })
        .await
    }

    /// Removes what is left of an older version.
    pub(crate) async fn remove_preview(&self, file: i64) -> io::Result<()> {
        match tokio::fs::remove_file(self.preview(file)).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Files are named by their row, so no name of a client is ever part of a path.
    fn place(&self, file: i64) -> PathBuf {
        self.folder.join("files").join(file.to_string())
    }

    fn preview(&self, file: i64) -> PathBuf {
        self.folder.join("previews").join(file.to_string())
    }
}
