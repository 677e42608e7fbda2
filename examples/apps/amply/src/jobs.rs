//! The queue and its worker: jobs run beside each other, their number is limited, and a shutdown waits for them.

use std::fmt;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

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

/// A job was accepted, and the service ended before it began.
#[derive(Debug)]
pub struct NotBegun;

impl fmt::Display for NotBegun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the service ended before this job began")
    }
}

impl std::error::Error for NotBegun {}

/// How the worker works.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The most jobs that run, or wait for their next attempt.
    pub most_running: usize,
    /// How long a webhook waits for its next attempt.
    pub retry_after: Duration,
    /// How long jobs may take after the stop. Then they are cancelled.
    pub grace: Duration,
}

/// Works until the sender of `stop` is gone, and then until all jobs have ended.
pub async fn work(api: Api, mut queue: mpsc::Receiver<Job>, pace: Pace, mut stop: watch::Receiver<()>) {
    let mut running = JoinSet::new();
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
    // Waits for each that is cancelled, so that it is recorded as cancelled.
    running.shutdown().await;
    while let Ok(job) = queue.try_recv() {
        let lost = async { Err::<(), _>(NotBegun) };
        // The transaction reports the error that it returns.
        let _ = api.sentry.transaction(job.name()).op("queue.process").run(lost).await;
    }
}

async fn take_all(api: &Api, queue: &mut mpsc::Receiver<Job>, running: &mut JoinSet<()>, pace: Pace, mut stop: watch::Receiver<()>) {
    let webhooks = webhooks::service(api);
    let mut is_stopping = false;
    loop {
        let job = tokio::select! {
            Some(_) = running.join_next(), if !running.is_empty() => continue,
            job = queue.recv(), if running.len() < pace.most_running => job,
            _ = stop.changed(), if !is_stopping => {
                is_stopping = true;
                // What is in the queue can still be taken.
                queue.close();
                continue;
            }
        };
        match job {
            Some(Job::Checkpoint) => {
                let api = api.clone();
                // A failure of the task is an event of the task.
                running.spawn(async move { drop(checkpoint::generate(&api).await) });
            }
            // A webhook that waits for its next attempt does not hold up the others.
            Some(Job::Webhook(webhook)) => _ = running.spawn(webhooks::attempts(webhooks.clone(), webhook, pace.retry_after, stop.clone())),
            None => break,
        }
    }
    while running.join_next().await.is_some() {}
}
