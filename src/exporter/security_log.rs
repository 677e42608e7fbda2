//! Writes security events to a file: one redacted JSON object per line, even without a network.
//!
//! Rotation is implemented here in thirty lines. The crates for it depend on a calendar, and none
//! sets the file's mode.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::pipeline::Pipeline;
use crate::diagnostics;
use crate::fork::Lock;
use crate::record::LogLine;

/// Limits of the lines that wait for the exporter's thread, in number and bytes. Lines beyond them
/// are lost; the file says how many.
const LINES_LIMIT: usize = 10_000;
const BYTES_LIMIT: usize = 8 * 1024 * 1024;
/// Old files to keep, besides the current one.
const OLD_FILES: u32 = 5;

/// Where security events are written, and which events these are.
#[derive(Clone, Debug)]
pub(crate) struct SecurityLog {
    pub(crate) path: PathBuf,
    /// Events with this target, or a target below it, are security events.
    pub(crate) target: String,
    /// A file of at least this many bytes is rotated before the next line.
    pub(crate) max_bytes: u64,
}

/// Lines that wait to be written to the file.
#[derive(Debug, Default)]
pub(super) struct SecurityQueue {
    state: Lock<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The exporter has ended and writes no more lines.
    is_closed: bool,
    #[expect(clippy::vec_box, reason = "a push under the lock moves one pointer")]
    lines: Vec<Box<LogLine>>,
    bytes: usize,
    lost: u64,
}

impl SecurityQueue {
    pub(super) fn push(&self, line: Box<LogLine>) {
        static TROUBLE: diagnostics::Quiet = diagnostics::Quiet::new();
        let mut waiting = self.state.lock();
        if waiting.is_closed {
            waiting.lost += 1;
            let lost = waiting.lost;
            drop(waiting);
            return TROUBLE.warn(&format!("the exporter has ended: {lost} lines of the security log are lost"));
        }
        if waiting.lines.len() >= LINES_LIMIT || waiting.bytes + line.size() > BYTES_LIMIT {
            waiting.lost += 1;
            return;
        }
        waiting.bytes += line.size();
        waiting.lines.push(line);
    }

    #[expect(clippy::vec_box, reason = "see `Waiting`")]
    pub(super) fn take(&self) -> (Vec<Box<LogLine>>, u64) {
        let mut waiting = self.state.lock();
        waiting.bytes = 0;
        (std::mem::take(&mut waiting.lines), std::mem::take(&mut waiting.lost))
    }

    /// Accepts no more lines.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
    }
}

/// The file, opened when the first line is written.
pub(super) struct SecurityFile {
    settings: SecurityLog,
    file: Option<File>,
    written: u64,
    /// A failed write may have left a partial line, so the next line starts with a line break.
    is_torn: bool,
    /// The size at which the file is rotated. A failed rotation is tried again `max_bytes` later.
    rotate_at: u64,
    trouble: diagnostics::Quiet,
    /// Lines lost since the last successful write.
    lost: u64,
}

impl SecurityFile {
    pub(super) fn new(settings: SecurityLog) -> Self {
        let rotate_at = settings.max_bytes;
        Self { settings, file: None, written: 0, is_torn: false, rotate_at, trouble: diagnostics::Quiet::new(), lost: 0 }
    }

    /// Writes lines; `lost` lines were lost before them.
    #[expect(clippy::vec_box, reason = "as they come out of the queue")]
    pub(super) fn write(&mut self, lines: &Vec<Box<LogLine>>, lost: u64, pipeline: &Pipeline) {
        self.lost += lost;
        for line in lines {
            let Some(json) = pipeline.line(line) else { continue };
            if let Err(error) = self.append(json.bytes()) {
                self.lost += 1;
                self.file = None;
                self.is_torn = true;
                let path = self.settings.path.display();
                self.trouble.warn(&format!("the security log {path} cannot be written ({error}); {} lines are lost", self.lost));
            }
        }
    }

    fn append(&mut self, json: &[u8]) -> io::Result<()> {
        if self.written >= self.rotate_at {
            self.rotate();
        }
        if self.file.is_none() {
            let file = open(&self.settings.path)?;
            self.written = file.metadata()?.len();
            self.file = Some(file);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut text = Vec::with_capacity(json.len() + 64);
        if self.is_torn {
            text.push(b'\n');
        }
        if self.lost > 0 {
            // Writing to a vector does not fail.
            let _ = writeln!(text, "{{\"lost_lines\":{}}}", self.lost);
        }
        text.extend_from_slice(json);
        file.write_all(&text)?;
        (self.lost, self.is_torn) = (0, false);
        self.written += text.len() as u64;
        Ok(())
    }

    /// Renames `security.log` to `security.log.1`, that to `security.log.2`, and so on.
    ///
    /// The oldest file is overwritten. If renaming fails, the current file keeps growing.
    fn rotate(&mut self) {
        let path = &self.settings.path;
        let older = (1..OLD_FILES).rev().try_for_each(|number| rename(&numbered(path, number), &numbered(path, number + 1)));
        match older.and_then(|()| rename(path, &numbered(path, 1))) {
            Ok(()) => {
                self.file = None;
                self.written = 0;
                self.rotate_at = self.settings.max_bytes;
            }
            Err(error) => {
                self.rotate_at = self.written + self.settings.max_bytes;
                self.trouble.warn(&format!("the security log {} cannot be put aside ({error}) and grows on", path.display()));
            }
        }
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Opens the file so that only its owner can read and write it.
///
/// Returns an error if the path exists but is not a regular file. Opening a pipe would block until
/// it has a reader, and a new mode for a device would affect all its users.
fn open(path: &Path) -> io::Result<File> {
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::other("it is not a file"));
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder(path)?;
            options.open(path)?
        }
        other => other?,
    };
    // A file that existed before may be readable by other users.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}

/// Makes the folder of the file, for its owner only.
fn make_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let mut options = std::fs::DirBuilder::new();
    options.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut options, 0o700);
    options.create(folder)
}
