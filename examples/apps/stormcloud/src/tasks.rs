//! Work that outlives its request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

/// Tasks whose number is limited, and for which the end of the service waits. Clones share them.
#[derive(Clone)]
pub(crate) struct Tasks {
    running: Arc<Mutex<JoinSet<()>>>,
    most: usize,
}

impl Tasks {
    pub(crate) fn new(most: usize) -> Self {
        Self { running: Arc::default(), most }
    }

    /// Starts a task, or returns `false` if too many are running.
    #[must_use]
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> bool {
        let mut running = self.lock();
        // Those that have ended make room. What they panicked with was reported there.
        while running.try_join_next().is_some() {}
        let is_free = running.len() < self.most;
        if is_free {
            running.spawn(task);
        }
        is_free
    }

    /// Waits for all tasks. Those that take longer than `grace` are cancelled.
    pub(crate) async fn finish(&self, grace: Duration) {
        let mut running = std::mem::take(&mut *self.lock());
        let all = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_err() {
            // Waits until they are gone, so that each is recorded as cancelled.
            running.shutdown().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, JoinSet<()>> {
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

        assert!(tasks.spawn(async { _ = ended.await }));
        assert!(!tasks.spawn(async {}), "one is running");
        end.send(()).unwrap();
        let room = async {
            while !tasks.spawn(async {}) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), room).await.expect("room for one more");
    }
}
