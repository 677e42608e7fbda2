//! The worker: takes jobs from the queue, and deploys tokens.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_sentry::job::{JobInfo, JobLayer};
use tower_sentry::{Client, Scope, User};
use tracing::instrument;

use crate::chain::{self, ChainError};
use crate::store::{Abandoned, Job, JobState, Payload, Store, Taken};
use crate::tokens::QUEUE;

/// How often a job is tried.
pub const ATTEMPTS: u32 = 3;

/// How often the worker looks for a job. SQLite cannot wake another process.
const PAUSE: Duration = Duration::from_millis(100);

/// The name of the job in Sentry.
const NAME: &str = "token.deploy";

/// Works until `stop` is ready, or until the database fails.
///
/// A row of the queue that cannot be read is an event, and so is a job during whose last attempt a worker was killed.
/// Both are marked as failed, and the worker goes on.
///
/// # Errors
///
/// Returns the error of the database.
pub async fn run(monitoring: impl Into<Client>, store: Store, stop: impl Future<Output = ()>) -> sqlx::Result<()> {
    let monitoring = monitoring.into();
    // One transaction for each attempt, and an event only if the last one fails.
    let layer = JobLayer::new(&monitoring, describe).report_last_attempt_only();
    let service = ServiceBuilder::new().layer(layer).service(service_fn(|(store, job): (Store, Job)| deploy(store, job)));
    let mut stop = pin!(stop);
    for Abandoned { id, payload } in store.requeue_jobs(ATTEMPTS).await? {
        report(&monitoring, id, LostJob::Abandoned).await;
        if let Some(Payload { token, .. }) = payload {
            store.end_token(token, Err(NOT_DEPLOYED)).await?;
        }
        // Last: what a worker does not reach, the next one does.
        store.end_job(id, JobState::Failed).await?;
    }
    let mut is_idle = false;
    loop {
        let pause = async {
            if is_idle {
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            () = pause => {}
        }
        // Nothing stops this query: a job that is taken and not done has lost one of its attempts.
        let taken = store.take_job().await?;
        is_idle = taken.is_none();
        match taken {
            Some(Taken::Job(job)) => {
                let (id, token, is_last) = (job.id, job.payload.token, job.attempt >= ATTEMPTS);
                // The layer reports the error. In a task of its own, a panic ends the attempt and not the worker.
                let state = match tokio::spawn(service.clone().oneshot((store.clone(), job))).await {
                    Ok(Ok(())) => JobState::Done,
                    _ if !is_last => JobState::Queued,
                    failed => {
                        let reason = match failed {
                            Ok(Err(DeployError::Chain(error))) => error.to_string(),
                            _ => NOT_DEPLOYED.to_owned(),
                        };
                        store.end_token(token, Err(&reason)).await?;
                        JobState::Failed
                    }
                };
                store.end_job(id, state).await?;
            }
            Some(Taken::Unreadable { id, error }) => {
                report(&monitoring, id, LostJob::Unreadable(error)).await;
                store.end_job(id, JobState::Failed).await?;
            }
            None => {}
        }
    }
}

/// Reports a job that cannot be done, as a job that has failed.
async fn report(monitoring: &Client, id: i64, error: LostJob) {
    let fail = async {
        Scope::current().set_tag("job.id", id);
        Err::<(), _>(error)
    };
    // The transaction reports the error that it returns.
    let _ = monitoring.transaction(NAME).op("queue.process").run(fail).await;
}

fn describe((_, job): &(Store, Job)) -> JobInfo {
    let info = JobInfo::new(NAME).queue(QUEUE).system("sqlite").id(job.id).attempt(job.attempt, ATTEMPTS);
    info.latency(job.waited).continue_trace(&job.payload.headers)
}

#[instrument(skip_all)]
async fn deploy(store: Store, job: Job) -> Result<(), DeployError> {
    let Payload { token, wallet, .. } = job.payload;
    // The same user as in the request. A job has its own scope.
    Scope::current().set_user(User::id(&wallet)).set_context("token", serde_json::json!({ "id": token }));
    let Some(found) = store.token(token, &wallet).await? else { return Err(DeployError::Missing) };
    let deploy = chain::deploy(&wallet, &found.symbol);
    let contract = tower_sentry::span("chain", "deploy contract", deploy).attribute("chain.id", chain::ID).await;
    store.end_token(token, Ok(&contract.map_err(DeployError::Chain)?)).await?;
    Ok(())
}

/// What a user reads, unless the chain gave a reason.
const NOT_DEPLOYED: &str = "the token was not deployed";

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

/// Why a job was not done, and will not be.
#[derive(Debug)]
pub enum LostJob {
    /// A worker was killed during its last attempt.
    Abandoned,
    /// Its row cannot be read.
    Unreadable(sqlx::Error),
}

impl fmt::Display for LostJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Abandoned => "a worker was killed during the last attempt of a job",
            Self::Unreadable(_) => "a job in the queue cannot be read",
        })
    }
}

impl std::error::Error for LostJob {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Abandoned => None,
            Self::Unreadable(error) => Some(error),
        }
    }
}
