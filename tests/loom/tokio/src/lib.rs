//! What the queue uses of tokio.

pub mod sync {
    use loom::sync::{Condvar, Mutex};

    /// Keeps one permit, as tokio's does. Waiting blocks the thread: no other work is modelled.
    #[derive(Debug)]
    pub struct Notify {
        permit: Mutex<bool>,
        changed: Condvar,
    }

    impl Notify {
        #[expect(clippy::new_without_default, reason = "as in tokio")]
        pub fn new() -> Self {
            Self { permit: Mutex::new(false), changed: Condvar::new() }
        }

        pub fn notify_one(&self) {
            *self.permit.lock().unwrap() = true;
            self.changed.notify_one();
        }

        #[expect(clippy::unused_async, reason = "as in tokio")]
        pub async fn notified(&self) {
            let mut permit = self.permit.lock().unwrap();
            while !*permit {
                permit = self.changed.wait(permit).unwrap();
            }
            *permit = false;
        }
    }
}
