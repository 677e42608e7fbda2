//! A folder for one run, in the folder of the system for temporary files.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use crate::wallet;

/// A new folder, which is removed with everything in it when this is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes a folder that did not exist before.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be made, or if the system has no random numbers.
    pub fn new() -> Result<Self> {
        loop {
            // The number of a process is used again after a while. Then the folder of one that was killed may still be there.
            let random = wallet::random().ok_or_else(|| Error::other("the system has no random numbers"))?;
            let path = std::env::temp_dir().join(format!("quickdapp-{}-{random}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::new(error.kind(), format!("{}: {error}", path.display()))),
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} is not removed: {error}", self.0.display());
        }
    }
}
