//! Records that wait for the next request.

use std::sync::{Mutex, PoisonError};

use super::Record;

/// As many records as may lie idle; more are freed.
const IDLE_LIMIT: usize = 256;

/// Gives records out and takes them back, shared by requests and the exporter.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "the box itself travels through the queue; unboxing would copy a record at every hand-over")]
pub(crate) struct Pool {
    idle: Mutex<Vec<Box<Record>>>,
}

impl Pool {
    pub(crate) fn take(&self) -> Box<Record> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&self, mut record: Box<Record>) {
        record.clear();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_LIMIT {
            idle.push(record);
        }
    }
}
