//! The queue and its worker: jobs run beside each other, their number is limited, and a shutdown waits for them.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};

use crate::webhooks::Webhook;
use crate::{Api, checkpoint, webhooks};

/// Work that outlives its request.
#[derive(Clone, Debug)]
pub enum Job {
    Checkpoint,
    Webhook(Webhook),
}

impl Job {
    fn name(&self) -> &'static str {
        match self {
            Self::Checkpoint => checkpoint::NAME,
            Self::Webhook(_) => webhooks::NAME,
        }
    }
}

/// A job was accepted, and the service ended before it was done.
#[derive(Clone, Copy, Debug)]
pub enum LostJob {
    /// It ran, or waited for its next attempt, and was cancelled.
    CutOff,
    /// It was in the queue.
    NotBegun,
}

impl fmt::Display for LostJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CutOff => "the service ended before this job was done",
            Self::NotBegun => "the service ended before this job began",
        })
    }
}

impl std::error::Error for LostJob {}

/// The jobs that run or wait for their next attempt, with their names.
#[derive(Default)]
struct Running {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Running {
    fn spawn(&mut self, name: &'static str, job: impl Future<Output = ()> + Send + 'static) {
        self.names.insert(self.tasks.spawn(job).id(), name);
    }

    /// Waits for the next one that ends. Returns its name, and whether it was cancelled. `None` if none runs.
    async fn next_end(&mut self) -> Option<(&'static str, bool)> {
        let (id, is_cancelled) = match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => (id, false),
            Err(error) => (error.id(), error.is_cancelled()),
        };
        Some((self.names.remove(&id).unwrap_or_default(), is_cancelled))
    }
}

/// How the worker works.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The most jobs that run, or wait for their next attempt.
    pub most_running: usize,
    /// How long a webhook waits for its next attempt.
    pub retry_after: Duration,
    /// How long jobs may take after the stop. Then they are cancelled, and each is an event.
    pub grace: Duration,
}

/// Works until the sender of `stop` is gone, and then until all jobs have ended.
pub async fn work(api: Api, mut queue: mpsc::Receiver<Job>, pace: Pace, mut stop: watch::Receiver<()>) {
    let mut running = Running::default();
    let working = take_all(&api, &mut queue, &mut running, pace, stop.clone());
    let too_late = async {
        // Nothing is ever sent, so this is the end of the sender.
        let _ = stop.changed().await;
        tokio::time::sleep(pace.grace).await;
    };
    tokio::select! {
        () = working => {}
        () = too_late => {}
    }
    // A request that still runs gets a 503, and not a place in a queue that is not read any more.
    queue.close();
    running.tasks.abort_all();
    // Waits for each that is cancelled, so that it is recorded as cancelled.
    while let Some((name, is_cancelled)) = running.next_end().await {
        if is_cancelled {
            report(&api, name, LostJob::CutOff).await;
        }
    }
    while let Some(job) = queue.recv().await {
        report(&api, job.name(), LostJob::NotBegun).await;
    }
}

/// Reports a job that will not be done, as a job that has failed.
async fn report(api: &Api, name: &'static str, lost: LostJob) {
    // The transaction reports the error that it returns.
    let _ = api.sentry.transaction(name).op("queue.process").run(async { Err::<(), _>(lost) }).await;
}

async fn take_all(api: &Api, queue: &mut mpsc::Receiver<Job>, running: &mut Running, pace: Pace, mut stop: watch::Receiver<()>) {
    let webhooks = webhooks::service(api);
    let mut is_stopping = false;
    loop {
        let job = tokio::select! {
            Some(_) = running.next_end(), if !running.tasks.is_empty() => continue,
            job = queue.recv(), if running.tasks.len() < pace.most_running => job,
            _ = stop.changed(), if !is_stopping => {
                is_stopping = true;
                // What is in the queue can still be taken.
                queue.close();
                continue;
            }
        };
        let Some(job) = job else { break };
        let name = job.name();
        match job {
            Job::Checkpoint => {
                let api = api.clone();
                // A failure of the task is an event of the task.
                running.spawn(name, async move { drop(checkpoint::generate(&api).await) });
            }
            // A webhook that waits for its next attempt does not hold up the others.
            Job::Webhook(webhook) => running.spawn(name, webhooks::attempts(webhooks.clone(), webhook, pace.retry_after, stop.clone())),
        }
    }
    while running.next_end().await.is_some() {}
}
