//! Work that outlives its request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

/// Tasks whose number is limited, and for which the end of the service waits. Clones share them.
#[derive(Clone)]
pub(crate) struct Tasks {
    /// None once the service has ended.
    running: Arc<Mutex<Option<JoinSet<()>>>>,
    most: usize,
}

/// Why a task was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotStarted {
    /// The service ends.
    Closed,
    /// Too many are running.
    Full,
}

impl Tasks {
    pub(crate) fn new(most: usize) -> Self {
        Self { running: Arc::new(Mutex::new(Some(JoinSet::new()))), most }
    }

    /// Starts a task.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Result<(), NotStarted> {
        let mut running = self.lock();
        let running = running.as_mut().ok_or(NotStarted::Closed)?;
        // Those that have ended make room. What they panicked with was reported there.
        while running.try_join_next().is_some() {}
        if running.len() >= self.most {
            return Err(NotStarted::Full);
        }
        running.spawn(task);
        Ok(())
    }

    /// Waits for all tasks, and starts no others. Those that take longer than `grace` are cancelled.
    pub(crate) async fn finish(&self, grace: Duration) {
        let Some(mut running) = self.lock().take() else { return };
        let all = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_err() {
            // Waits until they are gone, so that each is recorded as cancelled.
            running.shutdown().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<JoinSet<()>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn there_is_room_again_once_a_task_has_ended() {
        let tasks = Tasks::new(1);
        let (end, ended) = oneshot::channel::<()>();

        assert_eq!(tasks.spawn(async { _ = ended.await }), Ok(()));
        assert_eq!(tasks.spawn(async {}), Err(NotStarted::Full), "one is running");
        end.send(()).unwrap();
        let room = async {
            while tasks.spawn(async {}).is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), room).await.expect("room for one more");
    }

    #[tokio::test]
    async fn nothing_starts_after_the_end() {
        let tasks = Tasks::new(1);

        tasks.clone().finish(Duration::ZERO).await;

        assert_eq!(tasks.spawn(async {}), Err(NotStarted::Closed));
    }
}
