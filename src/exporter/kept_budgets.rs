//! Keeps the counts of budgets in their file, on a thread that the disk may hold up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::budget_file::{BudgetFile, KeptCounts};
use super::disk::{Disk, PATIENCE};
use crate::diagnostics;
use crate::fork::Lock;

/// The file is written at most this often, besides once at the end.
const EVERY: Duration = Duration::from_secs(10);

/// The file, and when it is written again.
pub(super) struct KeptBudgets {
    /// None until the file was read.
    disk: Disk<Option<BudgetFile>>,
    /// What was read, until it is taken.
    read: Arc<Lock<Option<KeptCounts>>>,
    /// None if it was not written yet.
    due: Option<Instant>,
    /// For messages.
    path: String,
    trouble: diagnostics::Quiet,
}

impl KeptBudgets {
    /// Reads what an earlier process has kept, and waits for it, but not long.
    ///
    /// Returns `None` without a thread. The counts are not kept then.
    pub(super) fn start(path: PathBuf) -> Option<Self> {
        let shown = path.display().to_string();
        let disk = match Disk::start(None, || {}) {
            Ok(disk) => disk,
            Err(error) => {
                diagnostics::warn(&format!("the budget file {shown} is not used: its thread could not be started: {error}"));
                return None;
            }
        };
        let mut this = Self { disk, read: Arc::default(), due: None, path: shown, trouble: diagnostics::Quiet::new() };
        let read = Arc::clone(&this.read);
        let open = move |file: &mut Option<BudgetFile>| {
            let (opened, kept) = BudgetFile::open(path);
            *file = Some(opened);
            *read.lock() = Some(kept);
        };
        if this.disk.ask(open, |_, ()| {}, || None).is_none() {
            this.complain();
        }
        Some(this)
    }

    /// What an earlier process has kept, once it was read. `None` if it was taken before.
    pub(super) fn take_read(&self) -> Option<KeptCounts> {
        self.read.lock().take()
    }

    /// When it must be written. If the disk hangs, it needs a look instead.
    pub(super) fn due(&self, now: Instant) -> Instant {
        if self.disk.is_idle() { self.due.unwrap_or(now) } else { now + PATIENCE }
    }

    /// Whether it is time to write it, and the disk is free.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        if !self.disk.answers() {
            self.complain();
        }
        self.disk.is_idle() && self.due.is_none_or(|due| due <= now)
    }

    /// Writes the counts, without waiting for that.
    pub(super) fn write(&mut self, counts: KeptCounts, now: Instant) {
        self.due = Some(now + EVERY);
        self.disk.hand_over(move |file| replace(file, &counts));
    }

    /// Writes the counts before a shutdown ends, if the disk answers.
    pub(super) fn write_last(&mut self, counts: KeptCounts, closes_at: Instant) {
        self.due = None;
        self.disk.ask(move |file| replace(file, &counts), |_, ()| {}, || Some(closes_at));
    }

    /// Waits for a running write before a shutdown ends, if the disk answers.
    pub(super) fn finish(&mut self, closes_at: Instant) {
        if !self.disk.is_idle() {
            self.disk.ask(|_| {}, |_, ()| {}, || Some(closes_at));
        }
    }

    fn complain(&self) {
        self.trouble.warn(&format!("the budget file {}: its disk does not answer; until it does, the counts are not kept", self.path));
    }

    /// Makes the disk hang until the returned value is dropped.
    #[cfg(test)]
    pub(super) fn hang(&self) -> std::sync::mpsc::Sender<()> {
        self.disk.hang()
    }

    /// As if this was read too late.
    #[cfg(test)]
    pub(super) fn give(&self, kept: KeptCounts) {
        *self.read.lock() = Some(kept);
    }

    /// Waits until the disk is free.
    #[cfg(test)]
    pub(super) fn settle(&self) {
        while !self.disk.is_idle() {
            std::thread::yield_now();
        }
    }
}

fn replace(file: &mut Option<BudgetFile>, counts: &KeptCounts) {
    if let Some(file) = file {
        file.write(counts);
    }
}
