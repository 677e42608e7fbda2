//! The file of security events: one redacted JSON object per line, even without a network.
//!
//! Rotation is implemented here in thirty lines. The crates for it depend on a calendar, and none
//! sets the file's mode.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::security_log::SecurityLog;
use crate::diagnostics;
use crate::redaction::Redacted;

/// Old files to keep, besides the current one.
const OLD_FILES: u32 = 5;

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

    /// Notes that lines were lost before the next one.
    pub(super) fn note_lost(&mut self, lines: u64) {
        self.lost += lines;
    }

    /// Writes a line. Returns `false` if it is lost.
    pub(super) fn write(&mut self, line: &Redacted<Vec<u8>>) -> bool {
        let written = self.append(line.bytes());
        if let Err(error) = &written {
            self.lost += 1;
            // A file that could not be opened has no partial line.
            self.is_torn |= self.file.take().is_some();
            let path = self.settings.path.display();
            self.trouble.warn(&format!("the security log {path} cannot be written ({error}); {} lines are lost", self.lost));
        }
        written.is_ok()
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
/// Returns an error if the path exists but is not a regular file: a new mode for a device would affect
/// all its users.
fn open(path: &Path) -> io::Result<File> {
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
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    // A file that existed before may be readable by other users.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}

/// Makes the folder of a file, for its owner only.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let mut options = std::fs::DirBuilder::new();
    options.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut options, 0o700);
    options.create(folder)
}
