//! A file of settings that operators may change while the process runs.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::Error;
use crate::sampling::LiveSettings;

/// A larger file is refused.
const BYTES_LIMIT: u64 = 1024 * 1024;

/// The file, and the settings that it changes.
#[derive(Clone)]
pub(super) struct SettingsFile {
    path: PathBuf,
    /// What the code, the environment and the preset say.
    configured: LiveSettings,
    /// What was read at the start.
    pub(super) version: Option<Version>,
    /// Whether a SIGHUP makes the process read it.
    pub(super) on_hangup: bool,
}

/// Whether a file has changed, as far as this is known without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Self { modified: metadata.modified().ok(), bytes: metadata.len(), inode }
    }
}

impl SettingsFile {
    pub(super) fn new(path: PathBuf, configured: &LiveSettings, on_hangup: bool) -> Self {
        let mut file = Self { path, configured: configured.clone(), version: None, on_hangup };
        file.version = file.look();
        file
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The version of the file that is there now. None if there is none.
    pub(super) fn look(&self) -> Option<Version> {
        fs::metadata(&self.path).ok().as_ref().map(Version::of)
    }

    /// The settings with those of the file, and the names of the latter.
    pub(super) fn read(&self) -> Result<(LiveSettings, Vec<&'static str>), Error> {
        let text = self.text().map_err(|error| Error::setting(format!("{self} cannot be read")).caused_by(error))?;
        self.configured.with_json(&text).map_err(|fault| Error::setting(format!("{self}: {fault}")))
    }

    fn text(&self) -> io::Result<String> {
        // To open a pipe would wait for its other end.
        let metadata = fs::metadata(&self.path)?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        let mut text = String::new();
        let bytes = File::open(&self.path)?.take(BYTES_LIMIT + 1).read_to_string(&mut text)?;
        if bytes as u64 > BYTES_LIMIT {
            return Err(io::Error::other(format!("it has more than {BYTES_LIMIT} bytes")));
        }
        Ok(text)
    }
}

/// For messages.
impl fmt::Display for SettingsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "settings_file '{}'", self.path.display())
    }
}
