//! A file for security events: one JSON object a line, redacted like everything else, written whatever the network does.
//!
//! Rotation is ours, since it is thirty lines: crates for it bring a calendar, and none sets the file's mode.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::diagnostics;
use super::pipeline::Pipeline;
use crate::record::LogLine;

/// Lines that wait for the exporter's thread, in number and bytes; those beyond are counted in the file.
const LINES_LIMIT: usize = 10_000;
const BYTES_LIMIT: usize = 8 * 1024 * 1024;
/// Files beside the current one.
const OLD_FILES: u32 = 5;

/// Where security events go.
#[derive(Clone, Debug)]
pub(crate) struct SecurityLog {
    pub(crate) path: PathBuf,
    /// Which events count: those of this target and below.
    pub(crate) target: String,
    /// A file of more bytes gives way to a new one.
    pub(crate) max_bytes: u64,
}

/// Lines on their way to the file.
#[derive(Debug, Default)]
pub(super) struct SecurityQueue {
    state: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    #[expect(clippy::vec_box, reason = "a push under the lock moves one pointer")]
    lines: Vec<Box<LogLine>>,
    bytes: usize,
    lost: u64,
}

impl SecurityQueue {
    pub(super) fn push(&self, line: Box<LogLine>) {
        let mut waiting = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.lines.len() >= LINES_LIMIT || waiting.bytes + line.size() > BYTES_LIMIT {
            waiting.lost += 1;
            return;
        }
        waiting.bytes += line.size();
        waiting.lines.push(line);
    }

    #[expect(clippy::vec_box, reason = "see `Waiting`")]
    pub(super) fn take(&self) -> (Vec<Box<LogLine>>, u64) {
        let Waiting { lines, lost, .. } = std::mem::take(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner));
        (lines, lost)
    }
}

/// The file, opened with the first line.
pub(super) struct SecurityFile {
    settings: SecurityLog,
    file: Option<File>,
    written: u64,
    trouble: diagnostics::Quiet,
    /// Lines that could not be written.
    lost: u64,
}

impl SecurityFile {
    pub(super) fn new(settings: SecurityLog) -> Self {
        Self { settings, file: None, written: 0, trouble: diagnostics::Quiet::new(), lost: 0 }
    }

    /// Writes lines, and how many were lost before them.
    #[expect(clippy::vec_box, reason = "as they come out of the queue")]
    pub(super) fn write(&mut self, lines: &Vec<Box<LogLine>>, lost: u64, pipeline: &Pipeline) {
        self.lost += lost;
        for line in lines {
            let Some(json) = pipeline.line(line) else { continue };
            if let Err(error) = self.append(json.bytes()) {
                self.lost += 1;
                self.file = None;
                let path = self.settings.path.display();
                self.trouble.warn(&format!("the security log {path} cannot be written ({error}); {} lines are lost", self.lost));
            }
        }
    }

    fn append(&mut self, json: &[u8]) -> io::Result<()> {
        if self.written >= self.settings.max_bytes {
            self.rotate()?;
        }
        if self.file.is_none() {
            let file = open(&self.settings.path)?;
            self.written = file.metadata()?.len();
            self.file = Some(file);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        if self.lost > 0 {
            let note = format!("{{\"lost_lines\":{}}}\n", self.lost);
            file.write_all(note.as_bytes())?;
            self.lost = 0;
        }
        file.write_all(json)?;
        self.written += json.len() as u64;
        Ok(())
    }

    /// `security.log` becomes `security.log.1`, that `security.log.2`, and so on; the oldest goes.
    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        self.written = 0;
        for number in (1..OLD_FILES).rev() {
            rename(&numbered(&self.settings.path, number), &numbered(&self.settings.path, number + 1))?;
        }
        rename(&self.settings.path, &numbered(&self.settings.path, 1))
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

/// Opens the file for its owner alone.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // One that was there before may be open to others.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}
