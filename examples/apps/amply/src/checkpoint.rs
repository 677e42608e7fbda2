//! Checkpoints of the ledger: a task without a request, with a span for each of its four steps.

use std::fmt;

use axum::extract::State;
use axum::http::{Method, StatusCode};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tower_sentry::{span, span_sync};

use crate::Api;
use crate::jobs::Job;
use crate::ledger::Entry;
use crate::outgoing::CallError;

/// The name of the task in Sentry.
pub const NAME: &str = "generate_checkpoint";

/// Stands for a key that a real service does not have in its source.
const KEY: &[u8] = b"a key for the example";

/// `POST /api/v1/checkpoints` orders the task, and does not wait for it.
pub async fn create(State(api): State<Api>) -> StatusCode {
    if api.queue.try_send(Job::Checkpoint).is_ok() { StatusCode::ACCEPTED } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Signs what was added to the ledger since the last checkpoint, and stores it.
pub async fn generate(api: &Api) -> Result<(), CheckpointError> {
    let _one = api.checkpoint.lock().await;
    let task = async {
        let entries = span("db", "fetch entries", api.ledger.since_last_checkpoint()).await?;
        let root = span_sync("compute", "compute merkle root", || merkle_root(&entries));
        let signature = span_sync("sign", "sign checkpoint", || hash(&[KEY, &root]));
        let checkpoint = json!({ "entries": entries.len(), "root": hex(&root), "signature": hex(&signature) });
        let url = format!("{}/checkpoints/{}", api.storage, hex(&root));
        span("upload", "upload to S3", api.http.send_json(Method::PUT, &url, &checkpoint)).await?;
        if let Some(last) = entries.last() {
            api.ledger.close(last.id).await?;
        }
        Ok::<(), CheckpointError>(())
    };
    api.sentry.transaction(NAME).op("task").run(task).await
}

/// The root of a tree of hashes. A node without a sibling moves up as it is.
fn merkle_root(entries: &[Entry]) -> [u8; 32] {
    let leaf = |entry: &Entry| {
        let id = entry.id.to_be_bytes();
        hash(&[b"leaf", &id, entry.amount.as_bytes(), b" ", entry.currency.as_bytes(), b" ", entry.charge.as_bytes()])
    };
    let mut level: Vec<_> = entries.iter().map(leaf).collect();
    while level.len() > 1 {
        level = level.chunks(2).map(|nodes| if let [one, other] = nodes { hash(&[b"node", one, other]) } else { nodes[0] }).collect();
    }
    level.first().copied().unwrap_or_default()
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Debug)]
pub enum CheckpointError {
    Ledger(sqlx::Error),
    Upload(CallError),
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ledger(_) => "the ledger cannot be read",
            Self::Upload(_) => "the checkpoint cannot be stored",
        })
    }
}

impl std::error::Error for CheckpointError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Ledger(error) => Some(error),
            Self::Upload(error) => Some(error),
        }
    }
}

impl From<sqlx::Error> for CheckpointError {
    fn from(error: sqlx::Error) -> Self {
        Self::Ledger(error)
    }
}

impl From<CallError> for CheckpointError {
    fn from(error: CallError) -> Self {
        Self::Upload(error)
    }
}
