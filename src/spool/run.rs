//! The folder of one run of a process, and how a later run takes over from a dead one.
//!
//! ```text
//! <spool_dir>/v1/<hash of the DSN>/run-<random>/
//!     run.lock   held by its process; the system releases it when the process dies
//!     e/ t/ s/   errors, transactions, the rest: <born>-<number>-<random>.seg
//! ```

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::lane::{LANES, Lane};
use super::segment::sync_folder;
use crate::protocol::EventId;

const LOCK: &str = "run.lock";
const RUN: &str = "run-";
/// A run gets its name once its lock is held.
const NEW: &str = "new-";
const SEGMENT: &str = ".seg";
/// Attempts to make a folder. Each fails only if another process takes the new folder for a dead one.
const ATTEMPTS: u32 = 5;

/// The folder of this process. It is this process's own as long as the lock is held.
#[derive(Debug)]
pub(super) struct Run {
    folder: PathBuf,
    /// The end of each file name, so that names stay unique when another run takes the files over.
    id: String,
    _lock: File,
}

/// The folder of a process that has died. No other process touches it while the lock is held.
#[derive(Debug)]
pub(super) struct DeadRun {
    folder: PathBuf,
    _lock: File,
}

/// A segment's file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) lane: Lane,
    pub(super) path: PathBuf,
    /// When its first record was written, in milliseconds since the epoch.
    pub(super) born: u64,
}

impl Run {
    /// Makes the folder of this process.
    ///
    /// # Errors
    ///
    /// Returns an error if `spool_dir` belongs to another user, or others may write to it.
    pub(super) fn begin(spool_dir: &Path, dsn: u64, syncs: bool) -> io::Result<Self> {
        let project = spool_dir.join("v1").join(format!("{dsn:016x}"));
        make_folder(&project)?;
        let mut last = io::Error::from(io::ErrorKind::WouldBlock);
        for _ in 0..ATTEMPTS {
            match Self::begin_in(&project) {
                Ok(run) => {
                    check_owner(&std::fs::metadata(spool_dir)?, &std::fs::metadata(&run.folder)?)?;
                    if syncs {
                        // Each name that leads to a segment, from the lanes up to the spool itself.
                        let named = [run.folder.join(LOCK), run.folder.clone(), project, spool_dir.join("v1"), spool_dir.to_owned()];
                        named.iter().try_for_each(|path| sync_folder(path))?;
                    }
                    return Ok(run);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn begin_in(project: &Path) -> io::Result<Self> {
        let id = EventId::new().to_string();
        let new = project.join(format!("{NEW}{id}"));
        make_folder(&new)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options.open(new.join(LOCK))?;
        lock.try_lock()?;
        for lane in LANES {
            make_folder(&new.join(lane.folder()))?;
        }
        let folder = project.join(format!("{RUN}{id}"));
        std::fs::rename(&new, &folder)?;
        Ok(Self { folder, id, _lock: lock })
    }

    /// The path of a new segment.
    pub(super) fn path(&self, lane: Lane, born: u64, number: u64) -> PathBuf {
        // Eight random digits keep the names of several runs apart.
        let id = self.id.get(..8).unwrap_or_default();
        self.folder.join(lane.folder()).join(format!("{born:013}-{number:08x}-{id}{SEGMENT}"))
    }

    /// Whether the folder was removed.
    pub(super) fn is_deleted(&self) -> bool {
        !self.folder.join(LOCK).exists()
    }

    /// Makes the folders of the lanes again, if one was removed.
    pub(super) fn repair(&self) -> io::Result<()> {
        LANES.into_iter().try_for_each(|lane| make_folder(&self.folder.join(lane.folder())))
    }

    /// The runs of processes that have died.
    pub(super) fn dead(&self) -> Vec<DeadRun> {
        let Some(entries) = self.folder.parent().and_then(|project| std::fs::read_dir(project).ok()) else { return Vec::new() };
        entries.flatten().filter_map(|entry| self.dead_run(&entry.path())).collect()
    }

    fn dead_run(&self, folder: &Path) -> Option<DeadRun> {
        let name = folder.file_name()?.to_str()?;
        if folder == self.folder || !(name.starts_with(RUN) || name.starts_with(NEW)) || !folder.symlink_metadata().ok()?.is_dir() {
            return None;
        }
        let lock = folder.join(LOCK);
        if !lock.symlink_metadata().ok()?.is_file() {
            return None;
        }
        let lock = OpenOptions::new().write(true).open(lock).ok()?;
        lock.try_lock().ok()?;
        Some(DeadRun { folder: folder.to_owned(), _lock: lock })
    }

    /// Removes the folder. This fails, as it should, if a segment is left in it.
    pub(super) fn end(self) {
        remove(&self.folder);
    }
}

impl DeadRun {
    /// The segments of the run. Files of other kinds are left alone.
    pub(super) fn segments(&self) -> Vec<Found> {
        LANES.into_iter().flat_map(|lane| self.of(lane)).collect()
    }

    fn of(&self, lane: Lane) -> Vec<Found> {
        let Ok(entries) = std::fs::read_dir(self.folder.join(lane.folder())) else { return Vec::new() };
        let found = entries.flatten().filter_map(|entry| {
            let path = entry.path();
            // A link or a pipe is not ours. Opening a pipe would block.
            let is_file = path.symlink_metadata().ok()?.is_file();
            let name = path.file_name()?.to_str()?.strip_suffix(SEGMENT)?;
            let born = name.split('-').next()?.parse().ok()?;
            is_file.then_some(Found { lane, path, born })
        });
        found.collect()
    }

    /// Removes the folder. This fails, as it should, if a file is left in it.
    pub(super) fn end(self) {
        remove(&self.folder);
    }
}

/// Removes the folder of a run, if its lanes are empty.
fn remove(folder: &Path) {
    for lane in LANES {
        let lane = folder.join(lane.folder());
        if std::fs::remove_dir(&lane).is_err() && lane.exists() {
            return;
        }
    }
    // The lock is removed last: other processes ignore a folder without it.
    let _ = std::fs::remove_file(folder.join(LOCK));
    let _ = std::fs::remove_dir(folder);
}

/// Makes a folder for its owner only, and those above it.
fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Another user who can write to the folder could replace events in it.
#[cfg(unix)]
fn check_owner(spool_dir: &Metadata, own: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    const ROOT: u32 = 0;
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    if spool_dir.uid() != own.uid() && own.uid() != ROOT {
        return Err(io::Error::other("it belongs to another user"));
    }
    if spool_dir.permissions().mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(io::Error::other("other users may write to it; `chmod go-w` helps"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_owner(_: &Metadata, _: &Metadata) -> io::Result<()> {
    Ok(())
}
