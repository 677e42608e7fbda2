//! The worker: takes jobs from the queue, and deploys tokens.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tower::{Service as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_sentry::job::{JobInfo, JobLayer};
use tower_sentry::{Client, Scope, User};
use tracing::instrument;

use crate::chain::{self, ChainError};
use crate::store::{Job, JobState, Payload, Store};
use crate::tokens::QUEUE;

/// How often a job is tried.
pub const ATTEMPTS: u32 = 3;

/// How often the worker looks for a job. SQLite cannot wake another process.
const PAUSE: Duration = Duration::from_millis(100);

/// Works until `stop` is ready, or until the database fails.
///
/// # Errors
///
/// Returns the error of the database.
pub async fn run(monitoring: impl Into<Client>, store: Store, stop: impl Future<Output = ()>) -> sqlx::Result<()> {
    // One transaction for each attempt, and an event only if the last one fails.
    let layer = JobLayer::new(monitoring, describe).report_last_attempt_only();
    let mut service = ServiceBuilder::new().layer(layer).service(service_fn(|(store, job): (Store, Job)| deploy(store, job)));
    let mut stop = pin!(stop);
    store.requeue_jobs().await?;
    loop {
        let job = tokio::select! {
            biased;
            // A job that is being taken at this moment is put back by the next worker.
            () = &mut stop => return Ok(()),
            job = next(&store) => job?,
        };
        let (id, is_last) = (job.id, job.attempt >= ATTEMPTS);
        // The layer reports the error.
        let ended = match service.ready().await {
            Ok(service) => service.call((store.clone(), job)).await,
            Err(error) => Err(error),
        };
        let state = match ended {
            Ok(()) => JobState::Done,
            Err(_) if is_last => JobState::Failed,
            Err(_) => JobState::Queued,
        };
        store.end_job(id, state).await?;
    }
}

/// Waits for a job.
async fn next(store: &Store) -> sqlx::Result<Job> {
    let mut ticks = tokio::time::interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if let Some(job) = store.take_job().await? {
            return Ok(job);
        }
        ticks.tick().await;
    }
}

fn describe((_, job): &(Store, Job)) -> JobInfo {
    let info = JobInfo::new("token.deploy").queue(QUEUE).system("sqlite").id(job.id).attempt(job.attempt, ATTEMPTS);
    info.latency(job.waited).continue_trace(&job.payload.headers)
}

#[instrument(skip_all)]
async fn deploy(store: Store, job: Job) -> Result<(), DeployError> {
    let Payload { token, wallet, .. } = job.payload;
    // The same user as in the request. A job has its own scope.
    Scope::current().set_user(User::id(&wallet)).set_context("token", serde_json::json!({ "id": token }));
    let Some(found) = store.token(token, &wallet).await? else { return Err(DeployError::Missing) };
    let deploy = chain::deploy(&wallet, &found.symbol);
    let deployed = tower_sentry::span("chain", "deploy contract", deploy).attribute("chain.id", chain::ID).await;
    match deployed {
        Ok(contract) => store.end_token(token, Ok(&contract)).await?,
        Err(error) => {
            if job.attempt >= ATTEMPTS {
                store.end_token(token, Err(&error.to_string())).await?;
            }
            return Err(DeployError::Chain(error));
        }
    }
    Ok(())
}

/// Why a token was not deployed.
#[derive(Debug)]
pub enum DeployError {
    /// The chain has refused it.
    Chain(ChainError),
    /// The database has failed.
    Database(sqlx::Error),
    /// It is not in the database any more.
    Missing,
}

impl From<sqlx::Error> for DeployError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl fmt::Display for DeployError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chain(_) => "the chain has refused the token",
            Self::Database(_) => "the database has failed",
            Self::Missing => "the token is not in the database",
        })
    }
}

impl std::error::Error for DeployError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Chain(error) => Some(error),
            Self::Database(error) => Some(error),
            Self::Missing => None,
        }
    }
}
