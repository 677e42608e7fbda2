//! How much room the file system has.

use std::io;
use std::path::Path;

/// Nothing is written while less than this is free, in bytes. On a small file system, it is less.
const LEAST: u64 = 100 * 1024 * 1024;
/// On a file system of less than 2,000 MiB: one part of so many.
const LEAST_SHARE: u64 = 20;

/// The room of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space {
    /// What a user without privileges may still write.
    pub(super) free: u64,
    pub(super) total: u64,
}

impl Space {
    /// Asks the system. `None` where this is not possible.
    #[cfg(unix)]
    pub(super) fn of(folder: &Path) -> io::Result<Option<Self>> {
        let system = rustix::fs::statvfs(folder)?;
        let bytes = |blocks: u64| blocks.saturating_mul(system.f_frsize);
        Ok(Some(Self { free: bytes(system.f_bavail), total: bytes(system.f_blocks) }))
    }

    /// Asks the system. `None` where this is not possible.
    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "it may fail on other systems")]
    pub(super) fn of(_: &Path) -> io::Result<Option<Self>> {
        Ok(None)
    }

    /// Whether the rest should be left to others.
    pub(super) fn is_low(self) -> bool {
        self.free < LEAST.min(self.total / LEAST_SHARE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hundred_mebibytes_or_the_last_twentieth_are_left_to_others() {
        const MIB: u64 = 1024 * 1024;
        for (free, total, is_low) in [
            (100 * MIB, 1024 * 1024 * MIB, false),
            (100 * MIB - 1, 1024 * 1024 * MIB, true),
            (100 * MIB, 2000 * MIB, false),
            (100 * MIB - 1, 2000 * MIB, true),
            (5 * MIB, 100 * MIB, false),
            (5 * MIB - 1, 100 * MIB, true),
            // A file system that does not say how large it is.
            (0, 0, false),
        ] {
            assert_eq!(Space { free, total }.is_low(), is_low, "{free} of {total}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_room_of_a_folder_is_that_of_its_file_system() {
        let dir = tempfile::tempdir().unwrap();

        let space = Space::of(dir.path()).unwrap().unwrap();

        assert!(space.free > 0 && space.free <= space.total, "{space:?}");
        assert!(space.total > 1024 * 1024 && space.total < 1 << 60, "bytes, not blocks: {space:?}");
        assert!(Space::of(&dir.path().join("missing")).is_err());
    }
}
