//! Writes the security log on a thread of its own.
//!
//! The exporter is not involved: a hook or the server may hold it up. And a disk that hangs holds up
//! nothing but this thread.

use std::sync::Arc;

use super::security_file::SecurityFile;
use super::security_log::{SecurityBatch, SecurityLog};
use super::shared::Shared;
use crate::payload::LinePayload;
use crate::redaction::Redactor;
use crate::{diagnostics, unwind};

/// At most this many lines are taken at once.
const BATCH: usize = 256;

/// Starts the thread. It ends with the exporter, or later if the disk hangs.
pub(super) fn start(settings: SecurityLog, redactor: Redactor, shared: &Arc<Shared>) {
    let of_thread = Arc::clone(shared);
    let path = settings.path.display().to_string();
    let run = move || run(SecurityFile::new(settings), &redactor, &of_thread);
    if let Err(error) = std::thread::Builder::new().name("tower-sentry-log".to_owned()).spawn(run) {
        shared.security.close();
        diagnostics::warn(&format!("the security log {path} cannot be written: its thread could not be started: {error}"));
    }
}

fn run(mut file: SecurityFile, redactor: &Redactor, shared: &Shared) {
    while let Some(batch) = shared.security.take(BATCH) {
        // Code of ours may panic. What it had not written counts as lost.
        let lost = unwind::catch(|| write(&mut file, &batch, redactor)).unwrap_or(batch.lines.len() as u64);
        shared.security.settle(&batch, lost);
        // A flush may wait for it.
        shared.queue.wake();
    }
}

/// Writes lines. Returns how many of them are lost.
fn write(file: &mut SecurityFile, batch: &SecurityBatch, redactor: &Redactor) -> u64 {
    file.note_lost(batch.lost);
    let mut lost = 0;
    for line in &batch.lines {
        let is_written = redactor.line(&LinePayload(line)).is_ok_and(|json| file.write(&json));
        lost += u64::from(!is_written);
    }
    lost
}
